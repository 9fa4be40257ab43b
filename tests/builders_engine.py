"""A small desk on hand-made candles: the real engine and the real factory, without a catalog.

Times are counted in candles of one hour from ``START``; ``at(3, 5)`` is five seconds into the
fourth candle. A `Script` takes its steps at given times and keeps the events that it gets.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
from nautilus_trader.backtest.engine import BacktestEngine
from nautilus_trader.config import (
    BacktestEngineConfig,
    LoggingConfig,
    RiskEngineConfig,
    StrategyConfig,
)
from nautilus_trader.core.data import Data
from nautilus_trader.model.data import Bar, BarType, TradeTick
from nautilus_trader.model.enums import AccountType, AggressorSide, OmsType, OrderSide, OrderStatus
from nautilus_trader.model.events import OrderDenied, OrderFilled
from nautilus_trader.model.identifiers import InstrumentId, TradeId
from nautilus_trader.model.identifiers import Venue as VenueId
from nautilus_trader.model.instruments import CryptoPerpetual, Instrument
from nautilus_trader.model.objects import Currency, Money, Price, Quantity
from nautilus_trader.model.orders import LimitOrder, Order
from nautilus_trader.trading.strategy import Strategy

from backtests.engine.build import BacktestDesk, build, subscribe
from backtests.engine.engine_costs import mended
from backtests.engine.feed import PRINT_DELAY_NS, FeedSlice, PriceGrid, Settlement
from backtests.engine.market import RunMarket, market_of
from catalog.engine import to_nautilus
from catalog.instruments import InstrumentInfo, decimals, instrument_info
from config.documents import Fees, NoSlippage, ProductFees, Venue
from config.documents.setup import RiskSettings
from strategies.hooks import Hooks
from strategies.messages import Action, Verdict
from strategies.refusals import readable

HOUR = 3_600_000_000_000
SECOND = 1_000_000_000
START = 1_700_006_400_000_000_000
"""2023-11-15 00:00 UTC."""

A, B, SPOT = "AAAUSDT-LINEAR.BYBIT", "BBBUSDT-LINEAR.BYBIT", "AAAUSDT-SPOT.BYBIT"
USDT = Currency.from_str("USDT")
BYBIT = VenueId("BYBIT")


def at(candle: float, seconds: float = 0.0) -> int:
    return START + round(candle * HOUR) + round(seconds * SECOND)


# -- what is traded --------------------------------------------------------------------------------


def info(name: str = A, **facts: Any) -> InstrumentInfo:
    symbol, product = name.removesuffix(".BYBIT").split("-")
    known: dict[str, Any] = {
        "tick": "0.01",
        "lot": "0.001",
        "min_qty": "0.001",
        "max_leverage": "50",
        "maintenance_margin": "0.005",
    }
    return instrument_info(symbol, product, **(known | facts))


def venue(**settings: Any) -> Venue:
    """Return a venue of 10,000 USDT, leverage 5, by default without fees and slippage."""
    free = Fees(maker=Decimal(0), taker=Decimal(0))
    known: dict[str, Any] = {
        "starting_balance": Decimal(10_000),
        "fees": ProductFees(linear=free, spot=free),
        "slippage": NoSlippage(),
    }
    return Venue(**(known | settings))


def taker_fee(rate: str) -> ProductFees:
    fee = Fees(maker=Decimal(rate), taker=Decimal(rate))
    return ProductFees(linear=fee, spot=fee)


# -- what happens ----------------------------------------------------------------------------------

Row = Sequence[float | None]


@dataclass(frozen=True)
class Candles:
    """One instrument's candles; None is a gap. What is left out follows from the opens."""

    opens: Row
    closes: Row | None = None
    lows: Row | None = None
    highs: Row | None = None

    def arrays(self) -> dict[str, np.ndarray]:
        """Return open, close, low, high as floats with NaN for gaps."""
        opened = np.array(self.opens, dtype=float)
        close = opened if self.closes is None else np.array(self.closes, dtype=float)
        low = np.minimum(opened, close) if self.lows is None else np.array(self.lows, dtype=float)
        high = np.maximum(opened, close) if self.highs is None else np.array(self.highs, float)
        return {"open": opened, "close": close, "low": low, "high": high}


