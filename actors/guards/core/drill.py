"""Steps and plans of guard drills, for backtests and the practice exchange. Pure.

Weights are fractions of the equity at the start; a negative weight is short. Quantities follow from
the price at that moment.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import msgspec

from actors.guards.core.params import GuardParams, seconds, span_ns
from strategies.messages import Action

KEY = "drill"  # of the drill's strategy
BALANCE = Decimal(100_000)  # USDT at the start


@dataclass(frozen=True)
class Facts:
    """Price, tick and lot of an instrument in the drill's market."""

    price: Decimal
    tick: Decimal
    lot: Decimal


_FACTS = {
    "BTC": Facts(Decimal(60_000), Decimal("0.1"), Decimal("0.001")),
    "ETH": Facts(Decimal(3_000), Decimal("0.01"), Decimal("0.01")),
    "SOL": Facts(Decimal(150), Decimal("0.01"), Decimal("0.1")),
    "XRP": Facts(Decimal("2"), Decimal("0.0001"), Decimal("1")),
}
_OTHER = Facts(Decimal(20), Decimal("0.001"), Decimal("0.1"))


@dataclass(frozen=True)
class Scene:
    """The market and node that a guard plans its drill for."""

    key: str
    instruments: tuple[str, ...]  # the universe's first few, and all that the guard names
    leverage: float = 5.0  # largest gross value per unit of equity
    taker_fee: float = 0.00055  # fraction of an order's value
    sweep_s: float = 13.0  # between two account checks, and until a difference counts
    silence_s: float = 30.0  # without data, until the node connects again
    beat: float = 3.0  # seconds from sending an order to its fill, at most
    real_time: bool = False  # a second takes a second, so a drill can't wait for hours

    @property
    def first(self) -> str:
        """The instrument that most drills trade."""
        return self.instruments[0]

    @property
    def second(self) -> str:
        """Another instrument."""
        return self.instruments[1]

    @property
    def desk(self) -> str:
        """Scope of the whole desk."""
        return "desk"

    @property
    def strategy(self) -> str:
        """Scope of the drill's strategy."""
        return f"strategy:{KEY}"

    def counted_scope(self, of: str) -> str:
        """Return the scope in which a trade in the first instrument counts."""
        if of == "desk":
            return self.desk
        return self.strategy if of == "strategies" else self.scope_of(self.first)

    def scope_of(self, instrument: str) -> str:
        """Return the scope of an instrument."""
        return f"instrument:{instrument}"


def facts_of(instrument: str) -> Facts:
    """Return price, tick and lot of an instrument in the drill's market."""
    base = instrument.split("-")[0].removesuffix("USDT").removesuffix("USDC")
    return _FACTS.get(base, _OTHER)


class Trade(msgspec.Struct, frozen=True, kw_only=True):
    """An order of the drill."""

    after: float = 0.0  # seconds after the instruction
    instrument: str
    quantity: str  # signed base coin; zero closes what is held
    away: float = 0.0  # of a limit order from the price, a fraction; zero is a market order


@dataclass(frozen=True)
class Hold:
    """Open positions, and wait until they are filled."""

    weights: dict[str, float]


@dataclass(frozen=True)
class Trades:
    """Send the strategy's orders; weights give their quantities (zero closes)."""

    trades: tuple[tuple[Trade, float], ...]


@dataclass(frozen=True)
class Move:
    """Let a price jump by a fraction."""

    instrument: str
    by: float


@dataclass(frozen=True)
class Moves:
    """Move prices by fractions, one row at a time."""

    instruments: tuple[str, ...]
    rows: tuple[tuple[float, ...], ...]
    every: float  # seconds between two rows


@dataclass(frozen=True)
class Book:
    """Show a wide (``spread``), thin (``gap``: the least quantity at the best prices, then nothing
    for as long) or ``crossed`` book, in basis points.
    """

    instrument: str
    kind: str
    bps: float
    seconds: float


