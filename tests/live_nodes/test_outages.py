"""Outages of seconds in the midst of a rebalance: it is finished, or said to be unfinished."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import threading
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal as D
from pathlib import Path
from typing import Any

import pytest
from nautilus_trader.model.events import OrderCancelRejected

import live_nodes.node.watch as watch
from actors.guards.core.snapshot import ErrorEvent, VenueResponse
from actors.records.journal import JournalError
from actors.records.journal_files import BACKUPS
from actors.records.journal_reading import read
from config.documents.scenario import ClockSkew, RefusedOp
from config.errors import DeskError, GateRefused
from live_nodes.local.keys import KeyPair, Secret
from live_nodes.local.mailbox import MailRequest, answer, ask
from live_nodes.node.launch import launch
from live_nodes.node.report import RunOptions, RunReport, raise_left
from tests.conftest import fill_disk, full_disk
from tests.live_nodes.by_hand import BUY, SELL
from tests.live_nodes.documents import guard
from tests.live_nodes.node.test_launch import node
from tests.live_nodes.stage import ACCOUNT, NAME, Desk, Stage, desk_node, keys, stage
from tests.waiting import eventually

ONCE = RunOptions(run_once=True, force=True)
COINS = [f"C{n:02}USDT-LINEAR.BYBIT" for n in range(8)]
MAKER = {"tactic": "maker_first", "deadline": "10s", "reprice_every": "1s", "least_rest": "1s"}

GONE = "order not exists or too late to cancel"


class Runs:
    """Launches a node that rebalances eight coins, one order at a time."""

    def __init__(self, st: Stage, folder: Path) -> None:
        self.stage, self.folder = st, folder
        self.said: list[str] = []

    def __call__(
        self,
        options: RunOptions = ONCE,
        *,
        execution: Any = None,
        release: str = "3s",
        turned: bool = False,
        **more: Any,
    ) -> RunReport:
        document = node().model_dump(mode="json", exclude_unset=True)
        params = document["strategies"]["steady"]["params"]
        params |= {"gross_leverage": 0.1, "execution": execution or {"tactic": "taker"}}
        if turned:
            params["gross_leverage"] = 0.2
            document["strategies"]["steady"]["use"] = "tests.live_nodes.desk_strategies:Turned"
        document["universe"] = {"instruments": COINS}
        document["watch"] |= {"feed_silence": 300, "throttle": {"per_second": 2, "burst": 1}}
        document["actors"] = {
            "errors": {
                "use": "actors.guards.error_rate:ErrorRate",
                "params": {"limit": 3, "window": "5s", "release": release},
            }
        }
        made = type(node()).model_validate(document | more)
        return launch(
            made, self.stage.where, keys(), self.folder, "hash", options, self.said.append
        )

    def after_orders(self, number: int, act: Callable[[], None]) -> threading.Thread:
        """Do something once so many orders were sent."""

        def run() -> None:
            eventually(lambda: self.stage.sent() >= number)
            act()

        thread = threading.Thread(target=run)
        thread.start()
        return thread

    def held(self) -> dict[str, D]:
        def read() -> dict[str, D]:
            exchange = self.stage.exchange
            found = {name: exchange.position(ACCOUNT, name.partition("-")[0]) for name in COINS}
            return {n: -p.size if p.side == "Sell" else p.size for n, p in found.items() if p.size}

        return self.stage.call(read)


@pytest.fixture
def runs(tmp_path: Path) -> Any:
    with stage(coins=8) as st:
        yield Runs(st, tmp_path / "state")


# A tenth of 100,000 USDT over eight coins of 100 USDT each.
WANTED = {name: D("12.5") * (1 if n < 4 else -1) for n, name in enumerate(COINS)}


@pytest.mark.parametrize("execution", [{"tactic": "taker"}, MAKER])
def test_maintenance_of_seconds_delays_a_rebalance_and_ends_none(
    runs: Runs, execution: dict[str, Any]
) -> None:
    striking = runs.after_orders(3, lambda: runs.stage.play("maintenance_mid_rebalance"))
    report = runs(execution=execution)
    striking.join()
    print("\n".join(runs.said))
    assert runs.held() == report.positions == WANTED
    assert report.missed == []
    raise_left(report)


@pytest.mark.parametrize("execution", [{"tactic": "taker"}, MAKER])
def test_a_clock_that_is_off_for_seconds_delays_a_rebalance_and_ends_none(
    runs: Runs, execution: dict[str, Any]
) -> None:
    """Beyond the receive window the venue refuses each order for its time."""
    faults = runs.stage.faults
    ahead = ClockSkew(by=D(8), seconds=D(3))

    def skew() -> None:
        runs.stage.call(lambda: (faults.add("clock", ahead), faults.poll()))

    striking = runs.after_orders(3, skew)
    report = runs(execution=execution)
    striking.join()
    print("\n".join(runs.said))
    assert any("recv_window" in line for line in runs.said)
    assert runs.held() == report.positions == WANTED
    assert report.missed == []


def test_past_the_bound_each_start_says_what_is_missing_until_one_can_finish(runs: Runs) -> None:
    striking = runs.after_orders(3, lambda: runs.stage.play("maintenance_mid_rebalance", "closed"))
    # A halt that a person must release, not one of seconds.
    first = runs(execution={"tactic": "taker", "retry_for": "10m"}, release="20m")
    striking.join()
    print("\n".join(runs.said))
    assert len(runs.held()) < 8
    missing = {name for name in COINS if name not in runs.held()}
    assert {line.partition(" ")[0] for line in first.missed} == missing
    assert all("holds 0" in line and "wanted" in line and "errors" in line for line in first.missed)
    again = RunOptions(run_once=True)
    second = runs(again, execution={"tactic": "taker", "retry_for": "10m"}, release="20m")
    assert {line.partition(" ")[0] for line in second.missed} == missing
    with pytest.raises(DeskError, match=r"not where the decision wanted it: C0\dUSDT.* holds 0"):
        raise_left(second)
    # Without that guard the third start finishes it, without a new decision.
    third = runs(again, actors={})
    assert (runs.held(), third.missed, third.decisions) == (WANTED, [], 0)
    raise_left(third)
    assert runs(again, actors={}).outcome == "nothing due"


@pytest.mark.parametrize("execution", [{"tactic": "taker"}, MAKER])
def test_a_position_whose_turn_a_cap_refuses_is_closed(
    runs: Runs, execution: dict[str, Any]
) -> None:
    """1,250 USDT of each coin are held, and 2,500 of the other side are wanted."""
    cap = guard("position_cap:PositionCap", limit_pct=None, limit_currency=2_000.0)
    runs(execution={"tactic": "taker"}, actors={})
    assert runs.held() == WANTED
    report = runs(execution=execution, turned=True, actors={"cap": cap})
    print("\n".join(runs.said))
    assert runs.held() == report.positions == {}
    assert all("by cap" in line for line in report.missed)


@pytest.mark.parametrize("execution", [{"tactic": "taker"}, MAKER])
def test_a_position_whose_turn_the_venue_refuses_is_closed(
    runs: Runs, execution: dict[str, Any]
) -> None:
    """The markets are about to be delisted: the venue takes orders that reduce, and no others."""
    runs(execution={"tactic": "taker"}, actors={})
    assert runs.held() == WANTED

    def delist() -> None:
        for market in list(runs.stage.market.listed):
            if market.name.startswith("C0"):
                closing = replace(market, status="Delivering")
                runs.stage.exchange.put_symbol(closing, runs.stage.server.venue.clock_ms())

    sent = runs.stage.sent()
    striking = runs.after_orders(sent + 1, lambda: runs.stage.call(delist))
    report = runs(execution=execution, turned=True, actors={})
    striking.join()
    print("\n".join(runs.said))
    held = runs.held()
    assert len(held) < 8
    assert all(quantity * WANTED[name] < 0 for name, quantity in held.items())
    assert {line.partition(" ")[0] for line in report.missed} == WANTED.keys() - held.keys()
    assert all("No new positions during delisting" in line for line in report.missed)


@pytest.mark.parametrize("execution", [{"tactic": "taker"}, MAKER])
def test_a_position_that_cannot_turn_since_lots_grew_is_closed(
    runs: Runs, execution: dict[str, Any]
) -> None:
    """The venue's lots grow from 0.01 to 0.07: most positions are no whole number of them."""
    runs(execution={"tactic": "taker"}, actors={})
    assert runs.held() == WANTED
    for market in list(runs.stage.market.listed):
        if market.name.startswith("C0"):
            runs.stage.change_rules(market.key, lot=D("0.07"), min_qty=D("0.07"))
    runs(execution=execution, turned=True, actors={})
    print("\n".join(runs.said))
    parts = {name for name, quantity in WANTED.items() if quantity % D("0.07")}
    assert parts
    held = runs.held()
    assert not parts & held.keys()
    assert all(quantity * WANTED[name] < 0 for name, quantity in held.items())


