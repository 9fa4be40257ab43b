"""Symbol loss: the most that one instrument may lose, also from its best result."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from functools import partial
from operator import ge, is_
from typing import NamedTuple

import msgspec

from actors.guards.core.calm import Calm, Facts
from actors.guards.core.drill import Plan, Scene, losing, nearest
from actors.guards.core.examples import COIN, Example, lost
from actors.guards.core.guard import Guard, Measured
from actors.guards.core.lazy import Results
from actors.guards.core.limits import (
    ZERO,
    Limit,
    Money,
    Reading,
    given,
    none_given,
    notable_readings,
)
from actors.guards.core.params import ActionName, Fraction, ResultParams
from actors.guards.core.positions import Holdings
from actors.guards.core.snapshot import Snapshot
from actors.guards.core.windows import (
    SINCE,
    Mark,
    Session,
    best,
    fresh,
    opening,
    release_problems,
    session_start,
)
from config.durations import DAY_NS


class SymbolLossParams(ResultParams, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The most that an instrument may lose; at least one of the limits is needed.

    An instrument's result is net of fees and funding, over all strategies, what is open valued at
    its price. Only that instrument is held back.

    Parameters
    ----------
    session : {"all", "day"}
        Whether it is counted since the guard's first start, restarts included, or since midnight
        UTC.
    limit_pct : float or None
        Net loss, a fraction of the account's equity at the session's start.
    limit_currency : float or None
        Net loss, settlement currency.
    trailing_pct : float or None
        How far the result may fall below the session's best, a fraction of the account's equity at
        the session's start.
    trailing_currency : float or None
        The same in the settlement currency.
    """

    action: ActionName = "flatten"
    session: Session = "all"
    limit_pct: Fraction | None = None
    limit_currency: Money | None = None
    trailing_pct: Fraction | None = None
    trailing_currency: Money | None = None

    def check(self) -> list[tuple[str, str]]:
        """Return (field, message) when no limit is given, or halts can't end as told."""
        limits = "limit_pct", "limit_currency", "trailing_pct", "trailing_currency"
        missing = none_given(self, *limits)
        return super().check() + missing + release_problems(self.session, self.release)


class Symbol(msgspec.Struct, frozen=True):
    """An instrument's net result at the session's start, and its best since."""

    first: Mark
    best: Mark


class Symbols(msgspec.Struct, frozen=True, kw_only=True):
    """The equity at the session's start, and each traded instrument's results."""

    equity: Mark
    symbols: dict[str, Symbol]


class _Least(NamedTuple):
    """The least values of positions, while these and what is booked are the same, on a day."""

    values: list[int]
    of: tuple[object, ...]
    day: int

    def holds(self, facts: Facts) -> bool:
        """Whether each position is worth as much."""
        results = facts.results
        held = results.holdings if isinstance(results, Results) else ()
        if not isinstance(results, Results) or not isinstance(held, Holdings):
            return False
        of = results.booked, held.positions, held.unit
        return (
            facts.now // DAY_NS <= self.day
            and all(map(is_, of, self.of))
            and all(map(ge, held.values, self.values))
        )


