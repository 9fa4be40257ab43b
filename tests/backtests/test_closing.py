"""Strategies that misbehave on purpose, in the real engine: they are stopped, and flat.

The closer is added by hand, with a guard that is nobody: the tests publish its verdicts.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal as D
from typing import Any

import pytest
from nautilus_trader.core.uuid import UUID4
from nautilus_trader.execution.messages import SubmitOrder
from nautilus_trader.model.data import BarType, TradeTick
from nautilus_trader.model.enums import OrderSide, OrderStatus, TradingState, TriggerType
from nautilus_trader.model.identifiers import InstrumentId, StrategyId
from nautilus_trader.model.objects import Quantity
from nautilus_trader.model.orders import MarketOrder, Order

from actors.closing.closer import Closer
from backtests.engine.build import BacktestDesk
from backtests.engine.engine_costs import mended
from backtests.engine.market import market_of
from config.documents.setup import RiskSettings
from config.documents.watch import ThrottleSettings as Pace
from live_nodes.bybit.throttle import OrderThrottle
from strategies.base import DeskStrategy, DeskStrategyConfig
from strategies.messages import Action, Verdict
from strategies.order_ids import is_closers
from tests.builders_engine import (
    HOUR,
    SPOT,
    START,
    A,
    B,
    Candles,
    Script,
    at,
    desk_of,
    feed,
    info,
    price,
    publishing,
    resting,
    scripted,
    slices,
    trading,
    venue,
)

ID = InstrumentId.from_str(A)
LEVEL = Candles([100.0] * 8)
Step = Callable[[Any], None]
AT_ONCE = RiskSettings(exit_grace=0)
BUY_10: tuple[int, Step] = (at(1), trading(A, "10"))
FLATTEN_AT_2: tuple[int, Step] = (at(2, 600), publishing(Action.FLATTEN))


class Played:
    """A run with a closer in it, and what it said, in candles since the start."""

    def __init__(
        self,
        *strategies: Any,
        tape: Mapping[str, Candles] | None = None,
        risk: RiskSettings = AT_ONCE,
        facts: Mapping[str, Mapping[str, Any]] | None = None,
        document: Any = None,
        built: Callable[[Closer], None] = lambda closer: None,
        desks: list[BacktestDesk] | None = None,
    ) -> None:
        self.news: list[tuple[float, str, str]] = []
        tape = tape or {A: LEVEL}
        document = document or venue()
        market = market_of([info(n, **(facts or {}).get(n, {})) for n in tape], document)
        with mended():
            self.desk: BacktestDesk = desk_of(market, document, *strategies)
            kernel = self.desk.engine.kernel
            self.clock = kernel.clock
            self.closer = Closer(
                risk,
                self.desk.gate,
                self.desk.accountant,
                {name: str(strategies[0].id.get_tag()) for name in market.ids},
                risk_engine=kernel.risk_engine,
                on_news=lambda kind, text: self.news.append((self.candle(), kind, text)),
            )
            self.desk.engine.add_actor(self.closer)
            if desks is not None:
                desks.append(self.desk)
            built(self.closer)
            feed(self.desk, slices(market, tape, prints=document.fills == "next_open"))

    def candle(self) -> float:
        return round((self.clock.timestamp_ns() - START) / HOUR, 4)

    @property
    def held(self) -> dict[str, D]:
        return {n: q for n, q in self.desk.accountant.ledger.quantities.items() if q}

    def closes(self) -> list[tuple[str, D]]:
        orders = [o for o in self.orders if is_closers(o.client_order_id.value)]
        return [(OrderStatus(o.status).name, o.quantity.as_decimal()) for o in orders]

    @property
    def orders(self) -> list[Any]:
        cache = self.desk.engine.kernel.cache
        return sorted(cache.orders(), key=lambda order: (order.ts_init, order.client_order_id))

    def left_alive(self) -> list[Any]:
        return [order for order in self.orders if not order.is_closed]


# -- strategies that ignore verdicts ---------------------------------------------------------------


def test_a_strategy_that_knows_nothing_of_verdicts_is_flat_with_the_next_print() -> None:
    """The verdict comes at 02:10, the grace is 5 s; the market opens at 03:00 and a second."""
    script = scripted(BUY_10, FLATTEN_AT_2)
    run = Played(script, risk=RiskSettings())
    assert run.held == {}
    closing = script.fills[1]
    assert (closing.last_qty.as_decimal(), closing.ts_event) == (10, at(3, 1))
    assert [(kind, text) for _, kind, text in run.news] == [
        ("closing", f"the desk closes what is left: {A}: 10.000 of script is held"),
        (
            "not_flat",
            f"NOT flat after 30.0 s: {A}: 10.000 of script is held; "
            f"{A}: order {closing.client_order_id} is on its way",
        ),
        ("flat", "flat after 3001.0 s"),
    ]
    # The fill is the strategy's own and closes its position.
    (trip,) = run.desk.accountant.ledger.closed
    assert (trip.strategy, trip.instrument, trip.ts_closed) == ("script", A, at(3, 1))
    assert run.desk.engine.kernel.cache.positions_open() == []
    assert closing.strategy_id == script.id


class Stubborn(Script):
    """Sends the same orders at every price, before and after a flatten at 02:10."""

    def __init__(self, then: Step) -> None:
        super().__init__(dict([FLATTEN_AT_2]))
        self.then = then
        self.ticks = 0

    def on_start(self) -> None:
        super().on_start()
        self.subscribe_trade_ticks(ID)
        self.subscribe_bars(BarType.from_str(f"{A}-1-HOUR-LAST-EXTERNAL"))

    def on_trade_tick(self, tick: TradeTick) -> None:
        self.ticks += 1
        self.then(self)

    def on_bar(self, bar: object) -> None:
        self.then(self)


def buys(strategy: Stubborn) -> None:
    for _ in range(3):
        strategy.trade(A, "1")


def turns(strategy: Stubborn) -> None:
    """Buy, then sell twice what is held: an exit that would open the other side."""
    held = strategy.portfolio.net_position(ID)
    strategy.trade(A, "5" if not held else f"{-2 * held}")


def rests_exits(strategy: Stubborn) -> None:
    """Buy once, then keep a full exit resting far from the market, beside any other."""
    held = strategy.portfolio.net_position(ID)
    if not held and strategy.ticks == 1:
        strategy.trade(A, "5")
    elif held:
        strategy.limit(A, f"{-held}", 900)


def rests_entries(strategy: Stubborn) -> None:
    if strategy.ticks == 1:
        strategy.trade(A, "5")
    strategy.limit(A, "1", 99)


def lists(strategy: Stubborn) -> None:
    make, size = strategy.order_factory, Quantity(D(1), 3)
    orders = [strategy.order(A, "1"), make.limit(ID, OrderSide.BUY, size, price(99))]
    strategy.submit_order_list(make.create_list(orders))


def emulates(strategy: Stubborn) -> None:
    """Buy once, then leave stops with the engine's emulator, which sends past the RiskEngine."""
    if strategy.ticks == 1:
        strategy.trade(A, "5")
    size, last = Quantity(D(1), 3), TriggerType.LAST_PRICE
    stop = strategy.order_factory.stop_market(
        ID, OrderSide.BUY, size, price(101), emulation_trigger=last
    )
    strategy.submit_order(stop)