@dataclass(frozen=True)
class Silence:
    """Stop an instrument's market data."""

    instrument: str
    seconds: float


@dataclass(frozen=True)
class Late:
    """Delay an instrument's market data."""

    instrument: str
    by: float
    seconds: float


@dataclass(frozen=True)
class Funding:
    """Bring the next funding settlement of an instrument near."""

    instrument: str
    before: float  # seconds from the window's begin to the settlement
    after: float  # seconds from the settlement to the window's end


@dataclass(frozen=True)
class Announced:
    """Announce maintenance of the venue that begins now."""

    title: str
    seconds: float


@dataclass(frozen=True)
class Rejects:
    """Reject the next entries of the strategy at the venue, one after another."""

    instrument: str
    times: int
    weight: float
    every: float = 0.4


@dataclass(frozen=True)
class Failures:
    """Let the desk's requests to the venue fail, one after another."""

    times: int
    within: float  # seconds in which the desk sends so many requests


@dataclass(frozen=True)
class Strange:
    """Trade by hand on the account, so that the venue's position differs from the books."""

    instrument: str
    weight: float


@dataclass(frozen=True)
class Slips:
    """Fill the strategy's orders worse than the standing price, by some basis points."""

    instrument: str
    bps: float
    times: int
    weight: float
    every: float = 1.0


@dataclass(frozen=True)
class KillSwitch:
    """Close everything, as the operator can."""


@dataclass(frozen=True)
class Mended:
    """End all faults of the venue; prices stay where they are."""


@dataclass(frozen=True)
class Wait:
    """Wait."""

    seconds: float


Step = (
    Hold
    | Trades
    | Move
    | Moves
    | Book
    | Silence
    | Late
    | Funding
    | Announced
    | Rejects
    | Failures
    | Strange
    | Slips
    | KillSwitch
    | Mended
    | Wait
)


@dataclass(frozen=True)
class Stage:
    """One breach, and the verdict that must follow."""

    steps: tuple[Step, ...]
    scope: str
    action: Action
    multiplier: float = 1.0
    key: str = ""  # of the reading; empty where the guard has one limit on the scope
    within: float = 20.0  # seconds from the end of the steps


@dataclass(frozen=True)
class Plan:
    """A guard's drill: steps, breaches, and what must follow."""

    breach: str  # in words for the trader
    insist: str  # instrument in which entries of size `weight` are tried during the halt
    stages: tuple[Stage, ...] = ()  # in order; the halt is checked after the last
    before: tuple[Step, ...] = ()  # preparation
    refused: tuple[Step, ...] = ()  # entries that the gate must refuse, where no stage is given
    after: tuple[Step, ...] = ()  # during the halt, before the node is started again
    mend: tuple[Step, ...] = ()  # end the breach
    weight: float = 0.002
    release: str = "manual"
    params: dict[str, object] = field(default_factory=dict)  # changed, for the reason in `note`
    note: str = ""


BEYOND = 1.01  # losses and profits, as multiples of their limit
OVER = 1.02  # values, as multiples of their cap
HELD = 0.8  # values at the start, as parts of their cap: clear by any usual hysteresis
MAINTENANCE = 0.005  # maintenance rate of the drill's instruments
LASTS = 600.0  # seconds of a market fault: over the restart, until it is mended
SHORT_PACE, SHORT_LOOKBACK = "1s", 8  # in real time, in place of hours of samples
EQUITY = float(BALANCE)
Limits = Mapping[str, float | None]
"""Limits by the keys of their readings: fractions of equity, or money (``currency``)."""


def stage(
    params: GuardParams, scope: str, *steps: Step, key: str = "", within: float = 20.0
) -> Stage:
    """Return a stage with the action of the guard's parameters."""
    return Stage(steps, scope, params.asks, params.multiplier, key, within)


