"""What the desk works around in nautilus_trader 1.231.0, one test a trap.

A test that fails after an upgrade names what has changed, and so which workaround may go (or has
become wrong). Beside each stands where the workaround lives.
"""

from __future__ import annotations

import inspect
import pickle
from collections.abc import Callable
from decimal import Decimal as D
from pathlib import Path
from typing import Any

import nautilus_trader
import nautilus_trader.analysis.analyzer as analyzer_module
import nautilus_trader.backtest.node as node_module
import nautilus_trader.portfolio.portfolio as portfolio_module
import pandas as pd
import pytest
from nautilus_trader.analysis.analyzer import PortfolioAnalyzer
from nautilus_trader.backtest.config import SimulationModuleConfig
from nautilus_trader.backtest.engine import BacktestEngine
from nautilus_trader.backtest.execution_client import BacktestExecClient
from nautilus_trader.backtest.models import LatencyModel
from nautilus_trader.backtest.modules import SimulationModule
from nautilus_trader.backtest.node import BacktestNode
from nautilus_trader.common.config import InvalidConfiguration
from nautilus_trader.config import (
    BacktestDataConfig,
    BacktestEngineConfig,
    BacktestRunConfig,
    BacktestVenueConfig,
    ImportableStrategyConfig,
    LoggingConfig,
    StrategyConfig,
)
from nautilus_trader.core.uuid import UUID4
from nautilus_trader.model.data import Bar, BarType, FundingRateUpdate
from nautilus_trader.model.enums import (
    AccountType,
    OrderSide,
    OrderStatus,
    TradingState,
    TriggerType,
)
from nautilus_trader.model.events import OrderDenied
from nautilus_trader.model.identifiers import InstrumentId
from nautilus_trader.model.instruments import CryptoPerpetual
from nautilus_trader.model.objects import Money, Quantity
from nautilus_trader.persistence.catalog import ParquetDataCatalog
from nautilus_trader.trading.strategy import Strategy

from backtests.engine.venue import DeskFillModel
from catalog.engine import to_nautilus
from config.documents import NoSlippage
from tests.builders_engine import (
    BYBIT,
    HOUR,
    SPOT,
    START,
    USDT,
    A,
    B,
    Script,
    at,
    balance,
    bare_engine,
    fill_times,
    hourly_bar,
    info,
    open_print,
    perpetual,
    plain_bars,
    price,
    trading,
)

ID = InstrumentId.from_str(A)


def run(
    plan: dict[int, Callable[[Script], Any]],
    data: list[Any],
    prepare: Callable[[BacktestEngine], None] | None = None,
    instrument: CryptoPerpetual | None = None,
    **settings: Any,
) -> tuple[BacktestEngine, Script]:
    """Run a script on the engine as it comes."""
    engine = bare_engine(instrument or perpetual(), **settings)
    script = Script(plan)
    engine.add_strategy(script)
    engine.add_data(data)
    if prepare is not None:
        prepare(engine)
    engine.run()
    return engine, script


def buying_one(engine: BacktestEngine) -> Script:
    """Run a script that buys once."""
    script = Script({at(1): trading(A, "1")})
    engine.add_strategy(script)
    engine.add_data(plain_bars(perpetual(), [100, 100]))
    engine.run()
    return script


def test_the_version_is_the_one_that_these_traps_were_found_in() -> None:
    assert nautilus_trader.__version__ == "1.231.0"


# -- when orders fill (backtests/engine/venue.py: NextPrintClient) ---------------------------------


def test_a_market_order_fills_at_the_last_bars_stale_close() -> None:
    """Ten minutes after the close, and the fill is at that close: a price that stood before."""
    _, script = run({at(2, 600): trading(A, "1")}, plain_bars(perpetual(), [100, 101, 102, 103]))
    assert fill_times(script) == [(pytest.approx(2 + 600 / 3600), D(101))]


