"""An engine's events in the journal, and the audit files of decisions."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal as D
from pathlib import Path

import msgspec
from nautilus_trader.model.enums import OrderSide
from nautilus_trader.model.identifiers import InstrumentId
from nautilus_trader.model.objects import Quantity

from actors.gate.order_messages import cancel_rejected
from actors.records.journal import Journal
from actors.records.order_facts import OrderFacts
from actors.records.rows import MARKS
from backtests.engine.market import market_of
from live_nodes.node.audit import Audit
from live_nodes.reconcile.recorder import JournalRecorder
from strategies.messages import Action, Decision, Target, Verdict
from strategies.order_tags import order_tags
from strategies.refusals import Refusal
from tests.builders_engine import (
    A,
    B,
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


def test_all_that_an_engine_does_is_journaled_and_a_decision_has_its_audit_file(
    tmp_path: Path,
) -> None:
    busy, positions = {"script"}, {A: "0"}
    targets = (Target(instrument=A, target="5", order="5"),)
    decision = Decision(
        strategy="script", ts=at(1, 5), data_ts=at(1), kind="rebalance", equity="1", targets=targets
    )
    halt = Verdict(action=Action.HALT_ENTRIES, guard="drawdown", reason="down 20 %")

    def rest(script: Script) -> None:
        name, quantity = InstrumentId.from_str(A), Quantity.from_str("1.000")
        tags = order_tags("score +0.30")
        limit = script.order_factory.limit(name, OrderSide.BUY, quantity, price(90), tags=tags)
        script.submit_order(limit)

    def decide(script: Script) -> None:
        script.msgbus.publish("decisions.script", decision)
        audit.on_decision(decision)
        script.trade(A, "5")

    def stop(script: Script) -> None:
        script.msgbus.publish("verdicts.drawdown", halt)
        (order,) = script.cache.orders_open()
        late = cancel_rejected(order, Refusal(code="other", text="too late"), at(3, 5))
        recorder.on_order_event(late)

    steps = {at(1, 5): decide, at(2, 5): rest, at(3, 5): stop, at(4, 5): trading(A, "1")}
    document = venue(fees=taker_fee("0.001"))
    market = market_of([info(A)], document)
    desk = desk_of(market, document, Script(steps), before={A: 100.0})
    with Journal.open(tmp_path, node="test") as journal:
        journal.begin_run(environment="practice", document="abc")
        recorder = JournalRecorder(desk.engine.kernel, journal)
        audit = Audit(journal, lambda key: dict(positions), lambda key: key in busy)
        desk.gate.observers.append(journal)
        feed(desk, slices(market, {A: Candles([100.0] * 3 + [110.0] * 3)}))

        bought, resting, denied = (
            journal.order(intent["client_order_id"]) for intent in journal.intents()
        )
        assert (bought.status, bought.final, bought.filled) == ("FILLED", True, 5)
        (fill,) = journal.fills_since(0)
        assert (fill.quantity, fill.side, fill.strategy) == (5, "BUY", "script")
        assert (fill.fee, fill.fee_coin, fill.source) == (D("0.5"), "USDT", "push")
        assert journal.explained() == {A: 5}
        events = [event["event"] for event in journal.order_events(bought.client_order_id)]
        assert events[-1] == "OrderFilled"
        assert "OrderSubmitted" in events
        # What rests when the process ends is unsettled.
        assert journal.unsettled() == [resting]
        assert (resting.status, resting.price) == ("ACCEPTED", 90)
        assert resting.venue_order_id
        # A cancel that came too late is an event of the order, not why it was made.
        assert journal.order_events(resting.client_order_id)[-1]["event"] == "OrderCancelRejected"
        assert resting.reason == "score +0.30"
        assert journal.decisions(1) == [decision]
        assert [verdict for _, verdict in journal.standing()] == [halt]
        assert (denied.status, denied.reason) == ("DENIED", "halt_entries by drawdown: down 20 %")

        (path,) = (tmp_path / "audit").glob("*.json")
        assert path.name == "20231115T010005000000Z-script-rebalance.json"
        assert json.loads(path.read_text())["status"] == "open"
        positions[A] = "5"
        assert audit.finish_done() == []
        busy.clear()
        assert [audit.finish_done() for _ in range(2)] == [[], [path]]
        found = json.loads(path.read_text())
        assert found["status"] == "done"
        assert (found["positions_before"], found["positions_after"]) == ({A: "0"}, {A: "5"})
        assert "FILLED" in [order["status"] for order in found["orders"]]
        assert [fill["quantity"] for fill in found["fills"]] == ["5"]
        assert found["decision"]["targets"][0]["target"] == "5"

        (held,) = journal.holdings()
        assert (held.owner, held.quantity, held.entry_price) == ("script", 5, 100)
        # What is not held any more is zero in the next snapshot.
        gone = "GONEUSDT-LINEAR.BYBIT"
        journal.positions([type(held)(gone, "script", 1, D(1), D(1), D(7))])
        recorder.snapshot(desk.accountant)
        worth = journal.last_equity()
        # 10,000 and 5 x 10 of profit, less 0.1 % of 500.
        assert (worth.equity, worth.gross, worth.net) == (D("10049.5"), 550, 550)
        rows = {row.instrument: row for row in journal.holdings()}
        assert (rows[gone].quantity, rows[gone].realized) == (0, 7)
        assert rows[A].quantity == 5
        assert json.loads(journal.load_state("", MARKS)) == {A: "110.0"}


def test_coins_of_an_order_that_an_earlier_decision_sent_are_no_miss_of_the_next(
    tmp_path: Path,
) -> None:
    """33.38 wanted, of which the fee leaves 33.37; sent 1 s before the next pair was decided."""
    now, coins, told = [at(1)], "ETHUSDT-SPOT.BYBIT", list[object]()
    with Journal.open(tmp_path, node="test", clock_ns=lambda: now[0]) as journal:
        journal.begin_run(environment="practice", document="abc")
        audit = Audit(
            journal,
            lambda key: {coins: "33.37"},
            lambda key: False,
            smallest=lambda name: D("0.01"),
            on_carried_out=lambda decision, missed: told.append(missed),
        )
        journal.intended(
            OrderFacts(
                operation="submit", client_order_id="n-1", strategy="basis", instrument=coins,
                side="BUY", quantity=D("33.38"), ts=at(1),
            )
        )  # fmt: skip
        now[0] = at(1, 2)
        target = Target(instrument=coins, target="33.38", order="33.38")
        decision = Decision(
            strategy="basis", ts=at(1, 1), data_ts=at(1), kind="rebalance", equity="1",
            targets=(target,),
        )  # fmt: skip
        audit.on_decision(decision)
        journal.outcome("n-1", "FILLED", filled=D("33.38"))
        for _ in range(2):
            audit.finish_done()
        assert told == [[]]
        # What was bought long before explains no addition that is missing.
        now[0] = at(2)
        audit.on_decision(msgspec.structs.replace(decision, ts=at(2)))
        for _ in range(2):
            audit.finish_done()
        assert [str(miss) for miss in told[1]] == [f"{coins} holds 33.37, wanted 33.38"]


def test_a_node_that_stops_in_between_says_so_in_its_audit_file(tmp_path: Path) -> None:
    with Journal.open(tmp_path, node="test") as journal:
        audit = Audit(journal, lambda key: {}, lambda key: True)
        audit.on_decision(Decision(strategy="a", ts=1, data_ts=0, kind="flatten", equity="1"))
        for kind in ("wait", "shrink"):
            audit.on_decision(Decision(strategy="a", ts=2, data_ts=0, kind=kind, equity="1"))
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


def test_what_the_newest_rebalance_did_not_reach_is_missed_by_later_runs(tmp_path: Path) -> None:
    held: dict[str, str] = {}

    def missed_later() -> list[str]:
        with next_run(tmp_path, held, set()) as audit:
            audit.take_up()
            return [miss.instrument for miss in audit.still_missed("a", set())]

    targets = [Target(instrument=name, target="5", order="5") for name in (A, B)]
    wanted = msgspec.structs.replace(rebalance(1_000), targets=tuple(targets))
    with next_run(tmp_path, held, set()) as audit:
        audit.on_decision(wanted)
        held[A] = "5"
        audit.close()
    assert [missed_later(), missed_later()] == [[B], [B]]
    # A was reached: whoever closes it by hand later misses nothing. Nor does who buys B by hand.
    held.clear()
    assert missed_later() == [B]
    with next_run(tmp_path, held, set()) as audit:
        audit.take_up()
        assert audit.still_missed("a", {B}) == []  # A guard that leaves it wants none of it.
    held[B] = "5"
    assert missed_later() == []
    held.clear()
    # To leave one instrument is no answer to what others miss; to leave all is.
    for ts, kept, expected in ((2_000, "5", [B]), (3_000, "0", [])):
        rest = Target(instrument="C", current="5", target=kept)
        flatten = msgspec.structs.replace(rebalance(ts, "0"), kind="flatten")
        with next_run(tmp_path, held, set()) as audit:
            audit.on_decision(msgspec.structs.replace(flatten, targets=(*flatten.targets, rest)))
            audit.close()
        assert missed_later() == expected


def test_an_audit_file_that_cannot_be_read_is_noted_and_left(tmp_path: Path) -> None:
    (tmp_path / "audit").mkdir()
    (tmp_path / "audit" / "x.json").write_text("{")
    with Journal.open(tmp_path, node="test") as journal:
        Audit(journal, lambda key: {}, lambda key: False).take_up()
        (note,) = journal.notes()
    assert "x.json" in note["text"]