def plan(params: GuardParams, breach: str, insist: str, /, *stages: Stage, **rest: Any) -> Plan:
    """Return a plan whose halt ends by the release of the guard's parameters."""
    return Plan(breach=breach, insist=insist, stages=stages, release=params.release, **rest)


def nearest(limits: Limits) -> tuple[str, float]:
    """Return the key of the smallest limit, and this limit as a fraction of equity."""
    shares = {
        key: limit / EQUITY if key.endswith("currency") else limit
        for key, limit in limits.items()
        if limit is not None
    }
    key = min(shares, key=lambda name: shares[name])
    return key, shares[key]


def round_trips(scene: Scene, count: int) -> Trades:
    """Return orders for so many round trips; each loses its fees."""
    return Trades(
        tuple(
            (
                Trade(after=(2 * n + closes) * scene.beat, instrument=scene.first, quantity="0"),
                weight,
            )
            for n in range(count)
            for closes, weight in ((0, 0.02), (1, 0.0))
        )
    )


def bearing(scene: Scene, loss: float) -> float:
    """Return a position's weight that loses so much before its price falls by a half."""
    return min(max(min(1.5, 0.6 * scene.leverage), loss * 2.2), 0.9 * scene.leverage)


def lose(name: str, weight: float, before: float, after: float) -> Move:
    """Return the price move from one loss of a position to another."""
    return Move(name, (1 - after / weight) / (1 - before / weight) - 1)


def losing(
    scene: Scene,
    params: GuardParams,
    limit: float,
    key: str,
    scope: str,
    words: str,
    insist: str = "",
) -> Plan:
    """Return the plan of a position that loses slightly more than the limit."""
    weight, name = bearing(scene, limit), scene.first
    recovers = params.release == "recovered" and params.asks < Action.FLATTEN
    halt = stage(params, scope, lose(name, weight, 0.0, limit * BEYOND), key=key)
    mend = (lose(name, weight, limit * BEYOND, 0.0),) if recovers else ()
    before = (Hold({name: weight}),)
    return plan(params, words, insist or scene.second, halt, before=before, mend=mend)


def grow(
    scene: Scene, params: GuardParams, caps: Limits, scope: str, words: str, name: str = ""
) -> Plan:
    """Return the plan of a position that grows over the smallest cap by its price.

    Entries can't reach a cap, so the position is a short: its value rises while the equity falls.
    """
    name = name or scene.first
    key, cap = nearest(caps)
    held, over = min(HELD * cap, 0.9 * scene.leverage), cap * OVER
    # Of a short s after a rise r: value s (1 + r), equity 1 - s r.
    rise = over / held - 1 if key.endswith("currency") else (over - held) / (held * (1 + over))
    return plan(
        params,
        words,
        name,
        stage(params, scope, Move(name, rise), key=key),
        before=(Hold({name: -held}),),
        mend=(Move(name, 1 / (1 + rise) - 1),),
        # Negative as the position: a positive weight would be an exit.
        weight=-0.002,
    )


def disturb(
    scene: Scene,
    params: GuardParams,
    happens: Step,
    words: str,
    key: str = "",
    within: float = 20.0,
) -> Plan:
    """Return the plan of a disturbed market; a guard that flattens holds a position in it."""
    name = scene.first
    halt = stage(params, scene.scope_of(name), happens, key=key, within=within)
    before = (Hold({name: 0.2}),) if params.asks == Action.FLATTEN else ()
    return plan(params, words, name, halt, before=before, mend=(Mended(),))


def sampling(scene: Scene, every: str, lookback: int) -> tuple[float, int, dict[str, object], str]:
    """Return the seconds between samples, their number, changed parameters, and a note."""
    pace = seconds(span_ns(every))
    if not scene.real_time or pace * lookback <= 30:
        return pace, lookback, {}, ""
    number = min(lookback, SHORT_LOOKBACK)
    words = f"drilled with every {SHORT_PACE}, lookback {number}: the document's take hours"
    return 1.0, number, {"every": SHORT_PACE, "lookback": number}, words