def test_latency_only_moves_the_fill_to_the_next_close() -> None:
    """One second of it, and a bar is processed whole before the order: the close, not the open."""
    _, script = run(
        {at(2): trading(A, "1")},
        plain_bars(perpetual(), [100, 101, 102, 103]),
        latency_model=LatencyModel(base_latency_nanos=1_000_000_000),
    )
    assert fill_times(script) == [(3, D(102))]


def test_an_order_above_a_quarter_of_the_bars_volume_fills_in_parts_a_tick_worse() -> None:
    """DeskFillModel fills it whole, at the slippage that the document names."""
    bars = [hourly_bar(perpetual(), at(hour), 100, 100, 100, 100, volume=8) for hour in (1, 2, 3)]
    _, script = run({at(2): trading(A, "5")}, bars)
    filled = [(fill.last_qty.as_decimal(), fill.last_px.as_decimal()) for fill in script.fills]
    assert filled == [(D(2), D(100)), (D(3), D("100.01"))]


def test_a_timer_at_the_time_of_data_fires_after_all_data_of_that_time() -> None:
    """So a decision at a close has heard every candle of it
    (strategies/rebalance/rebalancer.py)."""
    heard: list[str] = []

    class Listener(Strategy):
        def on_start(self) -> None:
            for name in (A, B):
                self.subscribe_bars(BarType.from_str(f"{name}-1-HOUR-LAST-EXTERNAL"))
            self.clock.set_time_alert_ns("alert", at(2), lambda event: heard.append("alert"))

        def on_bar(self, bar: Bar) -> None:
            heard.append(f"{bar.bar_type.instrument_id.symbol} {(bar.ts_event - START) // HOUR}")

    engine = bare_engine(perpetual(A), perpetual(B))
    engine.add_strategy(Listener(StrategyConfig()))
    engine.add_data(plain_bars(perpetual(A), [1, 1, 1]) + plain_bars(perpetual(B), [1, 1, 1]))
    engine.run()
    first, second = "AAAUSDT-LINEAR", "BBBUSDT-LINEAR"
    assert heard == [
        f"{first} 1",
        f"{second} 1",
        f"{first} 2",
        f"{second} 2",
        "alert",
        f"{first} 3",
        f"{second} 3",
    ]


def test_a_quantity_with_fewer_decimals_than_the_instrument_breaks_the_run() -> None:
    """Only with a simulated book (DeskFillModel): the strategies' base always uses the lot's."""

    def whole_number(script: Script) -> None:
        order = script.order_factory.market(ID, OrderSide.BUY, Quantity.from_str("1"))
        script.submit_order(order)

    with pytest.raises(RuntimeError, match="Invalid size precision"):
        run(
            {at(2): whole_number},
            plain_bars(perpetual(), [100, 101, 102]),
            fill_model=DeskFillModel(NoSlippage()),
        )


# -- what nobody checks (actors/gate/rules.py) -----------------------------------------------------


def test_margin_accounts_have_no_minimum_notional_and_no_leverage() -> None:
    engine, script = run(
        {at(1, 1): trading(A, "0.010"), at(2, 1): trading(A, "9000")},
        plain_bars(perpetual(), [100, 100, 100, 100]),
    )
    # 1 USDT where 5 is the least; 900,000 USDT on 10,000 at a leverage of 5.
    assert [f.last_qty.as_decimal() for f in script.fills] == [D("0.01"), D(9000)]
    assert balance(engine) == 10_000


def test_the_risk_engine_refuses_exits_above_the_largest_order() -> None:
    """The one size for which our gate would let an exit pass, and the engine does not."""
    instrument = perpetual(max_qty="5")
    _, script = run(
        {at(1): trading(A, "5"), at(1, 1): trading(A, "5"), at(2): trading(A, "-10")},
        plain_bars(instrument, [100, 100, 100]),
        instrument=instrument,
    )
    assert len(script.fills) == 2
    assert script.denials == ["quantity 10.000 invalid (> maximum trade size of 5.000)"]


