"""Guards in the real backtest engine: when they look, what their orders fill at, what is left."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import msgspec
import numpy as np
import pytest

from actors.desk.guard import GuardActor
from actors.desk.risk_desk import AGAIN
from actors.guards.consecutive_losses import ConsecutiveLosses
from actors.guards.cooldown import Cooldown
from actors.guards.core.halts import Latches, step, verdicts
from actors.guards.core.snapshot import Holding, Input, Snapshot
from actors.guards.core.snapshot import Market as MarketFact
from actors.guards.daily_loss import DailyLoss
from actors.guards.funding_window import FundingWindow
from actors.guards.maintenance import Maintenance, Window
from backtests.engine.accountant import TIMER
from backtests.engine.build import subscribe
from backtests.engine.feed import FeedSlice, PriceGrid, Settlement
from backtests.results.recorder import RunRecorder
from backtests.results.result import read
from backtests.session import backtest_document
from strategies.base import DeskStrategy, DeskStrategyConfig
from strategies.messages import Action, Verdict, encode
from strategies.state import MemoryState
from tests.actors.guards.playing import plain
from tests.actors.tiny_guards import Loss, LossGuard, LossParams
from tests.backtests import guarded_run
from tests.builders_engine import (
    HOUR,
    SECOND,
    SPOT,
    A,
    B,
    Candles,
    Script,
    at,
    bare_engine,
    desk_of,
    feed,
    info,
    market_of,
    mended,
    open_print,
    perpetual,
    plain_bars,
    play,
    slices,
    trading,
    venue,
)

FALLING = Candles(opens=[100, 101, 102, 92, 82, 72, 62], closes=[100.5, 101.5, 93, 83, 73, 63, 53])
"""Bought at 101, a position of 10 has lost 80 at the close of 93, and 180 at that of 83."""


class Leaver(Script):
    """Sells what it has at the first verdict."""

    def on_start(self) -> None:
        super().on_start()
        self.msgbus.subscribe("verdicts.*", self._leave)

    def _leave(self, verdict: Verdict) -> None:
        if verdict.action != Action.NONE:
            self.trade(A, "-10", reduce_only=True)


def keeping(snapshots: list[Snapshot]) -> Callable[[Input], None]:
    return lambda seen: snapshots.append(seen) if isinstance(seen, Snapshot) else None


def bought_and_left(fills: str) -> tuple[Script, Script, list[Snapshot]]:
    """Return one that leaves on a verdict at the close of 83, and one that sells at that stamp."""
    leaver = Leaver({at(1): trading(A, "10")}, "leaver")
    decider = Script({at(1): trading(A, "10"), at(4): trading(A, "-10")}, "decider")
    snapshots: list[Snapshot] = []
    play(
        {A: FALLING},
        leaver,
        decider,
        document=venue(fills=fills),
        # Both lose alike: 2 x 180.
        guards={"loss": Loss(limit=300.0)},
        hear={"risk.seen": keeping(snapshots)},
    )
    return leaver, decider, snapshots


# -- when guards look, and what orders of that moment fill at --------------------------------------


def test_guards_evaluate_one_nanosecond_before_each_stamp_at_its_closes():
    _, _, snapshots = bought_and_left("next_open")
    assert [snapshot.now for snapshot in snapshots] == [at(hour) - 1 for hour in range(1, 8)]
    # Worth 10,000 + 20 x (close - 101) until both have left.
    assert [snapshot.equity for snapshot in snapshots[:4]] == [10_000, 10_010, 9_840, 9_640]


@pytest.mark.parametrize(
    ("fills", "price", "delay"), [("next_open", 82, SECOND), ("signal_close", 83, 0)]
)
def test_orders_on_a_verdict_fill_as_the_orders_of_that_stamp(fills, price, delay):
    """Neither at the close of 93 before it, nor, where opens fill, at the close of 83 itself."""
    leaver, decider, _ = bought_and_left(fills)
    for script in (leaver, decider):
        left = script.fills[1]
        assert (left.last_px.as_decimal(), left.ts_event) == (price, at(4) + delay)
    assert leaver.fills[1].last_qty == decider.fills[1].last_qty


@pytest.mark.parametrize("fills", ["next_open", "signal_close"])
def test_an_order_sent_and_cancelled_on_a_verdict_never_fills(fills):
    class Wavering(Leaver):
        def _leave(self, verdict: Verdict) -> None:
            if verdict.action != Action.NONE:
                self.cancel_order(self.trade(A, "-10", reduce_only=True))

    script = Wavering({at(1): trading(A, "10")})
    play({A: FALLING}, script, document=venue(fills=fills), guards={"loss": Loss(limit=150.0)})
    assert [fill.last_qty.as_decimal() for fill in script.fills] == [10]


def test_a_verdict_refuses_the_entries_of_its_very_stamp_and_no_exit():
    script = Script(
        {
            at(1): trading(A, "10"),
            at(3): trading(A, "1"),
            at(4): trading(A, "1"),
            at(5): trading(A, "-10"),
        }
    )
    desk = play({A: FALLING}, script, guards={"loss": Loss(limit=180.0)})
    assert script.denials == ["order gate: halt_entries by loss: 189 lost"]
    assert [fill.last_qty.as_decimal() for fill in script.fills] == [10, 1, 10]
    assert desk.gate.refusals == 1


def test_a_flatten_that_a_strategy_ignores_is_carried_out_by_the_closer():
    script = Script({at(1): trading(A, "10")})
    guard = Loss(params=LossParams(limit=150.0, action="flatten"))
    desk = play({A: FALLING}, script, guards={"loss": guard})
    assert desk.accountant.position(A) == 0
    closing = script.fills[1]
    # Wanted at the close of 83, at the stamp 4: gone at the next open that comes 5 s after it.
    assert (closing.last_px.as_decimal(), closing.ts_event) == (72, at(5) + SECOND)


# -- when halts end --------------------------------------------------------------------------------


def on_daily_candles(
    script: Script, guards: dict[str, GuardActor], opens: list[float], closes: list[float]
) -> tuple[list[Snapshot], list[tuple[int, Verdict]]]:
    market = market_of([info(A)], venue())
    prints = [
        open_print(market.instruments[0], price, at(24 * day) + SECOND)
        for day, price in enumerate(opens)
    ]
    days = np.array([at(24 * (day + 1)) for day in range(len(closes))], dtype=np.int64)
    close = np.array(closes).reshape(-1, 1)
    part = FeedSlice(at(0), int(days[-1]), list(prints), PriceGrid(days, close, close, close), [])
    snapshots: list[Snapshot] = []
    said: list[tuple[int, Verdict]] = []
    with mended():
        desk = desk_of(market, venue(), script, before={A: 100.0}, guards=guards)
        clock = desk.engine.kernel.clock
        subscribe(desk, "risk.seen", keeping(snapshots))
        subscribe(desk, "verdicts.*", lambda verdict: said.append((clock.timestamp_ns(), verdict)))
        feed(desk, [part])
    return snapshots, said


def test_a_halt_ends_at_midnight_or_goes_on_then_however_far_the_next_prices_are():
    script = Script(
        {
            at(0, 300): trading(A, "10"),
            # Still 200 lost: refused at the midnight at which it was to end, and after it.
            at(48): trading(A, "1"),
            at(48, 300): trading(A, "1"),
            # At the close of the day before only 20 are lost.
            at(72): trading(A, "1"),
            at(72, 300): trading(A, "1"),
        }
    )
    _, said = on_daily_candles(
        script,
        {"loss": Loss(limit=150.0, release="next_day")},
        opens=[100, 100, 80, 98, 98],
        closes=[100, 80, 98, 98, 98],
    )
    assert len(script.denials) == 2
    assert [fill.last_qty.as_decimal() for fill in script.fills] == [10, 1, 1]
    assert [(ts, verdict.action, verdict.until) for ts, verdict in said] == [
        (at(48) - 1, Action.HALT_ENTRIES, at(48)),
        (at(48), Action.HALT_ENTRIES, at(72)),
        (at(72), Action.NONE, None),
    ]


def test_a_day_begins_at_its_midnight_however_far_the_next_prices_are():
    """A day's candle that loses 200 is a loss of that day, of which 100 are too much."""
    script = Script({at(0, 300): trading(A, "10")})
    guard = GuardActor(
        "daily", DailyLoss(DailyLoss.Config(limit_currency=100.0, action="halt_entries"))
    )
    snapshots, said = on_daily_candles(
        script, {"daily": guard}, opens=[100, 100, 80, 80], closes=[100, 80, 80, 80]
    )
    closes = [at(24 * day) - 1 for day in (1, 2, 3, 4)]
    midnights = [at(24 * day) for day in (1, 2, 3)]
    # The first order asks for a look before there is any.
    assert [snapshot.now for snapshot in snapshots] == sorted([at(0, 300), *closes, *midnights])
    # A look for the time alone is no sample of prices.
    assert [snapshot.now for snapshot in snapshots if not snapshot.moved] == midnights
    assert [(ts, verdict.action) for ts, verdict in said] == [
        (at(48) - 1, Action.HALT_ENTRIES),
        (at(48), Action.NONE),
    ]