# The state folder can't be written ----------------------------------------------------------------


RESTING = {"tactic": "maker_first", "deadline": "1h", "reprice_every": "10m"}


def test_a_full_disk_cancels_entries_and_stops_in_one_sentence(small: Path) -> None:
    with stage(coins=8) as st:
        runs = Runs(st, small / "state")

        def fill() -> None:
            eventually(lambda: len(st.open_orders()) == 8)
            fill_disk(small)

        filling = runs.after_orders(8, fill)
        with pytest.raises(DeskError, match=r"the journal can't be written: .* free space") as said:
            runs(execution=RESTING)
        filling.join()
        assert (said.value.exit_code, st.open_orders()) == (1, {})
        assert any("no entries, the node stops" in line for line in runs.said)
        # With space again the next start resumes what is unfinished.
        (small / "rest").unlink()
        runs(RunOptions(run_once=True))
        assert runs.held() == WANTED


GUARDED: dict[str, Any] = {
    "actors": {"daily": guard("daily_loss:DailyLoss", limit_currency=2.0, release="manual")},
    "risk": {"every": 0.1, "heartbeat": 2.0, "exit_grace": 1.0, "deadline": 5.0},
}


def test_a_full_disk_halts_entries_while_guards_close_and_the_rows_follow(small: Path) -> None:
    """0.02 bought at 50,000 cost 0.55 USDT in fees; at 49,900 they have lost 2 more."""
    with stage() as st, desk_node(st, folder=small / "state", **GUARDED) as desk:

        def alerts() -> list[str]:
            return [line for line in desk.said if "exits go on" in line or "is whole" in line]

        desk.filled(BUY, "0.020")
        desk.strategy.limit(BUY, "49000")
        desk.until(lambda: len(st.open_orders()) == 1, "the resting entry")

        def tries() -> bool:
            desk.strategy.limit(BUY, "48000")
            return desk.halted() == {"node.journal"}

        with full_disk(small, desk.folder) as rest:
            desk.until(tries, "the halt")
        desk.until(lambda: not st.open_orders(), "the entries' cancels")
        # Whatever left was written down before: no entry is news to the file.
        with read(desk.folder) as there:
            assert {order.client_order_id for order in there.orders_since(0)} >= {*st.orders()}
        assert "the journal can't be written: " in desk.denied()
        assert st.position() == D("0.020")
        st.move("49900")
        desk.until(lambda: st.position() == 0, "the close")
        desk.until(lambda: desk.journal.explained()[NAME] == 0, "the news of it")
        desk.until(lambda: any("flat after" in line for line in desk.said), "the end of it")
        assert desk.halted() == {"daily", "node.journal"}
        # As another process sees it, and as a start would after a kill.
        with read(desk.folder) as there:
            assert there.explained()[NAME] == D("0.020")
            assert [verdict.guard for _, verdict in there.standing()] == []
        desk.until(lambda: len(alerts()) == 1, "the alert")
        assert "no entries, exits go on" in alerts()[0]
        rest.unlink()
        desk.until(lambda: desk.halted() == {"daily"}, "the end of the halt")
        desk.until(lambda: len(alerts()) == 2, "the news of that")
        name = ask(
            desk.folder, MailRequest(command="release", accept=True, guard="daily", reason="x")
        )
        desk.until(lambda: answer(desk.folder, name, 0.0), "the release")
        desk.filled(BUY, "0.010")
        with read(desk.folder) as there:
            fills = there.fills_since(0)
            assert [(row.side, row.quantity) for row in fills] == [
                ("BUY", D("0.020")), ("SELL", D("0.020")), ("BUY", D("0.010")),
            ]  # fmt: skip
            ids = [row["id"] for row in there.connection.execute("SELECT id, ts FROM fills")]
            assert ids == sorted(ids)
            acted = there.connection.execute("SELECT guard, action FROM verdicts ORDER BY id")
            assert [tuple(row) for row in acted] == [
                ("node.journal", 2), ("daily", 4), ("node.journal", 0), ("daily", 0),
            ]  # fmt: skip
            assert there.unsettled() == []
            assert there.explained() == {NAME: D("0.010")}
        assert st.position() == D("0.010")
        assert not desk.task.done()