def test_orders_over_the_submit_rate_are_dropped_not_queued() -> None:
    """100 a second unless told otherwise; backtests/engine/build.py tells it otherwise."""

    def many(script: Script) -> None:
        for _ in range(101):
            script.trade(A, "1")

    _, script = run({at(1): many}, plain_bars(perpetual(), [100, 100]))
    assert len(script.fills) == 100
    assert script.denials == ["Exceeded MAX_ORDER_SUBMIT_RATE"]


def state(value: TradingState) -> Callable[[BacktestEngine], None]:
    return lambda engine: engine.kernel.risk_engine.set_trading_state(value)


def with_state_at_2(value: TradingState, then: str) -> Script:
    """Buy 1 in the first candle; set the state; send another order."""
    engines: list[BacktestEngine] = []
    stop: Callable[[Script], None] = lambda script: state(value)(engines[0])  # noqa: E731
    plan = {at(1): trading(A, "1"), at(2): stop, at(2, 1): trading(A, then)}
    _, script = run(plan, plain_bars(perpetual(), [100, 100, 100, 100]), engines.append)
    return script


def test_halted_denies_closing_orders_too() -> None:
    script = with_state_at_2(TradingState.HALTED, "-1")
    assert len(script.fills) == 1
    assert script.denials == ["TradingState.HALTED"]


def test_reducing_lets_a_position_flip_and_open_from_flat() -> None:
    script = with_state_at_2(TradingState.REDUCING, "-3")
    assert len(script.fills) == 2
    assert script.denials == []
    _, script = run(
        {at(1): trading(A, "1")},
        plain_bars(perpetual(), [100, 100]),
        prepare=state(TradingState.REDUCING),
    )
    assert len(script.fills) == 1


def test_released_emulated_orders_go_past_the_risk_engine() -> None:
    """Why the gate stands at ExecEngine.execute: a halted RiskEngine does not stop them."""

    def emulated(script: Script) -> None:
        order = script.order_factory.market_if_touched(
            ID,
            OrderSide.BUY,
            Quantity(1, 3),
            trigger_price=price(101),
            emulation_trigger=TriggerType.LAST_PRICE,
        )
        script.submit_order(order)

    prints = [open_print(perpetual(), 100, at(candle, 1)) for candle in range(4)]
    _, script = run(
        {at(1): emulated, at(2): trading(A, "1")}, prints, prepare=state(TradingState.HALTED)
    )
    assert len(script.fills) == 1
    assert script.denials == ["TradingState.HALTED"]


def test_margin_is_notional_times_initial_margin_by_leverage() -> None:
    """0.1 and leverage 10 lock a hundredth: catalog/instruments.py sets both margins to 0."""
    facts = perpetual().to_dict(perpetual())
    instrument = CryptoPerpetual.from_dict(facts | {"margin_init": "0.1", "margin_maint": "0.1"})
    engine, _ = run(
        {at(1): trading(A, "10")},
        plain_bars(instrument, [100, 100]),
        instrument=instrument,
        default_leverage=D(10),
    )
    locked = engine.kernel.portfolio.account(BYBIT).balance_locked(USDT)
    assert locked == Money(10, USDT)


def test_spot_on_a_margin_account_is_booked_like_a_perpetual() -> None:
    """No coins arrive and no cash leaves: our ledger counts on both products moving cash alike."""
    spot: Any = to_nautilus(info(SPOT), D(0), D(0))
    engine, script = run({at(1): trading(SPOT, "10")}, plain_bars(spot, [100, 100]), None, spot)
    assert len(script.fills) == 1
    assert balance(engine) == 10_000
    assert list(engine.kernel.portfolio.account(BYBIT).balances()) == [USDT]


# -- what nobody settles (backtests/engine/accountant.py) ------------------------------------------