class Daily(Script):
    """Decides each day, some minutes after midnight."""

    def schedule(self) -> tuple[int, int]:
        return 24 * HOUR, min(self._plan) - at(0)


@pytest.mark.parametrize("second", [0, 300])
def test_a_day_that_lost_too_much_holds_back_the_decision_after_its_midnight(second):
    """On daily candles a day's loss is seen at its last nanosecond, and decided on afterwards."""
    plan = {at(0, second): "10", at(48, second): "1", at(72, second): "2"}
    script = Daily({ts: trading(A, quantity) for ts, quantity in plan.items()})
    guard = GuardActor(
        "daily", DailyLoss(DailyLoss.Config(limit_currency=100.0, action="halt_entries"))
    )
    _, said = on_daily_candles(
        script, {"daily": guard}, opens=[100, 100, 80, 80, 80], closes=[100, 80, 80, 80, 80]
    )
    assert len(script.denials) == 1
    assert [fill.last_qty.as_decimal() for fill in script.fills] == [10, 2]
    assert [(ts, verdict.action) for ts, verdict in said] == [
        (at(48) - 1, Action.HALT_ENTRIES),
        (at(48, second + 300), Action.NONE),
    ]


def test_a_halt_that_ends_when_new_prices_come_is_judged_by_these_alone():
    """A pause of an hour, from one row to the next: the prices of the row before count no more."""
    said: list[Verdict] = []
    snapshots: list[Snapshot] = []
    play(
        {A: Candles(opens=[100, 100, 100, 80, 101, 101], closes=[100, 100, 80, 101, 101, 101])},
        Script({at(1): trading(A, "10")}),
        guards={"loss": Loss(limit=150.0, release="1h")},
        hear={"verdicts.*": said.append, "risk.seen": keeping(snapshots)},
    )
    assert [verdict.action for verdict in said] == [Action.HALT_ENTRIES, Action.NONE]
    assert [snapshot.now for snapshot in snapshots] == [at(hour) - 1 for hour in range(1, 7)]