def test_a_state_folder_that_is_taken_away_halts_entries_until_it_is_back(tmp_path: Path) -> None:
    folder, aside = tmp_path / "state", tmp_path / "aside"
    with stage() as st, desk_node(st, folder=folder) as desk:
        desk.filled(BUY, "0.020")
        folder.rename(aside)
        desk.until(lambda: desk.halted() == {"node.journal"}, "the halt")
        assert "journal.db is gone" in desk.denied()
        desk.filled(SELL, "0.020")
        desk.until(lambda: any("exits go on" in line for line in desk.said), "the alert")
        aside.rename(folder)
        desk.until(lambda: not desk.halted(), "the end of the halt")
        with read(folder) as there:
            assert [row.side for row in there.fills_since(0)] == ["BUY", "SELL"]
            assert there.explained() == {NAME: D(0)}


def test_a_rebalance_waits_for_room_on_a_full_disk_and_is_finished(small: Path) -> None:
    with stage(coins=8) as st:
        runs = Runs(st, small / "state")

        def term() -> None:
            os.kill(os.getpid(), signal.SIGTERM)

        stopping = runs.after_orders(2, term)
        runs()
        stopping.join()
        assert 0 < len(runs.held()) < 8

        def fill() -> None:
            with full_disk(small, small / "state") as rest:
                eventually(lambda: any("exits go on" in line for line in runs.said))
            before = st.sent()
            # Some looks of the plan for its end, and of the node for room.
            eventually(lambda: len([x for x in runs.said if "waits" in x]) > 0, runs.said)
            assert st.sent() == before
            rest.unlink()
            eventually(lambda: runs.held() == WANTED, lambda: runs.said)
            term()

        filling = runs.after_orders(4, fill)
        report = runs(RunOptions())
        filling.join()
        print("\n".join(runs.said))
        assert runs.held() == report.positions == WANTED
        assert report.missed == []
        with read(small / "state") as there:
            assert there.explained() == WANTED
            assert there.unsettled() == []
        audits = [json.loads(file.read_text()) for file in (small / "state/audit").glob("*.json")]
        assert {audit["status"] for audit in audits} <= {"done", "superseded"}
        assert len(st.orders()) == 8, "each order was sent once"