def around_the_risk_engine(strategy: Script, order: Order | None = None) -> None:
    """Buy by a command to the execution engine itself."""
    order = order or strategy.order(A, "1")
    strategy.cache.add_order(order, None)
    command = SubmitOrder(strategy.trader_id, order.strategy_id, order, UUID4(), order.ts_init)
    strategy.msgbus.send(endpoint="ExecEngine.execute", msg=command)


@pytest.mark.parametrize(
    "then",
    [buys, turns, rests_exits, rests_entries, lists, emulates, around_the_risk_engine],
    ids=lambda then: then.__name__,
)
def test_a_strategy_that_goes_on_and_on_is_stopped_and_flat(then: Step) -> None:
    tape = {A: Candles([100.0] * 6, lows=[98.0] * 6, highs=[102.0] * 6)}
    strategy = Stubborn(then)
    run = Played(strategy, tape=tape)
    fills = run.desk.accountant.ledger
    assert [trip for trip in fills.closed if trip.ts_opened < at(2, 600)], "it never held anything"
    assert run.held == {}
    assert run.left_alive() == []
    # Nothing is opened after the verdict, which the first close after 02:10 ends.
    assert all(trip.ts_opened < at(2, 600) for trip in fills.closed)
    flat = [candle for candle, kind, _ in run.news if kind == "flat"]
    assert flat
    assert flat[0] <= 3.001


class DeafDesk(DeskStrategy):
    """Overrides what follows verdicts."""

    def on_start(self) -> None:
        super().on_start()
        self.clock.set_time_alert_ns("buy", at(1), lambda e: self.send_market(ID, D(10), "because"))
        ts, flatten = FLATTEN_AT_2
        self.clock.set_time_alert_ns("flatten", ts, lambda e: flatten(self))

    def on_flatten(self, instruments: object, verdict: Verdict) -> None:
        """Stay."""

    def on_halt(self, instruments: object, verdict: Verdict) -> None:
        """Go on."""