@pytest.mark.parametrize(
    "guard",
    [
        FundingWindow(FundingWindow.Config(before="3m", after="3m")),
        Maintenance(
            Maintenance.Config(
                windows=(Window(start="2023-11-15T08:00:00Z", end="2023-11-15T08:03:00Z"),),
                before="10m",
            )
        ),
        # What closes at a loss is sold at the open of 08:00, a second after it.
        Cooldown(Cooldown.Config(after_loss="179s")),
        ConsecutiveLosses(ConsecutiveLosses.Config(losses=1, release="179s")),
    ],
    ids=["funding", "maintenance", "cooldown", "losses"],
)
def test_a_window_ends_to_the_nanosecond(guard):
    end = at(8, 180)
    opens = [100.0] * 7 + [90.0] * 5
    script = Script(
        {
            at(1): trading(A, "10"),
            at(7, 3599): trading(A, "-10"),
            end - 1: trading(A, "1"),
            end: trading(A, "2"),
        }
    )
    said: list[tuple[int, Verdict]] = []
    play(
        {A: Candles(opens)},
        script,
        guards={"g": GuardActor("g", guard)},
        settlements=[Settlement(at(8), A, Decimal("0.0001"), Decimal(90))],
        hear={"verdicts.*": lambda v: said.append((script.clock.timestamp_ns(), v))},
    )
    assert len(script.denials) == 1
    assert [fill.last_qty.as_decimal() for fill in script.fills] == [10, 10, 2]
    assert [(ts, v.action) for ts, v in said][-1] == (end, Action.NONE)


