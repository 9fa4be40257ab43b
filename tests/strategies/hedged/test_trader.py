"""Pairs in the real engine, on hand-made hourly candles."""

import re
from decimal import Decimal as D
from types import SimpleNamespace

import numpy as np
import pytest
from nautilus_trader.model.enums import OrderSide

from config.errors import DeskError
from strategies.engine_class import engine_class
from strategies.hedged import decide
from strategies.hedged.book import Ended
from strategies.hedged.positions import Spare
from strategies.messages import Action, Verdict
from strategies.pairs import Pairs, PairsConfig
from strategies.signals.cointegration import PairSelection
from strategies.signals.pair_parameters import Hedge, Selection
from strategies.state import MemoryState
from tests.builders_engine import A, B, Candles, at, play

C = "CCCUSDT-LINEAR.BYBIT"
RATIO = Hedge(model="ratio", z_lookback=4)


class Heard(engine_class(Pairs)):
    """Pairs that keep decisions, fills and ended changes, and do a plan's steps."""

    def __init__(self, config, plan=None):
        super().__init__(config)
        self.decisions, self.fills, self.ended, self.told, self.steps = [], [], [], [], plan or {}

    def on_start(self):
        super().on_start()
        for ts in self.steps:
            self.clock.set_time_alert_ns(f"{ts}", ts, lambda e: self.steps[e.ts_event](self))
        self.msgbus.subscribe("pairs.*", self.hear)

    def hear(self, event):
        if event.kind == "ended":
            self.ended.append(Ended(**event.facts))
        elif event.kind != "candle":
            self.told.append((event.ts, event.kind, event.facts))

    def publish(self, decision):
        self.decisions.append(decision)
        super().publish(decision)

    def on_order_filled(self, event):
        sign = 1 if event.order_side.name == "BUY" else -1
        self.fills.append(
            (event.ts_event, event.instrument_id.value[0], sign * event.last_qty.as_decimal())
        )


def pairs(plan=None, instruments=(A, B), **params):
    rules = {"pairs": ((A, B),), "hedge": RATIO, "entry": 2.0, "exit": 0.5, "stop": 30.0}
    config = PairsConfig(key="pairs", instruments=instruments, **(rules | params))
    return Heard(config, plan)


def played(plan=None, tape=None, store=None, settings=None, **params):
    strategy = pairs(plan, **params)
    if store is not None:
        strategy.attach_state(store)
    play(tape or TAPE, strategy, **(settings or {}))
    return strategy


# A wavers about 100 beside B at 50, is dear at 110 after the sixth candle, and comes back.
CLOSES = [100, 101, 100, 101, 100, 110, 110, 100, 100, 100]
TAPE = {
    A: Candles(opens=[100, *CLOSES[:-1]], closes=CLOSES),
    B: Candles(opens=[50] * len(CLOSES)),
}


def test_it_sells_the_dear_leg_and_buys_the_other_until_the_spread_is_back():
    strategy = played()
    entered, left = strategy.decisions
    # ln 2.2 against the last four, of ln 2 and ln 2.02: far beyond 2.
    assert (entered.ts, entered.data_ts) == (at(6), at(6))
    assert entered.note.startswith("AAAUSDT/BBBUSDT: enter short spread, z 15.")
    # 1,000 USDT a leg: 9.090 A at 110, 20 B at 50.
    orders = {t.instrument: t.order for t in entered.targets}
    assert orders == {A: "-9.090", B: "20.000"}
    assert left.note.startswith("AAAUSDT/BBBUSDT: exit, back at the mean")
    # The report's events say the same.
    assert [(ts, kind, facts["pair"]) for ts, kind, facts in strategy.told] == [
        (at(6), "enter", "AAAUSDT/BBBUSDT"), (at(8), "leave", "AAAUSDT/BBBUSDT")
    ]  # fmt: skip
    assert strategy.told[0][2]["trade"]["side"] == -1
    assert strategy.told[1][2]["cause"] == "mean"
    # Both legs in the same print, a second after the next candle's open.
    assert strategy.fills == [
        (at(6, 1), "A", D("-9.090")), (at(6, 1), "B", D(20)),
        (at(8, 1), "A", D("9.090")), (at(8, 1), "B", D(-20)),
    ]  # fmt: skip
    assert [(end.pair, end.cut) for end in strategy.ended] == [("AAAUSDT/BBBUSDT", "")] * 2
    assert strategy.memory.trades == {}


