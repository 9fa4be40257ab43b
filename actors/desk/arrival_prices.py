"""The price that stood when each order left, for what its fills cost against it. Pure."""

from __future__ import annotations

from decimal import Decimal

from actors.records.rows import FillRow


class ArrivalPrices:
    """Prices by client order id, forgotten some time after the order has ended.

    A fill may be told after the event that ended its order, so an ended one is kept until `sweep`
    was called twice.
    """

    def __init__(self) -> None:
        self._prices: dict[str, Decimal] = {}
        self._ended: list[str] = []
        self._old: list[str] = []

    def asked(self, order_id: str, price: Decimal) -> None:
        """Remember the price that stands as an order leaves."""
        self._prices[order_id] = price

    def ended(self, order_id: str) -> None:
        """Hear that an order can fill no more."""
        if order_id in self._prices:
            self._ended.append(order_id)

    def sweep(self) -> None:
        """Forget what had ended before the last sweep."""
        for order_id in self._old:
            self._prices.pop(order_id, None)
        self._old, self._ended = self._ended, []

    def slippage(self, fill: FillRow) -> float | None:
        """Return what a fill cost per unit of value, positive is worse; None without a price."""
        price = self._prices.get(fill.client_order_id)
        if not price:
            return None
        worse = fill.price - price if fill.signed > 0 else price - fill.price
        return float(worse / price)
