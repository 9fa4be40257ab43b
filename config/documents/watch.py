"""What a node watches while it trades, how closely, and what it does about what it finds."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from config.documents.base import Part, Whole


class ThrottleSettings(Part):
    """Our own pace of order requests: a bucket of tokens that refills steadily; exits go first."""

    per_second: Annotated[float, Field(gt=0, le=1000)] = 7.0
    """Requests a second in the long run; Bybit takes 10 a second and account for perpetuals
    (https://bybit-exchange.github.io/docs/v5/rate-limit), and rejects what is over."""
    burst: Annotated[Whole, Field(ge=1, le=1000)] = 2
    """Requests that may leave at one moment after a pause; in any one second at most
    ``per_second`` and these together leave."""


class Policies(Part):
    """What is done about each kind of finding; every kind has a counter in the journal too."""

    foreign_orders: Literal["ignore", "adopt", "cancel"] = "ignore"
    """Open orders without this node's prefix, always reported: left alone, or taken into the
    books of the strategy that owns the instrument, or cancelled at the venue."""
    ghost_orders: Literal["cancel", "report"] = "cancel"
    """Own orders that are open at the venue and closed or unknown in our books."""
    unknown_fills: Literal["recover", "report"] = "recover"
    """Executions of own orders that our books lack."""
    external_positions: Literal["report", "halt"] = "halt"
    """Positions at the venue that our books can't explain; ``halt`` stops entries until they
    agree again, and refuses the first start on an account that holds what the node is to trade;
    ``report`` gives them to the strategies, which trade them as their own."""
    feed: Literal["report", "halt"] = "halt"
    """An instrument whose feed is silent; ``halt`` stops entries in it until it speaks again.
    The link is connected anew in any case."""
    clock: Literal["report", "halt"] = "halt"
    """A clock that is off by more than the gate's limit; ``halt`` stops entries meanwhile."""
    sweep_failed: Literal["report", "halt"] = "halt"
    """Sweeps that fail several times in a row, so that nobody compares the books; ``halt`` stops
    entries until one succeeds."""


class MemorySettings(Part):
    """The growth of the process's memory that is no more than warm-up."""

    slope: Annotated[float, Field(gt=0, le=100_000)] = 50.0
    """Growth in MB an hour, by least squares over ``window``, that raises an alert."""
    window: Annotated[float, Field(ge=10, le=86_400)] = 3_600.0
    """Time that the growth is measured over, in seconds; nothing is judged before it is full."""
    restart: Literal["never", "flat"] = "never"
    """``flat`` restarts the node's process while memory grows too fast: without a position, an
    order or a decision under way, with the same document and pid; halts and states stay."""


class WatchSettings(Part):
    """Run-time watching. All times are in seconds."""

    heartbeat: Annotated[Whole, Field(ge=1, le=20)] = 1
    """How often each WebSocket is pinged; its pong must come back within a fixed deadline of the
    adapter, so this bounds how soon a half-open link is noticed."""
    half_open: Annotated[float, Field(ge=1, le=120)] = 5.0
    """Silence of a link, pongs included, after which it counts as down; and age of market data
    when they are handled above which the node warns. Data that waited so long in the node itself
    are dropped, and the public links connect anew."""
    feed_silence: Annotated[float, Field(ge=1, le=3600)] = 30.0
    """Silence of an instrument's feed after which its link is connected anew."""
    sweep_every: Annotated[float, Field(ge=1, le=3600)] = 10.0
    """Pause between two comparisons of the venue's orders, fills and positions with our books."""
    sweep_settle: Annotated[float, Field(ge=0, le=60)] = 3.0
    """A difference must stand this long before it counts: pushes and answers cross each other."""
    sweep_failures: Annotated[Whole, Field(ge=1, le=100)] = 3
    """Failed sweeps in a row that make a finding."""
    clock_every: Annotated[float, Field(ge=1, le=3600)] = 30.0
    """Pause between two measurements of the clock against the venue's."""
    snapshot_every: Annotated[float, Field(ge=1, le=3600)] = 10.0
    """Pause between two snapshots of positions and equity in the journal."""
    backup_every: Annotated[float, Field(ge=10, le=86400)] = 300.0
    """Pause between two backups of the journal."""
    record: bool = False
    """Record what strategies and guards see, beside the journal, for ``perpdesk parity``; not on
    paper, nor in a dry run."""
    memory: MemorySettings = MemorySettings()
    """Growth of memory."""
    throttle: ThrottleSettings = ThrottleSettings()
    """Pace of order requests."""
    policies: Policies = Policies()
    """What is done about findings."""