def open_print(instrument: Instrument, price: float, ts: int) -> TradeTick:
    return TradeTick(
        instrument.id,
        instrument.make_price(price),
        instrument.make_qty(1),
        AggressorSide.NO_AGGRESSOR,
        TradeId("OPEN"),
        ts,
        ts,
    )


def hourly_bar(
    instrument: Instrument,
    ts: int,
    open_: float,
    high: float,
    low: float,
    close: float,
    volume: float = 1_000_000.0,
) -> Bar:
    price = instrument.make_price
    kind = BarType.from_str(f"{instrument.id}-1-HOUR-LAST-EXTERNAL")
    size = instrument.make_qty(volume)
    return Bar(kind, price(open_), price(high), price(low), price(close), size, ts, ts)


def slices(
    market: RunMarket,
    tape: Mapping[str, Candles],
    *,
    settlements: Sequence[Settlement] = (),
    delisted: Mapping[str, int] | None = None,
    per_slice: int | None = None,
    prints: bool = True,
    delay: int = PRINT_DELAY_NS,
) -> list[FeedSlice]:
    """Cut candles into slices as `backtests.engine.feed` does.

    Each settlement goes to the slice (start, end] of its stamp. ``delisted`` holds the last candle
    of an instrument whose data end; ``per_slice`` counts candles (by default all are in one slice);
    ``prints`` feeds opens as trades, ``delay`` nanoseconds after a candle's open.
    """
    arrays = {name: tape[name].arrays() for name in market.ids}
    count = len(next(iter(arrays.values()))["open"])
    step = per_slice or count
    found = []
    carried = np.full(len(market.ids), np.nan)
    for first in range(0, count, step):
        last = min(first + step, count)
        start, end = at(first), at(last)
        data: list[Data] = []
        shape = (last - first, len(market.ids))
        close, low, high = np.full(shape, np.nan), np.full(shape, np.nan), np.full(shape, np.nan)
        for column, name in enumerate(market.ids):
            instrument, candles = market.instruments[column], arrays[name]
            for row in range(first, last):
                if not np.isnan(candles["open"][row]):
                    if prints:
                        opened = float(candles["open"][row])
                        data.append(open_print(instrument, opened, at(row) + delay))
                    carried[column] = candles["close"][row]
                close[row - first, column] = carried[column]
                gap = np.isnan(candles["open"][row])
                low[row - first, column] = carried[column] if gap else candles["low"][row]
                high[row - first, column] = carried[column] if gap else candles["high"][row]
            # A slice [start, end) holds the bars that close in it, the first also not at its start.
            for row in range(max(first - 1, 0), last - 1):
                if not np.isnan(candles["open"][row]):
                    prices = (float(candles[k][row]) for k in ("open", "high", "low", "close"))
                    data.append(hourly_bar(instrument, at(row + 1), *prices))
        ts = np.array([at(row + 1) for row in range(first, last)], dtype=np.int64)
        gone: dict[int, tuple[int, ...]] = {}
        for name, row in (delisted or {}).items():
            if first <= row < last:
                gone[row - first] = (*gone.get(row - first, ()), market.column[name])
        due = [s for s in settlements if start < s.ts <= end]
        real = np.array(
            [
                [not np.isnan(arrays[name]["open"][row]) for name in market.ids]
                for row in range(first, last)
            ]
        )
        traded = np.array(
            [
                [[arrays[name][key][row] for name in market.ids] for row in range(first, last)]
                for key in ("open", "high", "low")
            ]
        )
        grid = PriceGrid(ts, close, low, high, gone, real, traded)
        found.append(FeedSlice(start, end, data, grid, due))
    return found


# -- who trades ------------------------------------------------------------------------------------


def side_of(quantity: str) -> OrderSide:
    return OrderSide.SELL if quantity.startswith("-") else OrderSide.BUY