def test_a_strategy_of_the_desk_that_overrides_its_reactions_is_flat_all_the_same() -> None:
    deaf = DeafDesk(DeskStrategyConfig(key="deaf", instruments=(A,)))
    run = Played(deaf)
    assert run.held == {}
    assert run.closes() == [("FILLED", D(10))]
    # The closer's order is not the strategy's: it waits for nothing.
    assert not deaf.busy
    assert deaf.orders_under_way() == []


def test_a_strategy_that_enters_again_once_it_is_flat_is_refused() -> None:
    script = scripted(
        BUY_10,
        FLATTEN_AT_2,
        (at(3, 600), trading(A, "1")),
        (at(4, 600), publishing(Action.NONE)),
        (at(4, 700), trading(A, "2")),
    )
    run = Played(script)
    assert script.denials == ["order gate: flatten by drawdown: down 20 %"]
    assert run.held == {A: 2}


# -- what it must not do ---------------------------------------------------------------------------


GAP = Candles([100.0, 100.0, 100.0, None, None, 100.0, 100.0])


@pytest.mark.parametrize(
    ("steps", "settings", "closes", "last", "held"),
    [
        (
            [BUY_10, FLATTEN_AT_2, (at(2, 601), trading(A, "-10", reduce_only=True))],
            {"risk": RiskSettings()},
            [],
            at(3, 1),
            {},
        ),
        ([BUY_10, (at(2, 590), trading(A, "-4")), FLATTEN_AT_2], {}, ["6"], at(3, 1), {}),
        (
            [
                BUY_10,
                (at(1), trading(B, "9")),
                (at(2, 9), publishing(Action.FLATTEN, f"instrument:{A}")),
            ],
            {"tape": {A: LEVEL, B: LEVEL}},
            ["10"],
            at(3, 1),
            {B: 9},
        ),
        # A position above the largest order is closed by several, one below the smallest whole.
        (
            [*[(at(1), trading(A, "40"))] * 3, FLATTEN_AT_2],
            {"facts": {A: {"max_qty": "50"}}},
            ["40"] * 3,
            at(3, 1),
            {},
        ),
        (
            [(at(1), trading(A, "1")), (at(2), trading(A, "-0.9")), FLATTEN_AT_2],
            {"facts": {A: {"min_qty": "0.5"}}},
            ["0.1"],
            at(3, 1),
            {},
        ),
        # In a gap it waits for the next print, and does not send again.
        ([BUY_10, FLATTEN_AT_2], {"tape": {A: GAP}}, ["10"], at(5, 1), {}),
        (
            [BUY_10, FLATTEN_AT_2],
            {"document": venue(fills="signal_close")},
            ["10"],
            at(2, 600) + 1,
            {},
        ),
    ],
    ids=["left in its grace", "exit under way", "scope", "split", "small", "gap", "signal close"],
)
def test_it_closes_what_is_left_and_no_more(
    steps: list[tuple[int, Step]],
    settings: dict[str, Any],
    closes: list[str],
    last: int,
    held: dict[str, D],
) -> None:
    script = scripted(*steps)
    run = Played(script, **settings)
    assert run.closes() == [("FILLED", D(quantity)) for quantity in closes]
    assert run.held == held
    assert script.fills[-1].ts_event == last


def test_spot_is_sold_and_what_is_too_little_is_reported_once() -> None:
    script = scripted((at(1), trading(SPOT, "10")), FLATTEN_AT_2)
    run = Played(script, tape={SPOT: LEVEL})
    assert run.held == {}
    (sold,) = [o for o in run.orders if is_closers(o.client_order_id.value)]
    assert not sold.is_reduce_only

    script = scripted(
        (at(1), trading(SPOT, "10")),
        (at(2), trading(SPOT, "-9.99")),
        (at(3, 600), publishing(Action.FLATTEN)),
    )
    run = Played(script, tape={SPOT: LEVEL})
    assert run.held == {SPOT: D("0.01")}
    assert [kind for _, kind, _ in run.news] == ["dust", "flat"]


def test_entries_that_rest_are_cancelled_under_a_halt_and_exits_stay() -> None:
    script = scripted(
        BUY_10,
        (at(2), resting(A, "1", 50)),
        (at(2), resting(A, "-10", 900, reduce_only=True)),
        (at(2), resting(A, "-10", 900)),
        (at(3, 600), publishing(Action.HALT_ENTRIES)),
    )
    run = Played(script, risk=RiskSettings())
    found = sorted(OrderStatus(o.status).name for o in run.orders)
    assert found == ["ACCEPTED", "ACCEPTED", "CANCELED", "FILLED"]
    assert run.held == {A: 10}


