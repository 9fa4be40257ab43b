"""Inputs of guards by hand, and a player that plays them to a guard as its actor does."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Self

import msgspec

from actors.guards.core.calm import Calm, facts_of
from actors.guards.core.examples import desk, exactly
from actors.guards.core.exposure import row_key
from actors.guards.core.guard import NOTHING, Guard
from actors.guards.core.halts import Latches, released, step, verdicts
from actors.guards.core.lazy import Lazy, Results
from actors.guards.core.limits import Reading
from actors.guards.core.params import GuardParams
from actors.guards.core.positions import Holdings, positions_of
from actors.guards.core.snapshot import (
    FillEvent,
    Holding,
    Input,
    OpenExposure,
    OrderRequested,
    Refused,
    RoundTripEvent,
    Snapshot,
    VenueResponse,
)
from strategies.messages import Action, Verdict
from tests.actors.guards.moments import BTC, NOON

Number = str | int | float | Decimal
EXPLAINED_INSIDE = {
    *("AccountMismatch", "AssetCaps", "ClusterCaps", "Correlation", "ExposureCaps"),
    *("FreeMargin", "LiquidationDistance", "PositionCap", "Volatility"),
}
"""Guards whose readings have a reason while they are inside their limit too."""


def plain(part: Any) -> Any:
    """Return a part of a snapshot as msgspec can encode it."""
    return part.made if isinstance(part, Lazy) else tuple(part)


def results(by_instrument: Mapping[str, Decimal]) -> Results:
    """Return results of positions that cost nothing and have a price of one, as a desk does."""
    rows = [(name, "a", value, Decimal(0)) for name, value in by_instrument.items() if value]
    holdings = Holdings(positions_of(rows, lambda _: 0), tuple, [1] * len(rows))
    quantities = {("a", name): value for name, _, value, _ in rows}
    nothing = dict.fromkeys(by_instrument, Decimal(0))
    return Results(lambda: dict(by_instrument), nothing, quantities, holdings)


def snapshot(equity: Number, now: int = NOON, **fields: Any) -> Snapshot:
    return desk(now, equity=equity, **fields)


def book(*holdings: Holding, now: int = NOON, **fields: Any) -> Snapshot:
    """Return a snapshot of positions, at leverage 5 and an equity of 1000."""
    ordered = sorted(holdings, key=lambda one: (one.instrument, one.strategy))
    return desk(now, *ordered, **({"leverage": Decimal(5)} | fields))


def held(
    quantity: Number,
    name: str = BTC,
    strategy: str = "a",
    price: Number | None = 100,
    entry: Number = 100,
) -> Holding:
    return Holding(
        strategy=strategy,
        instrument=name,
        quantity=exactly(quantity),
        entry=exactly(entry),
        price=None if price is None else exactly(price),
    )


def nets(**results: Number) -> dict[str, Decimal]:
    return {name: exactly(net) for name, net in results.items()}


def row(
    name: str = BTC, has: Number = 0, buys: Number = 0, sells: Number = 0, strategy: str = "a"
) -> OpenExposure:
    """Return a position at 100 and its pending orders, of which each is of one."""
    return OpenExposure(
        strategy=strategy,
        instrument=name,
        held=exactly(has),
        buys=exactly(buys),
        sells=exactly(sells),
        buy_orders=int(exactly(buys)),
        sell_orders=int(exactly(sells)),
        price=Decimal(100),
    )


def requested(
    quantity: Number = 1,
    *rows: OpenExposure,
    ts: int = NOON,
    name: str = BTC,
    strategy: str = "a",
    is_exit: bool = False,
    **own: Number,
) -> OrderRequested:
    """Return a market order with its owner's row of the instrument, and other rows, sorted."""
    if not any((one.instrument, one.strategy) == (name, strategy) for one in rows):
        rows = (*rows, row(name, strategy=strategy, **own))
    return OrderRequested(
        ts=ts,
        strategy=strategy,
        instrument=name,
        quantity=exactly(quantity),
        price=None,
        is_exit=is_exit,
        open_exposure=() if is_exit else tuple(sorted(rows, key=row_key)),
    )


def filled(
    quantity: Number,
    ts: int = NOON,
    name: str = BTC,
    strategy: str = "a",
    *,
    opened: bool = False,
    slippage: float | None = None,
) -> FillEvent:
    """Return a fill at 100 without a fee."""
    return FillEvent(
        ts=ts,
        strategy=strategy,
        instrument=name,
        quantity=exactly(quantity),
        price=Decimal(100),
        fee=Decimal(0),
        slippage=slippage,
        opened=opened,
    )


def closed(net: Number, ts: int = NOON, strategy: str = "a", name: str = BTC) -> RoundTripEvent:
    return RoundTripEvent(ts=ts, strategy=strategy, instrument=name, net=exactly(net))