def test_more_rows_than_memory_is_to_hold_stop_the_node_as_its_document_says(
    small: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "KEPT", 3)
    with stage() as st:
        desk = Desk(st, small / "state", RunOptions(), on_stop="flatten").start()
        desk.filled(BUY, "0.020")
        with full_disk(small, desk.folder) as rest:
            desk.until(desk.task.done, "the end")
        assert isinstance(desk.task.exception(), JournalError)
        assert "more than 3 rows of the journal can't be written" in str(desk.task.exception())
        assert st.position() == 0
        rest.unlink()
        desk.stop()
        with read(small / "state") as there:
            assert [row.side for row in there.fills_since(0)] == ["BUY", "SELL"]


def test_a_stop_on_a_full_disk_says_that_rows_are_lost(small: Path) -> None:
    with stage(coins=8) as st:
        runs = Runs(st, small / "state")

        def fill() -> None:
            eventually(lambda: any("runs (pid" in line for line in runs.said))
            with full_disk(small, small / "state"):
                eventually(lambda: any("exits go on" in line for line in runs.said))
            os.kill(os.getpid(), signal.SIGTERM)

        filling = runs.after_orders(0, fill)
        with pytest.raises(DeskError, match=r"last \d+ rows of the journal can't be .* free space"):
            runs(RunOptions())
        filling.join()


