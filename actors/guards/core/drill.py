"""Steps and plans of a guard's drill, the same in a backtest and on the practice exchange. Pure.

Weights are fractions of the equity at the start, quantities follow from the price of that
moment; a negative weight is short.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import msgspec

from actors.guards.core.params import GuardParams, seconds, span_ns
from strategies.messages import Action

KEY = "drill"
"""The key of the drill's strategy."""
BALANCE = Decimal(100_000)
"""USDT at the start."""


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
    """What a guard needs to know to plan its drill.

    Parameters
    ----------
    instruments : tuple of str
        Instrument ids, the first few of the universe and all that the guard names.
    leverage : float
        Largest gross value per unit of equity that the document allows.
    taker_fee : float
        Fraction of the value of an order.
    sweep_s, silence_s : float
        How often the live node compares its books with the venue's, and how soon a difference
        counts; after how long a silence it connects anew.
    beat : float
        Seconds that an order needs from its sending to its fill, generously.
    real_time : bool
        Whether a second takes a second, so that nothing can be waited for that takes hours.
    """

    key: str
    instruments: tuple[str, ...]
    leverage: float = 5.0
    taker_fee: float = 0.00055
    sweep_s: float = 13.0
    silence_s: float = 30.0
    beat: float = 3.0
    real_time: bool = False

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
        """Scope of everything."""
        return "desk"

    @property
    def strategy(self) -> str:
        """Scope of the drill's strategy."""
        return f"strategy:{KEY}"

    def counted_scope(self, of: str) -> str:
        """Return the scope for which something in the first instrument counts."""
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
    """One order.

    Parameters
    ----------
    after : float
        Seconds after the instruction came.
    quantity : str
        Signed base coin; zero closes what is held.
    away : float
        Distance of a resting limit order from the price, a fraction of it; zero is a market order.
    """

    after: float = 0.0
    instrument: str
    quantity: str
    away: float = 0.0


@dataclass(frozen=True)
class Hold:
    """Open positions, and wait until they are held."""

    weights: dict[str, float]


@dataclass(frozen=True)
class Trades:
    """Orders of the strategy at their times, quantities given as weights (zero closes)."""

    trades: tuple[tuple[Trade, float], ...]
    """Each with its weight, which gives its quantity."""


@dataclass(frozen=True)
class Move:
    """A price jumps by a fraction of where it is."""

    instrument: str
    by: float


@dataclass(frozen=True)
class Moves:
    """Prices go on by fractions of where they are, a row at a time."""

    instruments: tuple[str, ...]
    rows: tuple[tuple[float, ...], ...]
    every: float
    """Seconds between two rows."""


@dataclass(frozen=True)
class Book:
    """A book is wide, thin at its best prices, or crossed, by so many basis points."""

    instrument: str
    kind: str
    """``spread``, ``gap`` or ``crossed``."""
    bps: float
    seconds: float


@dataclass(frozen=True)
class Silence:
    """An instrument's market data stop."""

    instrument: str
    seconds: float


@dataclass(frozen=True)
class Late:
    """Market data of an instrument come late."""

    instrument: str
    by: float
    seconds: float


@dataclass(frozen=True)
class Funding:
    """The next funding settlement of an instrument comes near."""

    instrument: str
    before: float
    after: float
    """Seconds around it at which the guard's window begins and ends."""


@dataclass(frozen=True)
class Announced:
    """The venue announces maintenance that begins now."""

    title: str
    seconds: float


@dataclass(frozen=True)
class Rejects:
    """The venue rejects the next entries of the strategy, which it sends one after another."""

    instrument: str
    times: int
    weight: float
    every: float = 0.4


@dataclass(frozen=True)
class Failures:
    """Requests of the desk to the venue fail, one after another."""

    times: int
    within: float
    """Seconds within which so many of them are sent."""


@dataclass(frozen=True)
class Strange:
    """Somebody else trades on the account: the venue holds what our books do not."""

    instrument: str
    weight: float


@dataclass(frozen=True)
class Slips:
    """The strategy's orders fill worse than the price that stood, by so many basis points."""

    instrument: str
    bps: float
    times: int
    weight: float
    every: float = 1.0


@dataclass(frozen=True)
class KillSwitch:
    """The operator closes everything."""


@dataclass(frozen=True)
class Mended:
    """End every fault of the venue; prices stay where they are."""


@dataclass(frozen=True)
class Wait:
    """Time goes by."""

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
    """One breach, and the verdict that must follow.

    Parameters
    ----------
    scope, action, multiplier
        Of the verdict.
    key : str
        Of the reading that is over; empty where the guard has one limit on the scope.
    within : float
        Seconds, from the end of the steps, within which the verdict must come.
    """

    steps: tuple[Step, ...]
    scope: str
    action: Action
    multiplier: float = 1.0
    key: str = ""
    within: float = 20.0