def test_swapped_legs_trade_the_same():
    one, other = played(), played(pairs=((B, A),))
    assert sorted(one.fills) == sorted(other.fills)


def test_two_pairs_that_share_a_leg_send_one_order():
    tape = TAPE | {C: TAPE[B]}
    strategy = played(instruments=(A, B, C), tape=tape, pairs=((A, B), (A, C)))
    assert strategy.fills[:3] == [
        (at(6, 1), "A", D("-18.180")), (at(6, 1), "B", D(20)), (at(6, 1), "C", D(20))
    ]  # fmt: skip
    (line, *_) = strategy.decisions[0].targets
    assert line.parts == {"AAAUSDT/BBBUSDT": "-9.090", "AAAUSDT/CCCUSDT": "-9.090"}


@pytest.mark.parametrize("scope", ["desk", f"instrument:{B}", "strategy:pairs"])
def test_a_halt_of_entries_enters_no_leg(scope):
    halt = Verdict(action=Action.HALT_ENTRIES, scope=scope, guard="drawdown", reason="down")
    strategy = played({at(1): lambda s: s.msgbus.publish("verdicts.drawdown", halt)})
    assert (strategy.fills, strategy.decisions) == ([], [])


@pytest.mark.parametrize("scope", ["desk", f"instrument:{B}", "strategy:pairs"])
@pytest.mark.parametrize(("when", "fills"), [(at(7, 1800), at(8, 1)), (at(8) + 1, at(9, 1))])
def test_under_a_halt_a_pair_leaves_with_that_it_was_netted_with(scope, when, fills):
    halt = Verdict(action=Action.HALT_ENTRIES, scope=scope, guard="drawdown", reason="down")
    # C is as cheap as A is dear, and gets cheaper yet: A/B leaves at 8, C/B would stay.
    closes = [100, 101, 100, 101, 100, 90, 90, 80, 70, 70]
    tape = TAPE | {C: Candles(opens=[100, *closes[:-1]], closes=closes)}
    strategy = played(
        {when: lambda s: s.msgbus.publish("verdicts.drawdown", halt)},
        tape, instruments=(A, B, C), pairs=((A, B), (C, B)),
    )  # fmt: skip
    # Both hold 20 B against each other: no order in B, neither in nor out. The exit of A/B is under
    # way at the second moment, too late for the next print.
    assert strategy.fills == [
        (at(6, 1), "A", D("-9.090")), (at(6, 1), "C", D("11.111")),
        (at(8, 1), "A", D("9.090")), (fills, "C", D("-11.111")),
    ]  # fmt: skip
    assert strategy.book.pairs == {}
    assert [facts["cause"] for _, kind, facts in strategy.told if kind == "leave"] == [
        "mean", "halted"
    ]  # fmt: skip


def test_a_leg_that_is_refused_leaves_no_naked_one():
    def refuse(strategy):
        send = strategy.send_market

        def denied(name, quantity, reason):
            if name.value == B and strategy.holding(name) == 0:
                quantity = D(10_000_000)
            send(name, quantity, reason)

        strategy.send_market = denied

    strategy = played({at(1): refuse}, settings={"facts": {B: {"max_qty": "1000000"}}})
    assert strategy.fills == []
    assert [d.note for d in strategy.decisions][1] == (
        "AAAUSDT/BBBUSDT: cut to what both legs have (refused)"
    )
    assert strategy.holdings() == {}


def test_flatten_leaves_whole_pairs_though_one_leg_is_named():
    flat = Verdict(action=Action.FLATTEN, scope=f"instrument:{B}", guard="spread", reason="wide")
    strategy = played({at(6, 1800): lambda s: s.msgbus.publish("verdicts.spread", flat)})
    assert [(d.kind, d.note) for d in strategy.decisions[1:]] == [("flatten", "wide")]
    assert strategy.fills[2:] == [(at(7, 1), "A", D("9.090")), (at(7, 1), "B", D(-20))]
    assert len(strategy.fills) == 4