def test_funding_rates_are_delivered_but_not_settled() -> None:
    class Holder(Script):
        def on_start(self) -> None:
            super().on_start()
            self.subscribe_funding_rates(ID)
            self.rates: list[FundingRateUpdate] = []

        def on_funding_rate(self, funding_rate: FundingRateUpdate) -> None:
            self.rates.append(funding_rate)

    engine = bare_engine(perpetual())
    holder = Holder({at(1): trading(A, "10")})
    engine.add_strategy(holder)
    rate = FundingRateUpdate(ID, D("0.01"), at(2, 60), at(2, 60))
    engine.add_data([*plain_bars(perpetual(), [100, 100, 100, 100]), rate])
    engine.run()
    assert len(holder.rates) == 1
    assert balance(engine) == 10_000


def test_a_negative_account_is_not_liquidated() -> None:
    engine, script = run(
        {at(1): trading(A, "500"), at(3): trading(A, "-500")},
        plain_bars(perpetual(), [100, 100, 50, 50]),
    )
    assert len(script.fills) == 2
    assert balance(engine) == -15_000


def test_the_liquidation_fields_of_the_venue_are_dead() -> None:
    fields = BacktestVenueConfig.__struct_fields__
    assert {"liquidation_enabled", "liquidation_trigger_ratio"} <= set(fields)
    assert "liquidation" not in inspect.getsource(node_module)
    assert not [name for name in _parameters(BacktestEngine.add_venue) if "liquidation" in name]


def _parameters(function: Any) -> list[str]:
    return list(inspect.signature(function).parameters)


# -- what grows with the square of the trades (backtests/engine/engine_costs.py) -------------------


def test_each_closed_position_is_joined_to_a_pandas_series(monkeypatch: pytest.MonkeyPatch) -> None:
    joined: list[int] = []
    concat = pd.concat

    def counted(parts: Any, *args: Any, **kwargs: Any) -> Any:
        joined.append(sum(len(part) for part in parts))
        return concat(parts, *args, **kwargs)

    monkeypatch.setattr(analyzer_module.pd, "concat", counted)
    closes = {at(n): trading(A, "1" if n % 2 else "-1") for n in range(1, 21)}
    _, script = run(closes, plain_bars(perpetual(), [100] * 22))
    assert len(script.fills) == 20
    # Every series is copied whole at each of the ten exits: 1 + 2 + 3 ... rows.
    assert len(joined) >= 10
    assert sum(joined) >= 10 * 11 / 2


def test_the_portfolio_reads_its_snapshots_through_its_own_pickle() -> None:
    assert portfolio_module.pickle is pickle
    assert callable(PortfolioAnalyzer.record_trade)


# -- figures (actors/measures.py) ------------------------------------------------------------------


def test_the_engines_sharpe_counts_252_days_and_its_drawdown_is_missing() -> None:
    analyzer = bare_engine(perpetual()).kernel.portfolio.analyzer
    names = list(analyzer._statistics)
    assert "Sharpe Ratio (252 days)" in names
    assert not any("drawdown" in name.lower() for name in names)


# -- slices (backtests/run.py) ---------------------------------------------------------------------


def events_in_slices(hours: int, total: int = 48) -> list[tuple[Any, ...]]:
    data = plain_bars(perpetual(), [100 + n % 7 for n in range(total)])
    data += [open_print(perpetual(), 100 + n % 5, at(n, 1)) for n in range(total)]
    data += [FundingRateUpdate(ID, D("0.0001"), at(n), at(n)) for n in range(0, total, 8)]
    engine = bare_engine(perpetual())
    heard: list[tuple[Any, ...]] = []

    class Everything(Script):
        def on_start(self) -> None:
            super().on_start()
            self.subscribe_bars(BarType.from_str(f"{A}-1-HOUR-LAST-EXTERNAL"))
            self.subscribe_trade_ticks(ID)
            self.subscribe_funding_rates(ID)

        def on_bar(self, bar: Bar) -> None:
            heard.append(("bar", bar.ts_event, bar.close))

        def on_trade_tick(self, tick: Any) -> None:
            heard.append(("print", tick.ts_event, tick.price))

        def on_funding_rate(self, funding_rate: FundingRateUpdate) -> None:
            heard.append(("rate", funding_rate.ts_event, funding_rate.rate))

        def on_event(self, event: Any) -> None:
            heard.append((type(event).__name__, event.ts_event))

    plan = {at(n, 300): trading(A, "1" if n % 2 else "-1") for n in range(1, total - 1, 3)}
    engine.add_strategy(Everything(plan))
    for first in range(0, total, hours):
        start, end = at(first), at(first + hours)
        part = [item for item in data if start <= item.ts_init < end]
        engine.add_data(part, sort=True, validate=False)
        engine.run(start=start, end=end - 1, streaming=True)
        engine.clear_data()
    engine.end()
    return heard