class SymbolLoss(Guard[SymbolLossParams, Symbols]):
    """Stops one instrument after too large a loss, or too large a fall from its best result.

    Closes the instrument by default; the others go on.
    """

    Config = SymbolLossParams
    State = Symbols
    unit = "%"
    needs = frozenset({"results_by_instrument"})
    example = Example(
        SymbolLossParams(limit_currency=100.0),
        lost,
        (99.99, 100, 101),
        clear=90,
        scope=f"instrument:{COIN}",
        key="currency",
    )

    def start(self, snapshot: Snapshot) -> Symbols:
        """Return a session of every instrument that starts with the snapshot."""
        return Symbols(
            equity=fresh(snapshot.equity, snapshot.now, snapshot.flows),
            symbols={
                name: _fresh(value, snapshot.now)
                for name, value in snapshot.results_by_instrument.items()
            },
        )

    def measure(self, state: Symbols, snapshot: Snapshot) -> Measured[Symbols]:
        """Update the results; readings near a limit and the nearest one, in its unit."""
        params = self.params
        now, session = snapshot.now, params.session
        equity = session_start(state.equity, snapshot, session)
        losses = given(params, params.limit_pct, params.limit_currency, equity.value)
        trailing = params.trailing_pct, params.trailing_currency
        falls = given(params, *trailing, equity.value, "trailing_")
        today = now // DAY_NS if session == "day" else 0
        moved: dict[str, Symbol] = {}
        lost: dict[str, Decimal] = {}
        fell: dict[str, Decimal] = {}
        for name, value in snapshot.results_by_instrument.items():
            known = state.symbols.get(name)
            if known is None or falls or today > known.first.day:
                symbol = _followed(known, value, now, session, bool(falls))
                if symbol is not known:
                    moved[name] = symbol
            else:
                symbol = known
            lost[name] = symbol.first.value - value
            if falls:
                fell[name] = symbol.best.value - value
        if moved or equity is not state.equity:
            state = Symbols(equity=equity, symbols=state.symbols | moved)
        since = SINCE[session]
        return state, (
            *_readings(losses, lost, f"loss of {{}} {since}"),
            *_readings(falls, fell, f"{{}} below its best {since}"),
        )

    def calm(self, state: Symbols, snapshot: Snapshot) -> Calm | None:
        """Return the least value of each position that is clear of all limits."""
        results = snapshot.results_by_instrument
        if not isinstance(results, Results) or not isinstance(results.holdings, Holdings):
            return None
        held = results.holdings
        least = self._least_values(state, results, held)
        if least is None:
            return None
        return _Least(least, (results.booked, held.positions, held.unit), state.equity.day)

    def _least_values(self, state: Symbols, results: Results, held: Holdings) -> list[int] | None:
        """Return the least values in units; None where the results must be measured."""
        params, (names, owners, quantities, *_) = self.params, held.positions
        keys = zip(owners, names, strict=True)
        if results.quantities != dict(zip(keys, quantities, strict=True)):
            return None
        if not held.positions.is_net or params.trailing_pct or params.trailing_currency:
            return None
        limits = given(params, params.limit_pct, params.limit_currency, state.equity.value)
        bearable, least = min(limit.back for limit in limits), {}
        for name, value in results.booked.items():
            symbol = state.symbols.get(name)
            if symbol is None or symbol.first.day < state.equity.day:
                return None
            least[name] = symbol.first.value - value - bearable
        if any(least[name] >= 0 for name in least.keys() - set(names)):
            return None
        # Two units more, for what the division rounds.
        return [int(least[name] / held.unit) + 2 for name in names]

    def released(self, state: Symbols, snapshot: Snapshot, scope: str) -> Symbols:
        """Measure an instrument's result from the snapshot on."""
        name = scope.removeprefix("instrument:")
        value = snapshot.results_by_instrument.get(name)
        if value is None:
            return state
        symbols = state.symbols | {name: _fresh(value, snapshot.now)}
        return msgspec.structs.replace(state, symbols=symbols)

    def drill(self, scene: Scene) -> Plan:
        """Lose in one instrument."""
        params, name = self.params, scene.first
        key, limit = nearest(
            {
                "pct": params.limit_pct,
                "currency": params.limit_currency,
                "trailing_pct": params.trailing_pct,
                "trailing_currency": params.trailing_currency,
            }
        )
        words = f"{limit * 100:g} % of equity lost in {name}"
        return losing(scene, params, limit, key, scene.scope_of(name), words, insist=name)


def _followed(
    known: Symbol | None, value: Decimal, now: int, session: Session, follows_best: bool
) -> Symbol:
    # A new instrument's result at the session's start was zero.
    before = known or _fresh(ZERO, now)
    first = opening(before.first, value, now, session)
    # Only where needed: each new best is journaled.
    peak = best(before.best, value, now, session) if follows_best else before.best
    return before if first is before.first and peak is before.best else Symbol(first, peak)


def _readings(limits: list[Limit], values: dict[str, Decimal], words: str) -> Iterator[Reading]:
    for limit in limits:
        yield from notable_readings(values, limit.back, partial(_reading, limit, words))


def _reading(limit: Limit, words: str, name: str, value: Decimal) -> Reading:
    return limit.read(value, f"instrument:{name}", words)


def _fresh(value: Decimal, now: int) -> Symbol:
    mark = fresh(value, now)
    return Symbol(mark, mark)
