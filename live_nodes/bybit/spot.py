"""Spot pairs at Bybit, of which Nautilus's adapter knows too little. Engine-specific.

* A buy's fee in coins leaves whole lots in the engine's position; the journal has the exact fee.
* Positions of spot pairs are the desk's own coins, not the wallet's (`OwnCoins`).
* Orders of others, which the adapter gives to the strategy of the pair, reach no books: what they
  move is none of the desk's coins (unless ``policies.foreign_orders`` adopts them).
* Stops go by our own REST: the adapter can't say that they are conditional (``orderFilter``).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from nautilus_trader.core.uuid import UUID4
from nautilus_trader.execution.reports import FillReport, PositionStatusReport
from nautilus_trader.model.enums import OrderSide, PositionSide
from nautilus_trader.model.identifiers import AccountId, InstrumentId
from nautilus_trader.model.instruments import CurrencyPair
from nautilus_trader.model.objects import Money, Quantity
from nautilus_trader.model.orders import Order

from actors.records.coins import WholeLots
from live_nodes.bybit.facts import STOP_FILTER
from live_nodes.bybit.own_coins import OwnCoins
from live_nodes.bybit.rest import VenueError, VenueRest, refused_for
from strategies.account_value import is_spot

PAID = "fee"
"""Key of the exact fee in a fill's ``info``, in the coin of its commission."""
OWNER = ""
"""One strategy trades a pair, so that its lots have one owner."""


@dataclass(frozen=True)
class SpotWiring:
    """What spot needs; `entries` returns the average price of own coins by pair."""

    rest: VenueRest
    own: OwnCoins
    entries: Callable[[], Mapping[str, Decimal]]


class SpotBooks:
    """Fees and positions of spot pairs, as the engine gets them."""

    def __init__(self, wiring: SpotWiring, cache: Any) -> None:
        self.wiring, self._cache = wiring, cache
        self._lots = WholeLots(self._lot)
        own = wiring.own
        self._lots.rest |= {(OWNER, name): own.rest(name) for name in own.in_full()}
        self._fees: dict[tuple[str, str], Money] = {}

    def _lot(self, name: str) -> Decimal:
        found = self._cache.instrument(InstrumentId.from_str(name))
        return Decimal(found.size_increment.as_decimal())

    def whole_lots(
        self, instrument_id: InstrumentId, trade: str, side: OrderSide, size: Quantity, fee: Money
    ) -> Money:
        """Return the fee that leaves whole lots of a buy, the same whenever it is asked."""
        name, instrument = instrument_id.value, self._cache.instrument(instrument_id)
        if not isinstance(instrument, CurrencyPair) or fee.currency != instrument.base_currency:
            return fee
        known = self._fees.get((name, trade))
        if known is None:
            bought = size.as_decimal()
            if side == OrderSide.BUY:
                left = bought - self._lots.take(OWNER, name, bought - fee.as_decimal())
            else:
                # A seller's fee in coins is a rebate: it counts with the next buy.
                self._lots.add(OWNER, name, -fee.as_decimal())
                left = Decimal(0)
            known = self._fees[name, trade] = Money(left, fee.currency)
        return known

    def owes(self, instrument_id: InstrumentId) -> bool:
        """Whether the engine holds a lot that is less than one after its fee (`WholeLots`)."""
        return self._lots.rest.get((OWNER, instrument_id.value), Decimal(0)) < 0

    def without_owed(
        self, account_id: AccountId, instrument_id: InstrumentId, now: int
    ) -> PositionStatusReport:
        """Take such a lot back: return the position without it."""
        held = self._cache.positions_open(instrument_id=instrument_id)
        there = sum((position.signed_decimal_qty() for position in held), Decimal(0))
        lot = self._repaid(instrument_id)
        return self._report(account_id, instrument_id, max(there - lot, Decimal(0)), now)

    def _repaid(self, instrument_id: InstrumentId) -> Decimal:
        lot = self._lot(instrument_id.value) if self.owes(instrument_id) else Decimal(0)
        self._lots.add(OWNER, instrument_id.value, lot)
        return lot

    def correct(self, report: FillReport) -> None:
        """Put the fee that leaves whole lots into a report that the engine lacks."""
        order = self._cache.order(report.client_order_id) if report.client_order_id else None
        if order is not None and report.trade_id not in order.trade_ids:
            report.commission = self.whole_lots(
                report.instrument_id,
                report.trade_id.value,
                report.order_side,
                report.last_qty,
                report.commission,
            )

    async def positions(
        self, account_id: AccountId, only: InstrumentId | None, now: int
    ) -> list[PositionStatusReport]:
        """Return the own coins as positions, flat ones that the engine still has among them.

        Without an answer, they are as they were.
        """
        own = self.wiring.own
        try:
            held = own.at_venue(await self.wiring.rest.coins())
        except VenueError:
            held = own.in_full()
        found = []
        open_ones = {position.instrument_id.value for position in self._cache.positions_open()}
        for name in sorted(held.keys() | filter(is_spot, open_ones)):
            quantity = max(held.get(name, Decimal(0)), Decimal(0))
            instrument_id = InstrumentId.from_str(name)
            unknown = self._cache.instrument(instrument_id) is None
            if unknown or only not in (None, instrument_id):
                continue
            if not quantity and name not in open_ones:
                continue
            self._repaid(instrument_id)
            found.append(self._report(account_id, instrument_id, quantity, now))
        return found

    def _report(
        self, account_id: AccountId, instrument_id: InstrumentId, quantity: Decimal, now: int
    ) -> PositionStatusReport:
        return PositionStatusReport(
            account_id=account_id,
            instrument_id=instrument_id,
            position_side=PositionSide.LONG if quantity else PositionSide.FLAT,
            quantity=Quantity(quantity, self._cache.instrument(instrument_id).size_precision),
            avg_px_open=self.wiring.entries().get(instrument_id.value),
            report_id=UUID4(),
            ts_last=now,
            ts_init=now,
        )

    async def send_stop(self, order: Order) -> str:
        """Send a conditional order; return why the venue refused it, empty otherwise.

        Without an answer it counts as sent: the engine asks for it.
        """
        fields = {
            "side": "Buy" if order.side == OrderSide.BUY else "Sell",
            "orderType": "Limit" if order.has_price else "Market",
            "qty": str(order.quantity),
            "triggerPrice": str(order.trigger_price),
            "orderFilter": STOP_FILTER,
            "orderLinkId": order.client_order_id.value,
        }
        if order.has_price:
            fields |= {"price": str(order.price), "timeInForce": "GTC"}
        else:
            fields["marketUnit"] = "baseCoin"
        return await refused_for(self.wiring.rest.create(order.instrument_id.value, fields))

    async def cancel_stop(self, order: Order) -> str:
        """Cancel a conditional order; return why the venue refused it, empty otherwise."""
        name, venue_id = order.instrument_id.value, order.venue_order_id.value
        return await refused_for(self.wiring.rest.cancel(name, venue_id, STOP_FILTER))


def is_spot_stop(order: Order) -> bool:
    """Whether an order waits for a trigger on spot."""
    return order.has_trigger_price and is_spot(order.instrument_id.value)