@pytest.mark.parametrize("hours", [1, 6, 12, 24])
def test_time_slices_of_any_length_give_identical_events(hours: int) -> None:
    """What our own driving of the engine rests on."""
    whole = events_in_slices(48)
    assert len([1 for event in whole if event[0] == "OrderFilled"]) == 16
    assert events_in_slices(hours) == whole


def test_timers_behind_a_slices_last_event_wait_for_the_next_slice() -> None:
    """Why the accountant keeps rows over and the recorder draws a slice late."""
    rung: list[int] = []
    engine = bare_engine(perpetual())
    script = Script({at(1, 1800): lambda s: rung.append(1), at(2): lambda s: rung.append(2)})
    engine.add_strategy(script)
    engine.add_data(plain_bars(perpetual(), [100]))
    engine.run(start=at(0), end=at(2) - 1, streaming=True)
    engine.clear_data()
    assert rung == []
    engine.add_data(plain_bars(perpetual(), [100], first=1))
    engine.run(start=at(2), end=at(3) - 1, streaming=True)
    assert rung == [1, 2]
    engine.end()


def test_the_end_rings_the_timers_that_are_left() -> None:
    rung: list[int] = []
    engine = bare_engine(perpetual())
    engine.add_strategy(Script({at(1, 1800): lambda s: rung.append(1)}))
    engine.add_data(plain_bars(perpetual(), [100]))
    engine.run(start=at(0), end=at(2) - 1, streaming=True)
    assert rung == []
    engine.end()
    assert rung == [1]


class Faulty(Script):
    def on_start(self) -> None:
        super().on_start()
        self.subscribe_bars(BarType.from_str(f"{A}-1-HOUR-LAST-EXTERNAL"))


class BreaksInBar(Faulty):
    def on_bar(self, bar: Bar) -> None:
        raise ZeroDivisionError


class BreaksInFill(Faulty):
    def on_order_filled(self, event: Any) -> None:
        raise ZeroDivisionError


def _break(script: Script) -> None:
    raise ZeroDivisionError


@pytest.mark.parametrize("streaming", [False, True])
@pytest.mark.parametrize(
    "script",
    [
        lambda: BreaksInBar({}),
        lambda: BreaksInFill({at(1): trading(A, "1")}),
        lambda: Script({at(1): _break}),
    ],
    ids=["bar", "fill", "timer"],
)
def test_a_strategys_exception_ends_the_run(script: Callable[[], Script], streaming: bool) -> None:
    """Nothing is swallowed: what breaks stops the backtest, with its own traceback."""
    engine = bare_engine(perpetual())
    engine.add_strategy(script())
    engine.add_data(plain_bars(perpetual(), [100, 100, 100]))
    with pytest.raises(ZeroDivisionError):
        engine.run(start=at(0), end=at(4), streaming=streaming)


