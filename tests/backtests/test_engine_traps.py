"""What the desk works around in nautilus_trader 1.231.0, one test a trap.

A test that fails after an upgrade names what has changed, and so which workaround may go (or has
become wrong). Beside each stands where the workaround lives.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal as D
from typing import Any

import nautilus_trader
import nautilus_trader.analysis.analyzer as analyzer_module
import pandas as pd
import pytest
from nautilus_trader.backtest.engine import BacktestEngine
from nautilus_trader.backtest.models import LatencyModel
from nautilus_trader.common.config import InvalidConfiguration
from nautilus_trader.config import StrategyConfig
from nautilus_trader.model.data import Bar, BarType, FundingRateUpdate
from nautilus_trader.model.enums import AccountType, OrderSide, TradingState, TriggerType
from nautilus_trader.model.identifiers import InstrumentId
from nautilus_trader.model.instruments import CryptoPerpetual
from nautilus_trader.model.objects import Money, Quantity
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
    """So a decision at a close knows every candle of it (strategies/rebalance/rebalancer.py)."""
    heard: list[str] = []

    class Listener(Strategy):
        def on_start(self) -> None:
            for name in (A, B):
                self.subscribe_bars(BarType.from_str(f"{name}-1-HOUR-LAST-EXTERNAL"))
            self.clock.set_time_alert_ns("alert", at(2), lambda event: heard.append("alert"))

        def on_bar(self, bar: Bar) -> None:
            heard.append(f"{str(bar.bar_type)[:3]} {(bar.ts_event - START) // HOUR}")

    engine = bare_engine(perpetual(A), perpetual(B))
    engine.add_strategy(Listener(StrategyConfig()))
    engine.add_data(plain_bars(perpetual(A), [1, 1, 1]) + plain_bars(perpetual(B), [1, 1, 1]))
    engine.run()
    assert heard == ["AAA 1", "BBB 1", "AAA 2", "BBB 2", "alert", "AAA 3", "BBB 3"]


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


# -- what the engine does not check (actors/gate/rules.py) -----------------------------------------


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
    """100 a second by default; backtests/engine/build.py sets another rate."""

    def many(script: Script) -> None:
        for _ in range(101):
            script.trade(A, "1")

    _, script = run({at(1): many}, plain_bars(perpetual(), [100, 100]))
    assert len(script.fills) == 100
    assert script.denials == ["Exceeded MAX_ORDER_SUBMIT_RATE"]


def state(value: TradingState) -> Callable[[BacktestEngine], None]:
    return lambda engine: engine.kernel.risk_engine.set_trading_state(value)


@pytest.mark.parametrize(
    ("value", "then", "fills", "denials"),
    [(TradingState.HALTED, "-1", 1, ["TradingState.HALTED"]), (TradingState.REDUCING, "-3", 2, [])],
)
def test_halted_denies_exits_and_reducing_lets_a_position_flip(
    value: TradingState, then: str, fills: int, denials: list[str]
) -> None:
    engines: list[BacktestEngine] = []
    stop: Callable[[Script], None] = lambda script: state(value)(engines[0])  # noqa: E731
    plan = {at(1): trading(A, "1"), at(2): stop, at(2, 1): trading(A, then)}
    _, script = run(plan, plain_bars(perpetual(), [100, 100, 100, 100]), engines.append)
    assert (len(script.fills), script.denials) == (fills, denials)


def test_reducing_lets_a_position_open_from_flat() -> None:
    plan, bars = {at(1): trading(A, "1")}, plain_bars(perpetual(), [100, 100])
    _, script = run(plan, bars, state(TradingState.REDUCING))
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


# -- what the engine does not settle (backtests/engine/accountant.py) ------------------------------


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


# -- figures (actors/measures.py) ------------------------------------------------------------------


def test_the_engines_sharpe_counts_252_days_and_its_drawdown_is_missing() -> None:
    analyzer = bare_engine(perpetual()).kernel.portfolio.analyzer
    names = list(analyzer._statistics)
    assert "Sharpe Ratio (252 days)" in names
    assert not any("drawdown" in name.lower() for name in names)


# -- slices (backtests/run.py) ---------------------------------------------------------------------


def test_timers_behind_a_slices_last_event_wait_for_the_next_slice_or_the_end() -> None:
    """Why the accountant keeps rows over and the recorder draws a slice late."""
    rung: list[int] = []
    engine = bare_engine(perpetual())
    times = {at(1, 1800): 1, at(2): 2, at(3, 1800): 3}
    engine.add_strategy(Script({ts: lambda s, n=n: rung.append(n) for ts, n in times.items()}))
    for first, last, expected in ((0, 2, []), (2, 4, [1, 2])):
        engine.add_data(plain_bars(perpetual(), [100], first=first // 2))
        engine.run(start=at(first), end=at(last) - 1, streaming=True)
        engine.clear_data()
        assert rung == expected
    engine.end()
    assert rung == [1, 2, 3]


class Faulty(Script):
    """Breaks in one of the engine's calls."""

    def __init__(self, where: str) -> None:
        super().__init__({at(1): self._timer, at(1, 1): trading(A, "1")})
        self._where = where

    def on_start(self) -> None:
        super().on_start()
        self.subscribe_bars(BarType.from_str(f"{A}-1-HOUR-LAST-EXTERNAL"))

    def _break(self, where: str) -> None:
        if where == self._where:
            raise ZeroDivisionError

    def _timer(self, script: Script) -> None:
        self._break("timer")

    def on_bar(self, bar: Bar) -> None:
        self._break("bar")

    def on_order_filled(self, event: Any) -> None:
        self._break("fill")


@pytest.mark.parametrize("streaming", [False, True])
@pytest.mark.parametrize("where", ["bar", "fill", "timer"])
def test_a_strategys_exception_ends_the_run(where: str, streaming: bool) -> None:
    engine = bare_engine(perpetual())
    engine.add_strategy(Faulty(where))
    engine.add_data(plain_bars(perpetual(), [100, 100, 100]))
    with pytest.raises(ZeroDivisionError):
        engine.run(start=at(0), end=at(4), streaming=streaming)


# -- the account (backtests/engine/build.py) -------------------------------------------------------


def test_cash_venues_refuse_perpetuals() -> None:
    """Why the one account, spot included, is a margin account."""
    engine = bare_engine(account_type=AccountType.CASH, default_leverage=None)
    with pytest.raises(InvalidConfiguration, match="CASH"):
        engine.add_instrument(perpetual())
