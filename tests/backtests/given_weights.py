"""A strategy for tests: trades into weights that a file gives, at each midnight's close."""

from __future__ import annotations

from decimal import Decimal

import numpy as np
from nautilus_trader.model.data import Bar, BarType
from nautilus_trader.model.identifiers import InstrumentId

from config.durations import DAY_NS, bar_type
from strategies.base import DeskStrategy, DeskStrategyConfig
from strategies.sizing.rounding import ZERO, size_order


class GivenWeightsConfig(DeskStrategyConfig, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``file`` holds arrays ts (T,), ids (N,) and weights (T, N), as numpy.savez wrote them."""

    file: str


class GivenWeights(DeskStrategy):
    """Sizes with the desk's own equity and rounding, so only the weights are given."""

    Config = GivenWeightsConfig

    def __init__(self, config: GivenWeightsConfig) -> None:
        super().__init__(config)
        given = np.load(config.file)
        self._rows = {int(ts): row for row, ts in enumerate(given["ts"])}
        self._weights = given["weights"]
        self._columns = [str(name) for name in given["ids"]]
        self._closes: dict[InstrumentId, Decimal] = {}

    def history_needed(self) -> dict[str, int]:
        return {"1d": 1}

    def last_price(self, instrument_id: InstrumentId) -> Decimal | None:
        return self._closes.get(instrument_id)

    def on_start(self) -> None:
        super().on_start()
        for name in self.ids:
            self.subscribe_bars(BarType.from_str(bar_type(name, "1d")))
        now = self.clock.timestamp_ns()
        first = now // DAY_NS * DAY_NS + DAY_NS
        self.clock.set_timer_ns("midnight", DAY_NS, first, 0, self._trade, fire_immediately=True)

    def on_bar(self, bar: Bar) -> None:
        self._closes[bar.bar_type.instrument_id] = bar.close.as_decimal()

    def _trade(self, event: object) -> None:
        row = self._rows.get(self.clock.timestamp_ns())
        if row is None:
            return
        equity, held = self.equity(), self.holdings()
        orders = []
        for column, name in enumerate(self._columns):
            instrument_id = InstrumentId.from_str(name)
            price = self._closes.get(instrument_id)
            if price is None:
                continue
            weight = Decimal(repr(float(self._weights[row, column])))
            sized = size_order(
                held.get(name, ZERO),
                weight * equity / price,
                price,
                self.market.lot(instrument_id),
                minimum="skip",
                largest=equity / price,
            )
            if sized.quantity:
                orders.append((instrument_id, sized.quantity))
        for instrument_id, quantity in orders:
            self.send_market(instrument_id, quantity, "given")