# -- the node that we do not use (backtests/run.py drives the engine itself) -----------------------


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """Hold four hourly bars, two two-hourly ones and two funding rates of one instrument."""
    catalog = ParquetDataCatalog(str(tmp_path))
    bars = plain_bars(perpetual(), [100, 101, 102, 103])
    coarse = BarType.from_str(f"{A}-2-HOUR-LAST-EXTERNAL")
    longer = [
        Bar(coarse, *_prices(bar), bar.volume, bar.ts_event, bar.ts_init) for bar in bars[1::2]
    ]
    rates = [FundingRateUpdate(ID, D("0.01"), at(n), at(n)) for n in (2, 4)]
    catalog.write_data([perpetual()])
    catalog.write_data(bars)
    catalog.write_data(longer)
    catalog.write_data(rates)
    return tmp_path


def _prices(bar: Bar) -> tuple[Any, Any, Any, Any]:
    return bar.open, bar.high, bar.low, bar.close


class Buyer(Strategy):
    """Buys once and sells once, for a node that builds it from its address."""

    def on_start(self) -> None:
        self.subscribe_bars(BarType.from_str(f"{A}-1-HOUR-LAST-EXTERNAL"))
        self.bars = 0

    def on_bar(self, bar: Bar) -> None:
        self.bars += 1
        if self.bars in (1, 2):
            side = OrderSide.BUY if self.bars == 1 else OrderSide.SELL
            self.submit_order(self.order_factory.market(ID, side, Quantity(1, 3)))


class BuyerConfig(StrategyConfig, frozen=True):
    """Nothing of its own."""


def node_run(files: Path, *, data: list[Any], **settings: Any) -> list[Any]:
    here = "tests.backtests.test_engine_traps"
    config = BacktestRunConfig(
        engine=BacktestEngineConfig(
            logging=LoggingConfig(bypass_logging=True),
            run_analysis=False,
            strategies=[
                ImportableStrategyConfig(
                    strategy_path=f"{here}:Buyer", config_path=f"{here}:BuyerConfig", config={}
                )
            ],
        ),
        venues=[
            BacktestVenueConfig(
                name="BYBIT",
                oms_type="NETTING",
                account_type="MARGIN",
                starting_balances=["10000 USDT"],
            )
        ],
        data=data,
        raise_exception=True,
        **settings,
    )
    node = BacktestNode(configs=[config])
    try:
        return node.run()
    finally:
        node.dispose()


def data_config(files: Path, data_cls: Any, **settings: Any) -> BacktestDataConfig:
    return BacktestDataConfig(catalog_path=str(files), data_cls=data_cls, **settings)


def test_a_named_data_class_makes_the_node_ignore_bar_types(files: Path) -> None:
    name, hourly = "nautilus_trader.model.data:Bar", [f"{A}-1-HOUR-LAST-EXTERNAL"]
    assert data_config(files, Bar, bar_types=hourly).query["identifiers"] == hourly
    assert data_config(files, name, bar_types=hourly).query["identifiers"] == []
    (result,) = node_run(files, data=[data_config(files, name, bar_types=hourly)])
    assert result.iterations == 6
    (result,) = node_run(files, data=[data_config(files, Bar, bar_types=hourly)])
    assert result.iterations == 4


def test_disposing_on_completion_leaves_no_totals(files: Path) -> None:
    data = [data_config(files, Bar, bar_types=[f"{A}-1-HOUR-LAST-EXTERNAL"])]
    (kept,) = node_run(files, data=data, dispose_on_completion=False)
    (disposed,) = node_run(files, data=data)
    assert (kept.total_orders, kept.total_positions) == (2, 1)
    assert (disposed.total_orders, disposed.total_positions) == (0, 0)


def test_the_node_cannot_stream_funding_rates(files: Path) -> None:
    data = [
        data_config(files, Bar, bar_types=[f"{A}-1-HOUR-LAST-EXTERNAL"]),
        data_config(files, FundingRateUpdate, instrument_id=A),
    ]
    with pytest.raises(RuntimeError, match="not registered with an Arrow schema"):
        node_run(files, data=data, chunk_size=2)


# -- names that we touch though they are not promised ----------------------------------------------