def test_what_is_closed_by_hand_is_not_bought_back_and_the_other_leg_follows():
    def by_hand(strategy):
        instrument = strategy.instrument(strategy.instrument_ids[0])
        order = strategy.order_factory.market(instrument.id, OrderSide.BUY, instrument.make_qty(5))
        strategy.submit_order(order)

    strategy = played({at(6, 1800): by_hand})
    # 5 of 9.090 A are bought back: B shrinks to 4.090 / 9.090 of 20, rounded down.
    assert strategy.fills[2:4] == [(at(7, 1), "A", D(5)), (at(8, 1), "B", D("-11.002"))]


def test_a_price_between_candles_judges_each_pair_by_itself_after_another_has_closed(monkeypatch):
    def chosen(logs, rules):
        found = [] if strategy.book.pairs else [(0, 1), (0, 2)]
        return PairSelection(np.array(found, int).reshape(-1, 2), 3, 3, 2, 0.05)

    def check(strategy):
        mids = {A: 100, B: 50, C: 45}
        strategy.market.top_of_book = lambda name: SimpleNamespace(mid=mids[name.value])
        strategy._on_check(None)

    monkeypatch.setattr(decide, "select_pairs", chosen)
    strategy = pairs(
        {at(8, 1800): check}, (A, B, C), pairs=(), select=Selection(formation=5, every="1h")
    )
    # Both are entered, then chosen no more. At 8:00 A/B is back and closed; A/C stays, as C fell.
    play(TAPE | {C: Candles(opens=[50] * 7 + [45] * 3)}, strategy)
    assert [d.note.partition(":")[0] for d in strategy.decisions[1:]] == ["AAAUSDT/BBBUSDT"]
    assert strategy.book.pairs.keys() == {"AAAUSDT/CCCUSDT"}


def test_a_price_is_judged_by_the_warm_up_before_the_first_candle_closes():
    def check(strategy):
        mids = {A: 110, B: 50}
        strategy.market.top_of_book = lambda name: SimpleNamespace(mid=mids[name.value])
        strategy._on_check(None)

    closes = np.array([[100.0, 50], [101, 50], [100, 50], [101, 50], [100, 50], [101, 50]])
    ts = np.array([at(hour) for hour in range(-5, 1)])
    columns = dict.fromkeys(("open", "high", "low", "close", "volume"), closes)
    warm = SimpleNamespace(ids=(A, B), ts=ts, **columns)
    strategy = pairs({at(0, 1800): check})
    strategy.warm_up(warm, "1h")
    play(TAPE, strategy)
    assert strategy.decisions[0].ts == at(0, 1800)
    assert strategy.decisions[0].note.startswith("AAAUSDT/BBBUSDT: enter short spread")


def test_a_killed_trader_goes_on_from_its_state():
    store = MemoryState()
    first = pairs()
    first.attach_state(store)
    short = {n: Candles(opens=c.opens[:7], closes=None if c.closes is None else c.closes[:7])
             for n, c in TAPE.items()}  # fmt: skip
    play(short, first)
    assert first.memory.trades.keys() == {"AAAUSDT/BBBUSDT"}
    again = pairs()
    again.attach_state(store)
    assert again.book == first.book
    assert again.memory == first.memory
    # Without B its leg could neither be seen nor closed: the goal would be sent on top.
    other = pairs(instruments=(A, C), pairs=((A, C),))
    other.attach_state(store)
    held = re.escape(f"is no longer in its universe, and the venue holds 20.000 of {B}")
    with pytest.raises(DeskError, match=f"AAAUSDT/BBBUSDT is open, {B} {held}.*risk flatten"):
        other.check_state({B: D("20.000")})
    # Once it is settled, the pair is forgotten, and what is left of A is to be closed.
    other.check_state({A: D("-9.090")})
    assert (other.book.pairs, other.memory.trades) == ({}, {})
    assert other.book.positions.spare == {A: Spare(D(0), D("-9.090"))}
