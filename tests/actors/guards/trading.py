"""What the tests of activity and market rules share: facts by hand, and a gate that asks a rule."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from actors.guards.core.halts import verdicts
from actors.guards.core.snapshot import (
    ErrorEvent,
    FillEvent,
    Holding,
    Market,
    OpenExposure,
    OrderRequested,
    Refused,
    Snapshot,
    VenueResponse,
)
from strategies.messages import Action, Verdict
from tests.actors.guards.playing import Player, at

MS, SECOND, MINUTE, HOUR = 10**6, 10**9, 60 * 10**9, 3600 * 10**9
NOON = at(0, "12:00")
BTC = "BTCUSDT-LINEAR.BYBIT"
ETH = "ETHUSDT-LINEAR.BYBIT"


def held(quantity: str | int, name: str = BTC, strategy: str = "a", price: int = 100) -> Holding:
    """Return an open position, valued at its entry of 100."""
    return Holding(
        strategy=strategy,
        instrument=name,
        quantity=Decimal(quantity),
        entry=Decimal(price),
        price=Decimal(price),
    )


def look(now: int = NOON, *holdings: Holding, **fields: Any) -> Snapshot:
    """Return a snapshot of a desk with an equity of 1000."""
    return Snapshot(now=now, equity=Decimal(1000), holdings=holdings, **fields)


def markets(now: int = NOON, *, name: str = BTC, **fields: Any) -> Snapshot:
    """Return a snapshot that knows this of one instrument's market."""
    numbers = {
        key: Decimal(str(value)) if key in ("price", "bid", "ask", "tick") else value
        for key, value in fields.items()
    }
    return look(now, markets={name: Market(**numbers)})


def asked(
    quantity: str | int = 1,
    ts: int = NOON,
    name: str = BTC,
    strategy: str = "a",
    *,
    has: str | int = 0,
    buys: int = 0,
    sells: int = 0,
    is_exit: bool = False,
) -> OrderRequested:
    """Return an order of a strategy that has so much, and so many orders of one under way."""
    row = OpenExposure(
        strategy=strategy,
        instrument=name,
        held=Decimal(has),
        buys=Decimal(buys),
        sells=Decimal(sells),
        buy_orders=buys,
        sell_orders=sells,
        price=Decimal(100),
    )
    return OrderRequested(
        ts=ts,
        strategy=strategy,
        instrument=name,
        quantity=Decimal(quantity),
        price=None,
        is_exit=is_exit,
        open_exposure=() if is_exit else (row,),
    )


def traded(
    quantity: str | int,
    ts: int = NOON,
    name: str = BTC,
    strategy: str = "a",
    *,
    opened: bool = False,
    slippage: float | None = None,
    price: str | int = 100,
) -> FillEvent:
    """Return a fill at 100 without a fee."""
    return FillEvent(
        ts=ts,
        strategy=strategy,
        instrument=name,
        quantity=Decimal(quantity),
        price=Decimal(price),
        fee=Decimal(0),
        slippage=slippage,
        opened=opened,
    )


def answered(
    accepted: bool, reason: str = "", strategy: str = "a", ts: int = NOON
) -> VenueResponse:
    """Return the venue's answer to a request."""
    return VenueResponse(ts=ts, strategy=strategy, instrument=BTC, accepted=accepted, reason=reason)


def erred(ts: int, source: str = "sweep") -> ErrorEvent:
    """Return an error of the desk."""
    return ErrorEvent(ts=ts, source=source, text="it broke")


class Gate(Player):
    """A player that also asks the rule whether an entry may leave."""

    def verdict(self, scope: str = "desk") -> Verdict:
        """Return what stands on a scope, as the guard says it."""
        none = Verdict(action=Action.NONE, scope=scope)
        return verdicts(self.latches, "guard", transient=self.params.transient).get(scope, none)

    def ask(self, order: OrderRequested) -> str | None:
        """Let an order leave where the rule admits it, as the gate does; return why it does not."""
        assert self.last is not None
        if not order.is_exit:
            reason = self.guard.admit(self.state, order, self.last)
            if reason is not None:
                refused = Refused(
                    ts=order.ts,
                    strategy=order.strategy,
                    instrument=order.instrument,
                    reason=reason,
                )
                self.observe(refused)
                return reason
        self.observe(order)
        return None