def test_an_endpoint_can_be_taken_over() -> None:
    """actors/gate/gate.py puts itself before the execution engine."""
    engine = bare_engine(perpetual())
    kernel, passed = engine.kernel, []

    def stand_between(command: Any) -> None:
        passed.append(command)
        kernel.exec_engine.execute(command)

    kernel.msgbus.deregister(endpoint="ExecEngine.execute", handler=kernel.exec_engine.execute)
    kernel.msgbus.register(endpoint="ExecEngine.execute", handler=stand_between)
    script = buying_one(engine)
    assert len(passed) == len(script.fills) == 1


def test_a_denial_sent_to_the_execution_engine_reaches_the_strategy() -> None:
    """actors/gate/gate.py answers an order that it stops."""
    engine = bare_engine(perpetual())
    kernel = engine.kernel

    def deny(command: Any) -> None:
        order = command.order
        denied = OrderDenied(
            trader_id=order.trader_id,
            strategy_id=order.strategy_id,
            instrument_id=order.instrument_id,
            client_order_id=order.client_order_id,
            reason="no",
            event_id=UUID4(),
            ts_init=kernel.clock.timestamp_ns(),
        )
        kernel.msgbus.send(endpoint="ExecEngine.process", msg=denied)

    kernel.msgbus.deregister(endpoint="ExecEngine.execute", handler=kernel.exec_engine.execute)
    kernel.msgbus.register(endpoint="ExecEngine.execute", handler=deny)
    script = buying_one(engine)
    assert script.denials == ["no"]
    assert [order.status for order in kernel.cache.orders()] == [OrderStatus.DENIED]


class Module(SimulationModule):
    def __init__(self) -> None:
        super().__init__(SimulationModuleConfig())
        self.calls = 0

    def process(self, ts_now: int) -> None:
        self.calls += 1

    def log_diagnostics(self, logger: Any) -> None:
        pass

    def reset(self) -> None:
        pass


def test_a_simulation_module_knows_its_exchange_and_its_client_can_be_replaced() -> None:
    """backtests/engine/build.py puts NextPrintClient in the place of the exchange's own client."""

    class Client(BacktestExecClient):
        seen = 0

        def submit_order(self, command: Any) -> None:
            Client.seen += 1
            super().submit_order(command)

    module = Module()
    engine = bare_engine(modules=[module])
    engine.add_instrument(perpetual())
    kernel, exchange = engine.kernel, module.exchange
    assert exchange.id == BYBIT
    kernel.exec_engine.deregister_client(exchange.exec_client)
    client = Client(exchange, kernel.msgbus, kernel.cache, kernel.clock)
    exchange.register_client(client)
    kernel.exec_engine.register_client(client)
    script = buying_one(engine)
    assert len(script.fills) == Client.seen == 1


def test_a_simulation_module_has_the_engines_clock_and_bus_and_moves_the_balance() -> None:
    """backtests/engine/accountant.py lives on timers and adjusts the account."""
    module = Module()
    engine = bare_engine(modules=[module])
    engine.add_instrument(perpetual())
    assert module.msgbus is engine.kernel.msgbus
    assert module.cache is not None
    rung: list[int] = []

    def pay(event: Any) -> None:
        rung.append(module.clock.timestamp_ns())
        module.exchange.adjust_account(Money(-3, USDT))

    module.clock.set_time_alert_ns("pay", at(2) - 1, pay)
    engine.add_data(plain_bars(perpetual(), [100, 100, 100]))
    engine.run()
    assert rung == [at(2) - 1]
    assert balance(engine) == 9_997
    # It is called at every event besides, which costs: the accountant does nothing there.
    assert module.calls >= 3


def test_cash_venues_refuse_perpetuals() -> None:
    """Why the one account, spot included, is a margin account."""
    engine = bare_engine(account_type=AccountType.CASH, default_leverage=None)
    with pytest.raises(InvalidConfiguration, match="CASH"):
        engine.add_instrument(perpetual())
