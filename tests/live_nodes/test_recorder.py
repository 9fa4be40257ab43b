"""What a real engine tells arrives in the journal; a restart finds what was open."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from decimal import Decimal as D
from pathlib import Path

from nautilus_trader.core.uuid import UUID4
from nautilus_trader.model.enums import OrderSide
from nautilus_trader.model.events import OrderRejected
from nautilus_trader.model.identifiers import AccountId, InstrumentId
from nautilus_trader.model.objects import Quantity

from actors.records.journal import Journal
from backtests.engine.build import BacktestDesk
from backtests.engine.market import market_of
from live_nodes.node.audit import Audit
from live_nodes.reconcile.recorder import JournalRecorder
from strategies.messages import Action, Decision, Target, Verdict
from tests.builders_engine import (
    A,
    Candles,
    Script,
    at,
    desk_of,
    feed,
    info,
    price,
    slices,
    taker_fee,
    trading,
    venue,
)

Step = Callable[[Script], None]


def played(
    folder: Path, *steps: tuple[int, Step], prices: Candles | None = None
) -> tuple[Journal, BacktestDesk, JournalRecorder]:
    """Play steps with gate and engine writing into a journal, which stays open."""
    journal = Journal.open(folder, node="test")
    journal.begin_run(environment="practice", document="abc")
    document = venue(fees=taker_fee("0.001"))
    market = market_of([info(A)], document)
    desk = desk_of(market, document, Script(dict(steps)), before={A: 100.0})
    recorder = JournalRecorder(desk.engine.kernel, journal)
    desk.gate.observers.append(journal)
    feed(desk, slices(market, {A: prices or Candles([100.0] * 6)}))
    return journal, desk, recorder


def rest(script: Script) -> None:
    script.submit_order(
        script.order_factory.limit(
            InstrumentId.from_str(A), OrderSide.BUY, Quantity.from_str("1.000"), price(90)
        )
    )


def only(journal: Journal) -> str:
    return journal.intents()[0]["client_order_id"]


def test_a_fill_settles_its_order_and_explains_its_position(tmp_path: Path) -> None:
    journal, _, _ = played(tmp_path, (at(1, 5), trading(A, "5")))
    with journal:
        order = journal.order(only(journal))
        assert (order.status, order.final, order.filled) == ("FILLED", True, 5)
        (fill,) = journal.fills_since(0)
        assert (fill.quantity, fill.side, fill.strategy) == (5, "BUY", "script")
        assert (fill.fee, fill.fee_coin, fill.source) == (D("0.5"), "USDT", "push")
        assert journal.explained() == {A: 5}
        (held,) = journal.holdings()
        assert (held.owner, held.quantity, held.entry_price) == ("script", 5, 100)
        events = [event["event"] for event in journal.order_events(order.client_order_id)]
        assert events[-1] == "OrderFilled"
        assert "OrderSubmitted" in events


def test_what_rests_when_the_process_ends_is_unsettled(tmp_path: Path) -> None:
    journal, _, _ = played(tmp_path, (at(1, 5), rest))
    with journal:
        (order,) = journal.unsettled()
        assert (order.status, order.price) == ("ACCEPTED", 90)
        assert order.venue_order_id


def test_a_refused_order_is_settled_as_denied(tmp_path: Path) -> None:
    journal, _, _ = played(tmp_path, (at(1, 5), trading(A, "9999")))
    with journal:
        order = journal.order(only(journal))
        assert order.status == "DENIED"
        assert "gross exposure" in order.reason
        assert journal.unsettled() == []


def test_an_order_that_the_engine_gave_up_has_no_outcome(tmp_path: Path) -> None:
    """Rejected as UNKNOWN after queries that failed: it may be live at the venue (live.md 4.4)."""

    def give_up(script: Script) -> None:
        rest(script)
        (order,) = script.cache.orders()
        script.msgbus.send(
            "ExecEngine.process",
            OrderRejected(
                trader_id=order.trader_id,
                strategy_id=order.strategy_id,
                instrument_id=order.instrument_id,
                client_order_id=order.client_order_id,
                account_id=AccountId("BYBIT-001"),
                reason="UNKNOWN",
                event_id=UUID4(),
                ts_event=script.clock.timestamp_ns(),
                ts_init=script.clock.timestamp_ns(),
            ),
        )

    journal, _, _ = played(tmp_path, (at(1, 5), give_up))
    with journal:
        statuses = [e["event"] for e in journal.order_events(only(journal))]
        assert "OrderRejected" in statuses
        # The simulated venue accepts it a moment later, as Bybit might have.
        assert len(journal.unsettled()) == 1


def test_decisions_and_verdicts_are_taken_down(tmp_path: Path) -> None:
    decision = Decision(strategy="script", ts=1, data_ts=0, kind="wait", equity="1")
    halt = Verdict(action=Action.HALT_ENTRIES, guard="drawdown", reason="down 20 %")

    def say(script: Script) -> None:
        script.msgbus.publish("decisions.script", decision)
        script.msgbus.publish("verdicts.drawdown", halt)

    journal, _, _ = played(tmp_path, (at(1, 5), say), (at(2, 5), trading(A, "1")))
    with journal:
        assert journal.decisions(1) == [decision]
        assert [verdict for _, verdict in journal.standing()] == [halt]
        order = journal.order(only(journal))
        assert order.reason == "halt_entries by drawdown: down 20 %"


def test_a_snapshot_says_what_is_held_and_what_is_not_held_any_more(tmp_path: Path) -> None:
    journal, desk, recorder = played(
        tmp_path, (at(1, 5), trading(A, "5")), prices=Candles([100.0] * 3 + [110.0] * 3)
    )
    with journal:
        recorder.snapshot(desk.accountant)
        worth = journal.last_equity()
        # 10,000 and 5 x 10 of profit, less 0.1 % of 500.
        assert worth.equity == D("10049.5")
        assert (worth.gross, worth.net) == (550, 550)
        gone = "GONEUSDT-LINEAR.BYBIT"
        held = journal.holdings()[0]
        journal.positions([type(held)(gone, "script", 1, D(1), D(1), D(7))])
        recorder.snapshot(desk.accountant)
        rows = {row.instrument: row for row in journal.holdings()}
        assert (rows[gone].quantity, rows[gone].realized) == (0, 7)
        assert rows[A].quantity == 5


# Audit files --------------------------------------------------------------------------------------


def test_an_audit_file_is_there_from_the_decision_on_and_whole_at_the_end(tmp_path: Path) -> None:
    busy, held = {"script"}, {A: "0"}
    audits: list[Audit] = []
    decision = Decision(
        strategy="script",
        ts=at(1, 5),
        data_ts=at(1),
        kind="rebalance",
        equity="10000",
        targets=(Target(instrument=A, target="5", order="5"),),
    )

    def decide(script: Script) -> None:
        audits[0].on_decision(decision)
        script.trade(A, "5")

    journal = Journal.open(tmp_path, node="test")
    journal.begin_run(environment="practice", document="abc")
    with journal:
        audits.append(Audit(journal, lambda key: dict(held), lambda key: key in busy))
        market = market_of([info(A)], venue())
        desk = desk_of(market, venue(), Script({at(1, 5): decide}), before={A: 100.0})
        JournalRecorder(desk.engine.kernel, journal)
        desk.gate.observers.append(journal)
        feed(desk, slices(market, {A: Candles([100.0] * 6)}))
        (path,) = (tmp_path / "audit").glob("*.json")
        assert path.name == "20231115T010005000000Z-script-rebalance.json"
        assert json.loads(path.read_text())["status"] == "open"
        held[A] = "5"
        assert audits[0].finish_done() == []
        busy.clear()
        assert audits[0].finish_done() == []
        assert audits[0].finish_done() == [path]
        found = json.loads(path.read_text())
    assert found["status"] == "done"
    assert (found["positions_before"], found["positions_after"]) == ({A: "0"}, {A: "5"})
    assert [order["status"] for order in found["orders"]] == ["FILLED"]
    assert [fill["quantity"] for fill in found["fills"]] == ["5"]
    assert found["decision"]["targets"][0]["target"] == "5"


def test_a_node_that_stops_in_between_says_so_in_its_audit_file(tmp_path: Path) -> None:
    with Journal.open(tmp_path, node="test") as journal:
        audit = Audit(journal, lambda key: {}, lambda key: True)
        audit.on_decision(Decision(strategy="a", ts=1, data_ts=0, kind="flatten", equity="1"))
        audit.on_decision(Decision(strategy="a", ts=2, data_ts=0, kind="wait", equity="1"))
        audit.close()
        (path,) = (tmp_path / "audit").glob("*")
        assert json.loads(path.read_text())["status"] == "stopped"


def rebalance(ts: int, target: str = "5") -> Decision:
    targets = (Target(instrument=A, target=target, order=target),)
    return Decision(strategy="a", ts=ts, data_ts=0, kind="rebalance", equity="1", targets=targets)


@contextmanager
def next_run(
    folder: Path, held: dict[str, str], busy: set[str], *, dry_run: bool = False
) -> Iterator[Audit]:
    """Give the audit of a run that begins after the last one was killed."""
    with Journal.open(folder, node="test") as journal:
        journal.begin_run(environment="practice", document="abc", dry_run=dry_run)
        yield Audit(journal, lambda key: dict(held), lambda key: key in busy)


def test_the_audit_file_of_a_killed_rebalance_is_finished_by_the_run_that_resumes_it(
    tmp_path: Path,
) -> None:
    held, busy = {A: "1"}, {"a"}
    with next_run(tmp_path, held, busy) as audit:
        audit.on_decision(rebalance(1_000))
    (path,) = (tmp_path / "audit").glob("*.json")
    before = path.read_bytes()
    # A dry run resumes nothing, and what it is killed in is nothing to be resumed.
    with next_run(tmp_path, held, busy, dry_run=True) as audit:
        audit.take_up()
        assert not audit.is_open
        audit.on_decision(rebalance(2_000))
    assert path.read_bytes() == before
    with next_run(tmp_path, held, busy) as audit:
        audit.take_up()
        assert audit.is_open
        held[A] = "5"
        busy.clear()
        audit.finish_done()
        assert audit.finish_done() == [path]
    found = json.loads(path.read_text())
    assert (found["status"], found["run"], found["finished_by_run"]) == ("done", 1, 3)
    assert (found["positions_before"], found["positions_after"]) == ({A: "1"}, {A: "5"})


def test_what_nobody_resumes_is_dropped_unless_it_was_reached(tmp_path: Path) -> None:
    held: dict[str, str] = {A: "5"}
    with next_run(tmp_path, held, {"a"}) as audit:
        audit.on_decision(rebalance(1_000, "7"))
        audit.on_decision(rebalance(2_000, "5"))
    paths = sorted((tmp_path / "audit").glob("*.json"))

    def statuses() -> list[str]:
        return [json.loads(path.read_text())["status"] for path in paths]

    assert statuses() == ["superseded", "open"]
    # It was killed just after the last fill: all that it wanted is there.
    with next_run(tmp_path, held, set()) as audit:
        audit.take_up()
        assert not audit.is_open
    assert statuses() == ["superseded", "done"]
    with next_run(tmp_path, held, {"a"}) as audit:
        audit.on_decision(rebalance(3_000, "6"))
    with next_run(tmp_path, held, set()) as audit:
        audit.take_up()
    (last,) = set((tmp_path / "audit").glob("*.json")) - set(paths)
    assert json.loads(last.read_text())["status"] == "dropped"
    assert "missed" in json.loads(last.read_text())


def test_an_audit_file_that_cannot_be_read_is_told_and_left(tmp_path: Path) -> None:
    (tmp_path / "audit").mkdir()
    (tmp_path / "audit" / "x.json").write_text("{")
    with Journal.open(tmp_path, node="test") as journal:
        Audit(journal, lambda key: {}, lambda key: False).take_up()
        (note,) = journal.notes()
    assert "x.json" in note["text"]