def test_timers_of_one_moment_are_called_in_the_order_of_their_names():
    """Or a strategy that decides when a halt ends would be refused, or not, at random."""
    called: list[str] = []
    engine = bare_engine(perpetual())
    clocks = [engine.kernel.clock]
    for key in ("one", "two"):
        script = Script({}, key)
        engine.add_strategy(script)
        clocks.append(script.clock)
    names = ["step", AGAIN, "b", TIMER, "zz", "a"]
    for number, name in enumerate(names):
        clock = clocks[number % 3]
        clock.set_time_alert_ns(name, at(2), lambda event: called.append(event.name))
    engine.add_data(plain_bars(perpetual(), [100, 101, 102, 103]))
    engine.run()
    assert called == sorted(names)
    assert called.index(TIMER) < called.index(AGAIN) < called.index("step")


# -- what they are shown ---------------------------------------------------------------------------


def seen_in(
    tape: dict[str, Candles],
    *scripts: Script,
    needs: frozenset[Any] = frozenset({"markets"}),
    **more: Any,
) -> list[Input]:
    class Needs(LossGuard):
        pass

    Needs.needs = needs

    class Needy(Loss):
        runs = Needs

    heard: list[Input] = []
    play(tape, *scripts, guards={"loss": Needy()}, hear={"risk.seen": heard.append}, **more)
    return heard


def pulses_of(heard: list[Input]) -> list[Snapshot]:
    return [seen for seen in heard if isinstance(seen, Snapshot)]


def test_a_snapshot_shows_holdings_and_what_each_strategy_made():
    one = Script({at(1): trading(A, "10"), at(3): trading(A, "-4")}, "one")
    two = Script({at(1): trading(B, "-1")}, "two")
    funding = [Settlement(at(2), A, Decimal("0.01"), Decimal(100))]
    heard = seen_in(
        {A: Candles([100, 100, 110, 120, 130]), B: Candles([50, 50, 50, 40, 30])},
        one,
        two,
        settlements=funding,
        needs=frozenset({"results_by_instrument"}),
    )
    snapshot = pulses_of(heard)[3]
    holding = {"entry": Decimal(100), "price": Decimal(120)}
    assert snapshot.holdings == (
        Holding(strategy="one", instrument=A, quantity=Decimal(6), **holding),
        Holding(
            strategy="two", instrument=B, quantity=Decimal(-1), entry=Decimal(50), price=Decimal(40)
        ),
    )
    # 10 paid for funding; 4 sold 20 higher, 6 held 20 higher.
    assert snapshot.results == {"one": Decimal(190), "two": Decimal(10)}
    assert snapshot.results_by_instrument == {A: Decimal(190), B: Decimal(10)}
    assert snapshot.equity == Decimal(10_200)
    # What is realised: 80 - 10.
    assert snapshot.balance == Decimal(10_070)


def test_markets_are_shown_without_looking_ahead():
    tape = {
        A: Candles([100, 101, None, None, 104, 105]),
        SPOT: Candles([10, 11, 12, 13, 14, 15]),
        B: Candles([None, None, None, 7, 8, 9]),
    }
    heard = seen_in(tape, facts={A: {"funding_minutes": 240}}, delisted={SPOT: 4})
    markets = [snapshot.markets for snapshot in pulses_of(heard)]
    assert [m[A].silent_ns for m in markets] == [0, 0, HOUR, 2 * HOUR, 0, 0]
    assert [m[A].price for m in markets] == [100, 101, 101, 101, 104, 105]
    # At the stamp itself the settlement is due at once, 1 ns later.
    assert [m[A].next_funding_ns for m in markets] == [at(4)] * 4 + [at(8)] * 2
    assert [m[B].silent_ns for m in markets] == [None, None, None, 0, 0, 0]
    assert [m[B].price for m in markets][:4] == [None, None, None, 7]
    assert [m[SPOT].trading for m in markets] == [True] * 4 + [False] * 2
    assert markets[0][A] == MarketFact(
        price=Decimal(100),
        tick=Decimal("0.01"),
        silent_ns=0,
        next_funding_ns=at(4),
        maintenance_rate=Decimal("0.005"),
    )
    assert markets[0][SPOT].spot
    assert markets[0][SPOT].next_funding_ns is None


