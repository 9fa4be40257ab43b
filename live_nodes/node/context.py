"""Contexts of a run: `RunContext` from the start, `NodeContext` after the build."""

from __future__ import annotations

from collections.abc import Awaitable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nautilus_trader.live.node import TradingNode

from actors.gate.gate import OrderGate
from actors.records.journal import Journal
from config.documents import Node
from config.errors import GateRefused
from live_nodes.bybit.links import VenueLinks
from live_nodes.bybit.rest import VenueError, VenueRest
from live_nodes.local.alert_pacing import Level
from live_nodes.local.alerts import Alerts
from live_nodes.local.endpoints import Endpoints
from live_nodes.local.heartbeat import Heartbeat
from live_nodes.local.keys import KeyPair, Secret
from live_nodes.node.preflight import GateFailure, Preflight, refuse
from live_nodes.node.report import RunOptions, Say
from live_nodes.node.tape import Tape
from strategies.base import DeskStrategy

if TYPE_CHECKING:
    from live_nodes.node.take_up import RunningRelease


@dataclass(frozen=True, kw_only=True)
class RunContext:
    """A run from its start, with the final environment and a run begun in `journal`."""

    node: Node
    endpoints: Endpoints
    keys: KeyPair | None
    folder: Path
    journal: Journal
    options: RunOptions
    say: Say
    alerts: Alerts
    heartbeat: Heartbeat
    tape: Tape = field(default_factory=Tape)
    release: RunningRelease | None = None
    message_bus: Secret | None = None

    @property
    def paper(self) -> bool:
        """Whether the account is not at the venue."""
        return self.node.environment == "paper"

    @property
    def trades_at_venue(self) -> bool:
        """Whether orders reach a venue: neither on paper nor in a dry run."""
        return not self.paper and not self.options.dry_run

    def warn(self, text: str, kind: str = "node", level: Level = "warning") -> None:
        """Print a text, and alert on it."""
        self.say(text)
        self.alerts(text, level, kind)

    def pass_gates(self, failures: Iterable[GateFailure]) -> None:
        """Journal the failures and raise GateRefused with them, where there are any."""
        found = list(failures)
        for failure in found:
            self.journal.gate(failure.gate, passed=False, detail=str(failure))
        refuse(self.node.name, found)

    async def gated[T](self, gate: str, asked: Awaitable[T]) -> T:
        """Return the venue's answer; raise GateRefused where it gives none."""
        try:
            return await asked
        except VenueError as error:
            raise GateRefused(f"{self.node.name}: gate {gate}: {error}") from error


@dataclass(frozen=True, kw_only=True)
class NodeContext(RunContext):
    """A run whose engine is built, its gate installed and its REST client entered."""

    rest: VenueRest
    links: VenueLinks
    facts: Preflight
    trading_node: TradingNode
    gate: OrderGate
    strategies: dict[str, DeskStrategy]

    @property
    def kernel(self) -> Any:
        """The engine's kernel: cache, bus, clock, engines."""
        return self.trading_node.kernel