# -- the second lock -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("said", "locked"),
    [
        ({"action": Action.FLATTEN}, True),
        ({"action": Action.FLATTEN, "transient": True}, False),
        ({"action": Action.FLATTEN, "scope": "strategy:script"}, False),
        ({"action": Action.REDUCE_ONLY}, False),
        ({"action": Action.HALT_ENTRIES}, False),
        ({"action": Action.FLATTEN, "until": at(3, 600)}, True),
    ],
)
def test_the_engine_is_reducing_while_the_whole_desk_must_be_flat_for_good(
    said: dict[str, Any], locked: bool
) -> None:
    desks: list[BacktestDesk] = []
    states: list[TradingState] = []

    def look(script: Script) -> None:
        states.append(desks[0].engine.kernel.risk_engine.trading_state)

    script = scripted(
        BUY_10,
        (at(1, 1), look),
        (at(2, 600), publishing(**said)),
        (at(2, 700), look),
        (at(4), publishing(Action.NONE, scope=said.get("scope", "desk"))),
        (at(4, 1), look),
    )
    Played(script, desks=desks)
    there = TradingState.REDUCING if locked else TradingState.ACTIVE
    assert states == [TradingState.ACTIVE, there, TradingState.ACTIVE]


def test_the_second_lock_denies_what_would_enlarge_and_lets_every_exit_pass() -> None:
    """What it denies never reaches the gate, which counts no refusal for it."""
    script = scripted(
        BUY_10, FLATTEN_AT_2, (at(2, 601), trading(A, "1")), (at(2, 602), trading(A, "-10"))
    )
    run = Played(script, risk=RiskSettings())
    assert script.denials == [f"BUY when TradingState.REDUCING and LONG {A}"]
    assert run.desk.gate.refusals == 0
    assert run.held == {}


# -- a restart, and external positions -------------------------------------------------------------


def external_buy(script: Script) -> None:
    """Buy past every strategy, as reconciliation finds a position of no strategy."""
    made = script.order(A, "10")
    facts = (made.client_order_id, made.side, made.quantity, UUID4(), script.clock.timestamp_ns())
    owned = MarketOrder(script.trader_id, StrategyId("EXTERNAL"), ID, *facts)
    around_the_risk_engine(script, owned)


def test_an_external_position_is_closed_in_its_own_name() -> None:
    risk = RiskSettings(exit_grace=0, external="universe")
    run = Played(scripted((at(1), external_buy), FLATTEN_AT_2), risk=risk)
    assert run.held == {}
    (order,) = [o for o in run.orders if is_closers(o.client_order_id.value)]
    assert order.strategy_id.value == "EXTERNAL"
    assert order.client_order_id.value.startswith("bt-external-z")


def test_a_flatten_that_stands_at_its_start_is_carried_on() -> None:
    """Guards repeat after a restart what stood, before the closer runs."""
    found: list[Closer] = []
    stop, resume = (at(2), lambda s: found[0].stop()), (at(4, 600), lambda s: found[0].resume())
    run = Played(scripted(BUY_10, stop, FLATTEN_AT_2, resume), built=found.append)
    closes = [order.ts_init for order in run.orders if is_closers(order.client_order_id.value)]
    assert closes == [at(4, 600) + 1]
    assert run.held == {}


def test_fifty_positions_leave_at_the_pace_that_the_venue_allows() -> None:
    """At five orders a second, each of them cancels and closes: a hundred commands, 19 s."""
    names = [f"A{n:02d}USDT-LINEAR.BYBIT" for n in range(50)]
    level = Candles([100.0] * 5)
    script = scripted(*((at(1), trading(name, "1")) for name in names), FLATTEN_AT_2)
    paces: list[OrderThrottle] = []

    def paced(closer: Closer) -> None:
        desk = desks[0]
        clock = desk.engine.kernel.clock
        number = iter(range(10_000))

        def call_later(seconds: float, then: Callable[[], None]) -> None:
            moment = clock.timestamp_ns() + round(seconds * 1e9)
            clock.set_time_alert_ns(f"pace {next(number)}", moment, lambda event: then())

        pace = Pace(per_second=5, burst=5)
        paces.append(OrderThrottle(desk.gate, pace, clock.timestamp_ns, call_later))
        desk.gate.sender = paces[0]

    desks: list[BacktestDesk] = []
    run = Played(
        script,
        tape=dict.fromkeys(names, level),
        document=venue(fills="signal_close"),
        built=paced,
        desks=desks,
    )
    assert run.held == {}
    assert run.closes() == [("FILLED", D(1))] * 50
    assert paces[0].delayed > 40
    (flat,) = [text for _, kind, text in run.news if kind == "flat"]
    assert 8 < float(flat.split()[2]) < 20