def test_what_is_delisted_is_halted_by_no_verdict():
    said: list[Verdict] = []
    play(
        {A: Candles([100] * 6), SPOT: Candles([10] * 6)},
        Script({at(1): trading(SPOT, "1")}),
        guards={"closed": GuardActor("closed", Maintenance(Maintenance.Config()))},
        delisted={SPOT: 4},
        hear={"verdicts.*": said.append},
    )
    assert said == []


def test_funding_is_expected_when_the_catalog_has_it():
    due = [Settlement(at(hour), A, Decimal(0), Decimal(100)) for hour in (1, 3)]
    heard = seen_in({A: Candles([100] * 5)}, settlements=due)
    expected = [snapshot.markets[A].next_funding_ns for snapshot in pulses_of(heard)]
    assert expected == [at(1), at(3), at(3), at(8), at(8)]


def test_a_liquidation_is_shown_before_the_snapshot_of_its_prices():
    script = Script({at(1): trading(A, "490")})
    tape = {A: Candles([100, 100, 100, 80, 80], lows=[100, 100, 79, 80, 80], closes=[100] * 5)}
    heard = seen_in(tape, script, needs=frozenset())
    kinds = [type(seen).__name__ for seen in heard]
    assert kinds == [
        *("Snapshot", "OrderRequested", "FillEvent", "VenueResponse", "Snapshot"),
        *("FillEvent", "RoundTripEvent", "VenueResponse", "Snapshot", "Snapshot", "Snapshot"),
    ]
    assert pulses_of(heard)[2].holdings == ()
    assert pulses_of(heard)[2].now == at(3) - 1


# -- over restarts ---------------------------------------------------------------------------------


class Idle(DeskStrategy):
    def on_start(self) -> None:
        super().on_start()
        self.knew = self.verdicts.strictest


def test_what_stood_before_a_restart_is_known_before_a_strategy_decides():
    store = MemoryState()
    play(
        {A: FALLING},
        Script({at(1): trading(A, "10")}),
        guards={"loss": Loss(limit=150.0, store=store)},
    )
    eager = Script({at(0): trading(A, "1")})
    idle = Idle(DeskStrategyConfig(key="idle", instruments=(A,)))
    said: list[Verdict] = []
    market = market_of([info(A)], venue())
    with mended():
        guards = {"loss": Loss(limit=150.0, store=store)}
        desk = desk_of(market, venue(), eager, before={A: 100.0}, guards=guards)
        desk.engine.add_strategy(idle)
        desk.engine.kernel.msgbus.subscribe("verdicts.*", said.append)
        feed(desk, slices(market, {A: FALLING}))
    assert idle.knew.reason == "180 lost"
    assert eager.denials == ["order gate: halt_entries by loss: 180 lost"]
    assert [verdict.reason for verdict in said] == ["180 lost"]


# -- failures --------------------------------------------------------------------------------------


class FailsAtAnOrder(LossGuard):
    def admit(self, state: object, order: object, snapshot: object) -> str:
        raise ZeroDivisionError("made to fail")


class FailingAtAnOrder(Loss):
    runs = FailsAtAnOrder


@pytest.mark.parametrize("guard", [Loss(fails_at=50), FailingAtAnOrder()], ids=["look", "order"])
def test_a_guard_that_fails_ends_the_run_by_its_own_error(guard):
    with pytest.raises(ZeroDivisionError, match="made to fail"):
        play({A: FALLING}, Script({at(1): trading(A, "10")}), guards={"loss": guard})


# -- what is left ----------------------------------------------------------------------------------