class Script(Hooks, Strategy):
    """Takes steps at given times; nothing of ours stands between it and the gate."""

    def __init__(self, plan: Mapping[int, Callable[[Script], None]], key: str = "script") -> None:
        super().__init__(StrategyConfig(strategy_id=f"Script-{key}", order_id_tag=key))
        self._plan = dict(plan)
        self.ids: tuple[str, ...] = ()
        self.heard: list[Any] = []

    def on_start(self) -> None:
        for ts in self._plan:
            self.clock.set_time_alert_ns(f"step {ts}", ts, self._step)

    def _step(self, event: Any) -> None:
        self._plan[event.ts_event](self)

    def on_event(self, event: Any) -> None:
        self.heard.append(event)

    def order(self, name: str, quantity: str, *, reduce_only: bool = False) -> Order:
        """Return a market order; a negative quantity sells."""
        instrument_id = InstrumentId.from_str(name)
        # The engine breaks off on a quantity with fewer decimals than the instrument has.
        precision = max(self.cache.instrument(instrument_id).size_precision, decimals(quantity))
        return self.order_factory.market(
            instrument_id,
            side_of(quantity),
            Quantity(abs(Decimal(quantity)), precision),
            reduce_only=reduce_only,
        )

    def trade(self, name: str, quantity: str, *, reduce_only: bool = False) -> Order:
        """Send a market order; a negative quantity sells."""
        order = self.order(name, quantity, reduce_only=reduce_only)
        self.submit_order(order)
        return order

    def limit(self, name: str, quantity: str, at_price: float, **terms: Any) -> LimitOrder:
        """Send a limit order; a negative quantity sells."""
        size = Quantity(abs(Decimal(quantity)), 3)
        order = self.order_factory.limit(
            InstrumentId.from_str(name), side_of(quantity), size, price(at_price), **terms
        )
        self.submit_order(order)
        return order

    @property
    def fills(self) -> list[OrderFilled]:
        return [event for event in self.heard if isinstance(event, OrderFilled)]

    @property
    def denials(self) -> list[str]:
        return [readable(event.reason) for event in self.heard if isinstance(event, OrderDenied)]


def trading(name: str, quantity: str, **terms: Any) -> Callable[[Script], Any]:
    """Return a step that sends one market order."""
    return lambda script: script.trade(name, quantity, **terms)


def resting(name: str, quantity: str, at_price: float, **terms: Any) -> Callable[[Script], Any]:
    """Return a step that sends one limit order."""
    return lambda script: script.limit(name, quantity, at_price, **terms)


def publishing(
    action: Action, scope: str = "desk", guard: str = "drawdown", **words: Any
) -> Callable[[Any], None]:
    """Return a step that publishes a guard's verdict."""
    verdict = Verdict(action=action, scope=scope, guard=guard, **({"reason": "down 20 %"} | words))
    return lambda script: script.msgbus.publish(f"verdicts.{guard}", verdict)


def planned(*steps: tuple[int, Callable[[Any], None]]) -> dict[int, Callable[[Any], None]]:
    """Return the plan of a `Script`; several steps may fall on one time."""
    plan: dict[int, list[Callable[[Any], None]]] = {}
    for ts, step in steps:
        plan.setdefault(ts, []).append(step)
    return {ts: lambda s, ts=ts: [step(s) for step in plan[ts]] for ts in plan}  # type: ignore[misc]


def scripted(*steps: tuple[int, Callable[[Any], None]]) -> Script:
    """Return a `Script` of steps, of which several may fall on one time."""
    return Script(planned(*steps))


# -- the desk --------------------------------------------------------------------------------------


CUT = frozenset({"settlements", "delisted", "per_slice", "delay"})
"""Settings of `slices` that `play` takes."""


def desk_of(
    market: RunMarket,
    document: Venue,
    *scripts: Script,
    before: Mapping[str, float] | None = None,
    risk: RiskSettings | None = None,
    **settings: Any,
) -> BacktestDesk:
    """Build the desk by the factory of backtests; ``before`` are closes before the window."""
    return build(
        cast(Any, SimpleNamespace(venue=document, risk=risk or RiskSettings())),
        market,
        cast(Any, {script.id.get_tag(): script for script in scripts}),
        np.array([(before or {}).get(name, np.nan) for name in market.ids]),
        **settings,
    )