def response(accepted: bool, reason: str = "", strategy: str = "a") -> VenueResponse:
    return VenueResponse(
        ts=NOON, strategy=strategy, instrument=BTC, accepted=accepted, reason=reason
    )


class Player:
    """A guard, its state and its halts, and an order gate in front of it.

    After each input it checks that a state read back from JSON goes on the same, as after a
    restart, and that a snapshot that is measured twice changes nothing the second time.
    """

    def __init__(
        self, guard: type[Guard[Any, Any]], params: GuardParams | None = None, /, **fields: Any
    ) -> None:
        self.params = guard.Config(**fields) if params is None else params
        assert self.params.check() == []
        self.guard = guard(self.params)
        self.state: Any = None
        self.measured: Any = None
        self.calm: Calm | None = None
        self.calm_of: Any = None
        self.latches: Latches = ()
        self.readings: tuple[Reading, ...] = ()
        self.last: Snapshot | None = None

    def observe(self, *tape: Input) -> Self:
        """Process what happens, one after the other."""
        for seen in tape:
            if isinstance(seen, Snapshot):
                found = results(seen.results_by_instrument)
                seen = self.last = msgspec.structs.replace(seen, results_by_instrument=found)
                if self.state is None:
                    self.state = self.guard.start(seen)
            kept = again(self.state, self.guard.State)
            after, readings = self.guard.observe(self.state, seen)
            assert self.guard.observe(kept, seen) == (after, readings), "not the same after restart"
            assert (after is self.state) == (after == self.state), "a write for nothing"
            if isinstance(seen, Snapshot):
                assert self.guard.observe(after, seen) == (after, readings), "measured twice"
                known = self.guard.only_events and self.measured is self.state and not self.latches
                if known:
                    assert not any(each.over for each in readings or ())
                if self.calm_of is not self.state or not self.calm:
                    self.calm_of, self.calm = self.state, self.guard.calm(self.state, seen)
                if self.calm is not None and self.calm.holds(facts_of(seen)):
                    assert after is self.state
                    assert all(each.clear for each in readings or ())
                else:
                    self.calm = None
            self.state = after
            if readings is not None:
                self.measured = after
            now = seen.now if isinstance(seen, Snapshot) else seen.ts
            self.latches = step(self.latches, readings, now, self.params)
            again(self.latches, Latches)
            self.readings = self.readings if readings is None else readings
            again(self.readings, tuple[Reading, ...])
            assert len({(each.scope, each.key) for each in self.readings}) == len(self.readings)
            assert not any(each.over and each.clear for each in self.readings)
            if type(self.guard).__name__ not in EXPLAINED_INSIDE:
                assert all(bool(each.reason) == each.over for each in self.readings)
        return self

    def refusal(self, order: OrderRequested) -> str | None:
        """Send an order through the gate; return why the guard refuses it."""
        assert self.last is not None
        reason = None if order.is_exit else self.guard.admit(self.state, order, self.last)
        facts = {"ts": order.ts, "strategy": order.strategy, "instrument": order.instrument}
        self.observe(order if reason is None else Refused(**facts, reason=reason))
        return reason

    def accept(self, scope: str = "desk") -> Self:
        """Release a scope with --accept."""
        assert self.last is not None
        self.latches = released(self.latches, scope)
        self.state = self.guard.released(self.state, self.last, scope)
        return self

    def verdict(self, scope: str = "desk") -> Verdict:
        none = Verdict(action=Action.NONE, scope=scope)
        return verdicts(self.latches, "guard", transient=self.params.transient).get(scope, none)

    def action(self, scope: str = "desk") -> str:
        return self.verdict(scope).action.name.lower()

    def over(self) -> list[str]:
        """Return the scopes and keys of limits that are reached now."""
        return [f"{each.scope} {each.key}".strip() for each in self.readings if each.over]


def again(value: Any, kind: Any) -> Any:
    """Return a value as it is read back from JSON, which must be the same."""
    found = msgspec.json.decode(msgspec.json.encode(value), type=kind)
    assert found == value
    return found


def readings_of(guard: Guard[Any, Any], seen: Snapshot) -> dict[tuple[str, str], Reading]:
    """Return what a guard measures at its first snapshot, by scope and key."""
    player = Player(type(guard), guard.params).observe(seen)
    return {(each.scope, each.key): each for each in player.readings}


def reading_of(guard: Guard[Any, Any], seen: Snapshot) -> Reading:
    """Return the only reading of a guard at its first snapshot."""
    (found,) = readings_of(guard, seen).values()
    return found


def refusal(
    guard: Guard[Any, Any], order: OrderRequested, seen: Snapshot | None = None
) -> str | None:
    """Return why a guard without a state refuses an entry, None when it admits it."""
    return guard.admit(NOTHING, order, seen or book())