def test_verdicts_are_kept_in_the_result():
    market = market_of([info(A)], venue())
    script = Script({at(1): trading(A, "10"), at(5): trading(A, "-10")})
    params = LossParams(limit=150.0, action="shrink", size=0.25, release="1h")
    with mended():
        desk = desk_of(market, venue(), script, guards={"loss": Loss(params=params)})
        recorder = RunRecorder(desk, market, at(0), at(24))
        feed(desk, slices(market, {A: FALLING}), recorder.end_slice)
        recorder.end_run()
        table = recorder.tables()["verdicts"]
    row = {"guard": "loss", "scope": "desk", "action": "shrink", "multiplier": 0.25, "limit": 150.0}
    first, again = table.to_pylist()[:2]
    assert first == row | {
        "ts": at(4) - 1,
        "until": at(5) - 1,
        "measured": 180.0,
        "reason": "180 lost",
    }
    assert again == first | {"ts": at(5) - 1, "until": at(6) - 1}


def test_a_document_runs_under_its_guards_that_are_enabled(write_run, tmp_path):
    use = "actors.guards.daily_loss:DailyLoss"
    daily = {"use": use, "params": {"limit_pct": 0.01, "action": "halt_entries"}}
    idle = {"use": use, "params": {"limit_pct": 0.001}, "enabled": False}
    file = write_run(actors={"daily": daily, "idle": idle})
    result = read(backtest_document(file, out=tmp_path / "out"))
    halts = result.table("verdicts").column("action").to_pylist().count("halt_entries")
    assert halts > 0
    assert result.summary["verdicts"] == {"daily": halts}


def test_a_window_that_ends_within_a_candle_does_not_end_in_silence(write_run, tmp_path):
    """At 12:00 of the last day no daily candle could have closed since midnight."""
    stale = {"use": "actors.guards.stale_feed:StaleFeed", "params": {"limit": "6h"}}
    file = write_run(
        window={"start": "2023-02-01", "end": "2023-02-10 12:00"},
        venue={"execution_interval": "1d"},
        actors={"stale": stale},
    )
    result = read(backtest_document(file, out=tmp_path / "result"))
    assert result.summary["verdicts"] == {}


# -- the same again --------------------------------------------------------------------------------


class Played:
    """A guard's rule and latches, without guard and engine."""

    def __init__(self, guard: GuardActor) -> None:
        self.key, self.guard, self.params = guard.key, guard.guard, guard.params
        self.state: Any = None
        self.latches: Latches = ()
        self.said: dict[str, Verdict] = {}

    def observe(self, seen: Input) -> None:
        if self.state is None:
            if not isinstance(seen, Snapshot):
                return
            self.state = self.guard.start(seen)
        self.state, readings = self.guard.observe(self.state, seen)
        now = seen.now if isinstance(seen, Snapshot) else seen.ts
        self.latches = step(self.latches, readings, now, self.params)

    def words(self) -> dict[str, bytes]:
        found = verdicts(self.latches, self.key, transient=self.params.transient)
        for scope in self.said:
            if self.said[scope].action != Action.NONE:
                over = Verdict(action=Action.NONE, scope=scope, guard=self.key, reason="over")
                found.setdefault(scope, over)
        return {scope: encode(verdict) for scope, verdict in found.items()}


def test_a_tape_played_again_gives_the_same_verdicts_to_the_bit():
    tape: list[Any] = []
    guarded_run.run(tape, tape)
    played = {key: Played(guard) for key, guard in guarded_run.guards().items()}
    said = 0
    for heard in tape:
        if isinstance(heard, Verdict):
            said += 1
            assert played[heard.guard].words()[heard.scope] == encode(heard)
            played[heard.guard].said[heard.scope] = heard
            continue
        if isinstance(heard, Snapshot):
            # Before the next look everything was said that was to be said.
            for one in played.values():
                spoken = {scope: encode(v) for scope, v in one.said.items()}
                assert {s: w for s, w in one.words().items() if spoken.get(s) != w} == {}
        # As it would come back from a file.
        copy = msgspec.json.decode(msgspec.json.encode(heard, enc_hook=plain), type=type(heard))
        for one in played.values():
            one.observe(copy)
    assert said > 50


def test_a_run_under_guards_is_the_same_under_any_hash_seed():
    other = "1" if os.environ.get("PYTHONHASHSEED") == "4242" else "4242"
    done = subprocess.run(
        [sys.executable, "-m", "tests.backtests.guarded_run"],
        env=os.environ | {"PYTHONHASHSEED": other},
        stdout=subprocess.PIPE,
        text=True,
        timeout=120,
        check=True,
    )
    assert done.stdout.strip() == guarded_run.digest()