def feed(
    desk: BacktestDesk, parts: Sequence[FeedSlice], then: Callable[[FeedSlice], None] | None = None
) -> None:
    """Run the engine to the end, and call ``then`` after each slice."""
    for part in parts:
        desk.accountant.begin_slice(part.grid, part.settlements)
        if part.data:
            desk.engine.add_data(part.data, sort=True, validate=False)
        desk.engine.run(start=part.start, end=part.end - 1, streaming=True)
        desk.engine.clear_data()
        if then is not None:
            then(part)
    desk.engine.end()


def play(
    tape: Mapping[str, Candles],
    *scripts: Script,
    document: Venue | None = None,
    facts: Mapping[str, Mapping[str, Any]] | None = None,
    hear: Mapping[str, Callable[[Any], None]] | None = None,
    **settings: Any,
) -> BacktestDesk:
    """Build a desk for the candles, run it to the end and return it.

    ``hear`` has handlers of messages by topic; settings are of `slices` and `desk_of`.
    """
    document = document or venue()
    market = market_of([info(name, **(facts or {}).get(name, {})) for name in tape], document)
    cut = {key: settings.pop(key) for key in CUT & settings.keys()}
    with mended():
        desk = desk_of(market, document, *scripts, **settings)
        for topic, handler in (hear or {}).items():
            subscribe(desk, topic, handler)
        feed(desk, slices(market, tape, prints=document.fills == "next_open", **cut))
    return desk


def statuses(desk: BacktestDesk) -> list[str]:
    """Return the states of the strategies' own orders, in the order in which they were made."""
    orders = [o for o in desk.engine.kernel.cache.orders() if o.client_order_id.value[0] == "O"]
    orders.sort(key=lambda order: int(order.client_order_id.value.rpartition("-")[2]))
    return [OrderStatus(order.status).name for order in orders]


def fill_times(script: Script) -> list[tuple[float, Decimal]]:
    """Return each fill's time in candles and its price."""
    return [((f.ts_event - START) / HOUR, f.last_px.as_decimal()) for f in script.fills]


def balance(engine: BacktestEngine) -> Decimal:
    total = engine.kernel.portfolio.account(BYBIT).balance_total(USDT)
    return total.as_decimal()


# -- the engine as it comes ------------------------------------------------------------------------


def perpetual(name: str = A, **facts: Any) -> CryptoPerpetual:
    made = to_nautilus(info(name, **facts), Decimal(0), Decimal(0))
    assert isinstance(made, CryptoPerpetual)
    return made


def bare_engine(
    *instruments: Instrument,
    equity: int | Decimal = 10_000,
    risk_engine: RiskEngineConfig | None = None,
    **settings: Any,
) -> BacktestEngine:
    """Return the engine with nothing of ours in it; settings are of its venue."""
    config = BacktestEngineConfig(
        trader_id="BARE-001",
        logging=LoggingConfig(bypass_logging=True),
        run_analysis=False,
        risk_engine=risk_engine or RiskEngineConfig(),
    )
    engine = BacktestEngine(config)
    known: dict[str, Any] = {
        "oms_type": OmsType.NETTING,
        "account_type": AccountType.MARGIN,
        "starting_balances": [Money(equity, USDT)],
        "default_leverage": Decimal(5),
    }
    engine.add_venue(BYBIT, **(known | settings))
    for instrument in instruments:
        engine.add_instrument(instrument)
    return engine


def plain_bars(instrument: Instrument, closes: Sequence[float], first: int = 0) -> list[Bar]:
    """Return hourly bars that open at the close before."""
    bars = []
    before = closes[0]
    for row, close in enumerate(closes, start=first):
        low, high = min(before, close), max(before, close)
        bars.append(hourly_bar(instrument, at(row + 1), before, high, low, close))
        before = close
    return bars


def price(value: float) -> Price:
    return Price(value, 2)