def test_a_backup_that_fails_is_alerted_and_the_node_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "FOLD_EVERY", 0.1)
    in_the_way = tmp_path / f"{BACKUPS[0]}.writing"
    with stage() as st, desk_node(st, folder=tmp_path) as desk:
        desk.until((tmp_path / BACKUPS[0]).exists, "the first backup")
        in_the_way.mkdir()
        desk.do(desk.journal.back_up)
        desk.until(lambda: any("backup failed" in line for line in desk.said), "the alert")
        desk.do(desk.journal.back_up)
        desk.filled(BUY)
        assert not desk.halted()
        in_the_way.rmdir()
        desk.do(desk.journal.back_up)
        desk.until(lambda: any("backed up again" in line for line in desk.said), "the end")
        alerts = (tmp_path / "alerts.jsonl").read_text().splitlines()
        assert len([line for line in alerts if "back" in line]) == 2


def test_a_folder_that_can_not_be_written_refuses_the_start_in_one_sentence(small: Path) -> None:
    subprocess.run(["mount", "-o", "remount,ro", str(small)], check=True)
    with (
        stage(coins=8) as st,
        pytest.raises(DeskError, match=r"state folder .* can't be written: .*Read-only") as said,
    ):
        Runs(st, small / "state")()
    assert said.value.exit_code == 1
    assert "\n" not in str(said.value)


def test_a_cancel_of_an_order_that_is_gone_is_no_rejection() -> None:
    with stage() as st, desk_node(st) as desk:
        order = desk.strategy.limit(BUY, "49000")
        desk.until(lambda: desk.strategy.status(order) == "ACCEPTED")
        heard: list[Any] = []
        desk.do(lambda: desk.live.risk.desk._kernel.msgbus.subscribe("risk.seen", heard.append))
        gone = RefusedOp(op="order.cancel", ret_code=110001, message=GONE)
        st.call(lambda: st.faults.add("gone", gone))
        desk.do(lambda: desk.strategy.cancel_waiting())
        desk.until(lambda: any(isinstance(e, OrderCancelRejected) for e in desk.strategy.events))
        assert [e for e in heard if isinstance(e, VenueResponse | ErrorEvent)] == []
        st.end_faults()


# Words --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("key", "secret", "words"),
    [
        ("nobody", "hers", r"HTTP 401; the venue does not know this key: check"),
        ("practice-anna", "hers", r"code 10004\); the secret is not this key's: copy both anew"),
    ],
)
def test_a_wrong_key_is_one_sentence_with_the_remedy(
    runs: Runs, key: str, secret: str, words: str
) -> None:
    with pytest.raises(GateRefused, match=words) as said:
        launch(
            node(),
            runs.stage.where,
            KeyPair(Secret(key), Secret(secret)),
            runs.folder,
            "hash",
            ONCE,
            runs.said.append,
        )
    assert "\n" not in str(said.value)


def test_a_clock_far_off_at_the_start_is_said_as_that(runs: Runs) -> None:
    ahead = ClockSkew(by=D(30), seconds=D(600))
    faults = runs.stage.faults
    runs.stage.call(lambda: (faults.add("clock", ahead), faults.poll()))
    with pytest.raises(GateRefused, match=r"gate clock: .* s late .*; set the clock") as said:
        runs()
    assert "10002" not in str(said.value)