@dataclass(frozen=True)
class Plan:
    """A guard's drill.

    Parameters
    ----------
    breach : str
        In words for the trader.
    insist : str
        Instrument in which entries are tried once the halt stands, each of size `weight`.
    stages : tuple of Stage
        One after another; a halt is checked after the last. Empty where the guard refuses at the
        order gate alone: then `refused` breaches.
    before : tuple of Step
        Preparation.
    refused : tuple of Step
        Entries that the gate must refuse, where no verdict follows.
    after : tuple of Step
        Run once the halt stands, before the node is started again.
    mend : tuple of Step
        Ends the breach.
    params : dict of str to object
        Parameters that the drill changes, for the reason in `note`.
    """

    breach: str
    insist: str
    stages: tuple[Stage, ...] = ()
    before: tuple[Step, ...] = ()
    refused: tuple[Step, ...] = ()
    after: tuple[Step, ...] = ()
    mend: tuple[Step, ...] = ()
    weight: float = 0.002
    release: str = "manual"
    params: dict[str, object] = field(default_factory=dict)
    note: str = ""


BEYOND = 1.01
"""How far beyond its limit a loss or a profit goes."""
OVER = 1.02
"""How far beyond its cap a value goes."""
HELD = 0.8
"""Of a cap, to begin with: clear of it by any usual hysteresis."""
MAINTENANCE = 0.005
"""Maintenance rate of the drill's instruments."""
LASTS = 600.0
"""Seconds that a state of the market lasts: over the restart, until it is mended."""
SHORT_PACE, SHORT_LOOKBACK = "1s", 8
"""What takes the place of hours of samples where a second takes a second."""
EQUITY = float(BALANCE)
Limits = Mapping[str, float | None]
"""Limits by the keys of their readings: fractions of equity, or money (``currency``)."""


def stage(
    params: GuardParams, scope: str, *steps: Step, key: str = "", within: float = 20.0
) -> Stage:
    """Return a stage whose verdict is the one of the guard's parameters."""
    return Stage(steps, scope, params.asks, params.multiplier, key, within)


def plan(params: GuardParams, breach: str, insist: str, /, *stages: Stage, **rest: Any) -> Plan:
    """Return a plan whose halt ends as the guard's parameters say."""
    return Plan(breach=breach, insist=insist, stages=stages, release=params.release, **rest)


def nearest(limits: Limits) -> tuple[str, float]:
    """Return the key of the limit that is reached first, and it as a fraction of equity."""
    shares = {
        key: limit / EQUITY if key.endswith("currency") else limit
        for key, limit in limits.items()
        if limit is not None
    }
    key = min(shares, key=lambda name: shares[name])
    return key, shares[key]


def round_trips(scene: Scene, count: int) -> Trades:
    """Return orders that open and close a position so many times; each loses its fees."""
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
    """Return a weight that loses so much without a fall by more than a half."""
    return min(max(min(1.5, 0.6 * scene.leverage), loss * 2.2), 0.9 * scene.leverage)


def lose(name: str, weight: float, before: float, after: float) -> Move:
    """Return the move from one loss of a position of that weight to another."""
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
    """Return the plan of a position that loses a little more than the limit."""
    weight, name = bearing(scene, limit), scene.first
    recovers = params.release == "recovered" and params.asks < Action.FLATTEN
    halt = stage(params, scope, lose(name, weight, 0.0, limit * BEYOND), key=key)
    mend = (lose(name, weight, limit * BEYOND, 0.0),) if recovers else ()
    before = (Hold({name: weight}),)
    return plan(params, words, insist or scene.second, halt, before=before, mend=mend)


def grow(
    scene: Scene, params: GuardParams, caps: Limits, scope: str, words: str, name: str = ""
) -> Plan:
    """Return the plan of a position that grows over the nearest of the caps.

    No entry passes that would reach a cap, so a position below it grows by its price: a short,
    whose value rises while the equity falls.
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
        # On the side that is held, or it would be an exit.
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
    """Return the seconds between two samples, their number, and what the drill changed of both."""
    pace = seconds(span_ns(every))
    if not scene.real_time or pace * lookback <= 30:
        return pace, lookback, {}, ""
    number = min(lookback, SHORT_LOOKBACK)
    words = f"drilled with every {SHORT_PACE}, lookback {number}: the document's take hours"
    return 1.0, number, {"every": SHORT_PACE, "lookback": number}, words
