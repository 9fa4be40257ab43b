"""`perpdesk risk status|release|flatten`: of nodes that run, that are dead and that hang."""

from __future__ import annotations

import asyncio
import io
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace
from rich.console import Console
from typer.testing import CliRunner

from actors.desk.guard_state import READINGS, STATE, Kept, Shown
from actors.guards.core.halts import Latch
from actors.guards.core.limits import Reading
from actors.records.journal import Journal
from config.errors import DeskError, GateRefused, InputError
from live_nodes.local.actions import keep_action
from live_nodes.local.folder import node_document, state_folder
from live_nodes.local.heartbeat import FILE as BEAT
from live_nodes.local.heartbeat import Beat
from live_nodes.local.mailbox import MailRequest, ask, mailbox_of, pending
from live_nodes.node.guard_status import OWNER
from live_nodes.operate import risk_release
from live_nodes.operate.flatten import flatten_node
from live_nodes.operate.flatten_request import ask_to_flatten
from live_nodes.operate.risk_release import ReleaseOutcome, halt_entries, release_guard
from live_nodes.operate.risk_status import RiskStatus, rendered, risk_status, shown
from perpdesk import build_app
from strategies.messages import Action, Verdict
from tests.live_nodes.by_hand import BUY
from tests.live_nodes.documents import guard, node_file
from tests.live_nodes.killing import venue_urls
from tests.live_nodes.stage import NAME, Desk, desk_document, desk_node, stage
from tests.waiting import DEADLINE

SECOND = 1_000_000_000
HOUR = 3600 * SECOND
NOW = 1_767_268_800 * SECOND  # 2026-01-01 12:00:00 UTC
ACTORS = {
    "daily": guard("daily_loss:DailyLoss", limit_pct=0.03),
    "cap": guard("position_cap:PositionCap", limit_pct=0.5),
    "errors": guard("error_rate:ErrorRate"),
    "off": guard("error_rate:ErrorRate") | {"enabled": False},
}


def test_a_halt_that_can_not_be_written_is_said_in_one_sentence(tmp_path: Path) -> None:
    node = node_document(document(tmp_path), ())
    folder = state_folder(node)
    folder.mkdir(parents=True)
    mailbox_of(folder).touch()
    with pytest.raises(DeskError, match=r"the halt was not written.*risk flatten") as said:
        halt_entries(node, folder, "odd fills")
    assert "\n" not in str(said.value)


def document(folder: Path) -> Path:
    return node_file(
        folder,
        name="guarded",
        state=str(folder / "state"),
        universe={"instruments": [NAME]},
        actors=ACTORS,
    )


def reading(scope: str, key: str, measured: float, limit: float, over: bool = False) -> Reading:
    fields: dict[str, Any] = {"measured": measured, "limit": limit, "over": over, "clear": not over}
    return Reading(scope=scope, key=key, action=Action.FLATTEN, **fields)


def latch(scope: str, key: str, measured: float, limit: float, **more: Any) -> Latch:
    fields: dict[str, Any] = {
        "action": int(Action.FLATTEN),
        "multiplier": 1.0,
        "release": "manual",
        "since": NOW - HOUR,
        "until": None,
        "reason": "loss of 3.12 % since midnight UTC, limit 3 %",
    } | more
    return Latch(scope=scope, key=key, measured=measured, limit=limit, **fields)


class Past:
    """A node that ran until `NOW` and is gone; tests write what its guards had kept."""

    def __init__(self, folder: Path) -> None:
        self.file = document(folder)
        self.node = node_document(self.file)
        self.folder = state_folder(self.node)
        self.journal = Journal.open(self.folder, node="guarded", clock_ns=lambda: NOW)
        self.journal.begin_run(environment="practice", document="abc")
        self.journal.phase("running")

    def kept(
        self,
        guard: str,
        *latches: Latch,
        readings: tuple[Reading, ...] = (),
        at: int = NOW - SECOND,
    ) -> None:
        state = msgspec.json.encode(Kept(msgspec.Raw(b"null"), latches))
        self.journal.save_state(OWNER + guard, STATE, state)
        self.journal.save_state(OWNER + guard, READINGS, msgspec.json.encode(Shown(at, readings)))
        for row in latches:
            self.journal.verdict(
                Verdict(action=Action(row.action), scope=row.scope, guard=guard, reason=row.reason)
            )

    def ends(self) -> None:
        """Let go of the journal, as a process that is killed."""
        self.journal.close()

    def breached(self, now: float = 0.0312) -> None:
        """End with the daily guard's halt, and its loss as it is now."""
        reading_now = reading("desk", "pct", now, 0.03, over=now > 0.03)
        self.kept("daily", latch("desk", "pct", 0.0312, 0.03), readings=(reading_now,))
        self.ends()

    def status(self) -> RiskStatus:
        return risk_status(self.node, self.folder, NOW)

    def page(self, **more: Any) -> str:
        console = Console(file=(out := io.StringIO()), width=200, color_system=None)
        console.print(rendered(self.status(), now_ns=NOW, **more), highlight=False)
        return out.getvalue()

    def release(self, guard: str, **more: Any) -> ReleaseOutcome:
        given: dict[str, Any] = {"reason": "a test", "say": print} | more
        return release_guard(self.node, self.folder, guard, **given)


@pytest.fixture
def past(tmp_path: Path) -> Past:
    found = Past(tmp_path)
    found.kept("daily", readings=(reading("desk", "pct", 0.012, 0.03),))
    found.kept(
        "cap",
        readings=(
            reading(f"instrument:{NAME}", "pct", 0.1, 0.5),
            reading("instrument:ETHUSDT-LINEAR.BYBIT", "pct", 0.4, 0.5),
        ),
    )
    return found


def row_of(page: str, guard: str) -> list[str]:
    """Return the cells of a guard's first row."""
    [line, *_] = [line for line in page.splitlines() if re.match(rf" ?{guard}  ", line)]
    return re.split(r" {2,}", line.strip())


# Status ------------------------------------------------------------------------------------------


def test_a_dead_nodes_guards_show_what_was_left_to_their_limits(past: Past) -> None:
    past.ends()
    page = past.page()
    assert "guarded  dead  (not running: this is its last state" in page
    assert "the desk may trade" in page
    assert "operator: nothing is halted by hand" in page
    # 1.2 of 3 %: 1.8 % are left, which is three fifths.
    assert row_of(page, "daily") == ["daily", "desk pct", "1.20 %", "3.00 %", "1.80 %, 60%", "ok"]
    # Of two positions the nearer one.
    assert row_of(page, "cap")[1:5] == ["ETHUSDT-LINEAR pct", "40.00 %", "50.00 %", "10.00 %, 20%"]
    assert row_of(page, "errors")[-1] == "no reading"
    assert "BTCUSDT-LINEAR pct" in past.page(everything=True)


def test_a_halt_says_since_when_until_when_and_why(past: Past) -> None:
    midnight = NOW + 12 * HOUR
    halt = latch("desk", "pct", 0.0312, 0.03, release="next_day", until=midnight)
    past.kept("daily", halt, readings=(reading("desk", "pct", 0.0312, 0.03, over=True),))
    past.ends()
    page = past.page()
    assert "the desk: flatten by daily: loss of 3.12 % since midnight UTC, limit 3 %" in page
    cells = row_of(page, "daily")
    assert cells[2:5] == ["3.12 %", "3.00 %", "-0.12 %, -4%"]
    assert cells[5].startswith(
        "flatten for 60 min, since 2026-01-01 11:00:00 UTC, until 2026-01-02"
    )
    assert "flatten of desk by daily: 0 positions held" in page


def test_the_operators_halt_and_how_its_flatten_goes_are_shown(past: Past) -> None:
    past.kept("operator", latch("desk", "", 1.0, 0.0, reason="off to bed"))
    past.journal.note("flatten", "NOT flat: 0.010 BTCUSDT-LINEAR.BYBIT")
    past.ends()
    page = past.page()
    assert "operator: desk closed by hand since 2026-01-01 11:00:00 UTC (off to bed)" in page
    assert past.status().closing.endswith("by operator: NOT flat: 0.010 BTCUSDT-LINEAR.BYBIT")


def test_a_kill_switch_thrown_while_no_node_runs_stands(past: Past) -> None:
    past.ends()
    ask_to_flatten(past.node, "off to bed", lambda line: None)
    page, status = past.page(), past.status()
    assert "the desk: flatten by operator: off to bed" in page
    assert "operator: desk closed by hand since" in page
    assert "may trade" not in page
    assert "nothing is halted" not in page
    assert status.strictest is not None
    assert status.strictest.action == Action.FLATTEN
    assert [g.state for g in status.guards if g.status.guard == "operator"] == ["halted"]


def test_a_halt_by_hand_while_no_node_runs_stands_and_can_be_taken_back(past: Past) -> None:
    past.ends()
    done = halt_entries(past.node, past.folder, "odd fills", f"instrument:{NAME}")
    assert not done.done
    assert "before any strategy" in done.text
    assert f"operator: instrument:{NAME} halted by hand since" in past.page()
    assert [row.verdict.action for row in past.status().others] == [Action.HALT_ENTRIES]
    with pytest.raises(InputError, match="must say why"):
        halt_entries(past.node, past.folder, " ")
    said: list[str] = []
    release_guard(past.node, past.folder, "operator", reason="fine", say=said.append)
    assert said == ["taken out of the mailbox: halt (odd fills)"]
    assert pending(past.folder) == []


@pytest.mark.parametrize(
    ("scope", "said"),
    [
        ("strategy:stedy", "guarded has no strategy 'stedy'; it has steady (did you mean steady?)"),
        ("instrument:BTCUSDT", "'BTCUSDT' is no instrument of guarded, so nothing would be halted"),
    ],
)
def test_a_halt_of_what_the_node_does_not_have_is_refused(
    past: Past, scope: str, said: str
) -> None:
    past.ends()
    with pytest.raises(InputError, match=re.escape(said)):
        halt_entries(past.node, past.folder, "odd fills", scope)
    assert pending(past.folder) == []


def test_a_flatten_at_the_venue_says_how_it_ended_though_no_node_read_it(past: Past) -> None:
    past.ends()
    ask_to_flatten(past.node, "off to bed", lambda line: None)
    assert past.status().closing == "flatten of desk by operator: 0 positions held"
    keep_action(past.folder, "flatten", "off to bed", "flat after 1.9 s\nthe halt waits")
    assert past.status().closing == "flatten of desk by operator: flat after 1.9 s"


def test_a_weaker_halt_of_the_desk_is_not_hidden_by_a_flatten(past: Past) -> None:
    past.kept("errors", latch("desk", "", 5.0, 5.0, action=int(Action.HALT_ENTRIES)))
    past.kept("operator", latch("desk", "", 1.0, 0.0, reason="off to bed"))
    past.ends()
    assert [row.verdict.guard for row in past.status().desk] == ["operator", "errors"]


def test_a_required_guard_that_beats_no_more_is_silent(past: Past, tmp_path: Path) -> None:
    pid = past.status().pid
    assert pid is not None
    beat = Beat(
        ts=NOW - SECOND,
        pid=pid,
        phase="running",
        silent=("daily",),
    )
    (past.folder / BEAT).write_bytes(msgspec.json.encode(beat))
    past.kept("daily", readings=(reading("desk", "pct", 0.01, 0.03),))
    states = {line.status.guard: line.state for line in past.status().guards}
    # Without a reading yet, as of an optional one.
    assert states == {"daily": "silent", "cap": "ok", "errors": "no reading", "operator": "ok"}
    page = past.page()
    assert "guarded  running  heartbeat 1.0 s ago" in page
    assert row_of(page, "daily")[-1] == "silent: no entries"
    # Of a node that hangs.
    (past.folder / BEAT).write_bytes(msgspec.json.encode(replace(beat, ts=NOW - 60 * SECOND)))
    states = {line.status.guard: line.state for line in past.status().guards}
    assert states.pop("operator") == "ok"
    assert {*states.values()} == {"silent"}
    past.ends()


def test_the_status_is_json_for_machines(past: Past) -> None:
    past.ends()
    done = CliRunner().invoke(build_app(), ["risk", "status", str(past.file), "--json"])
    assert done.exit_code == 0
    found = json.loads(done.stdout)
    assert found["state"] == "dead"
    assert found["strictest"] is None
    daily = found["guards"][0]
    assert (daily["unit"], daily["state"]) == ("%", "ok")
    assert daily["status"]["measured"] == 0.012


@pytest.mark.parametrize(
    ("value", "unit", "words"),
    [
        (0.0312, "%", "3.12 %"),
        (-0.0012, "%", "-0.12 %"),
        (1250.0, "USDT", "1,250.00 USDT"),
        (100_000.0, "USDT s", "100,000 USDT s"),
        (14_490.0, "s", "14,490 s"),
        (0.01007, "s", "0.01007 s"),
        (3.0, "losses", "3 losses"),
        (-0.0, "errors", "0 errors"),
        (0.9, "", "0.9"),
    ],
)
def test_values_are_shown_in_their_unit(value: float, unit: str, words: str) -> None:
    assert shown(value, unit) == words


# Release of a node that does not run -------------------------------------------------------------


def test_a_breach_that_is_gone_is_released_by_the_next_start(past: Past) -> None:
    past.breached(now=0.02)
    found = past.release("daily")
    assert not found.done
    assert "its next start does it before any strategy" in found.text
    [request] = pending(past.folder)
    assert (request.command, request.guard, request.reason) == ("release", "daily", "a test")
    assert "waits in the mailbox: release daily" in past.page()


def test_a_breach_that_is_there_is_refused_with_its_numbers(past: Past) -> None:
    past.breached()
    with pytest.raises(GateRefused, match=r"measured 3.12 % at .*, limit 3.00 %(.|\n)*--accept"):
        past.release("daily")
    assert pending(past.folder) == []
    assert not past.release("daily", accept=True).done
    assert pending(past.folder)[0].accept


def test_a_scope_that_is_not_halted_needs_no_release(past: Past) -> None:
    past.kept("cap", latch(f"instrument:{NAME}", "pct", 0.6, 0.5))
    past.ends()
    found = past.release("cap", scope="instrument:ETHUSDT-LINEAR.BYBIT")
    assert found == ReleaseOutcome(
        True, "cap holds nothing back on instrument:ETHUSDT-LINEAR.BYBIT"
    )
    assert pending(past.folder) == []
    assert not past.release("cap", scope=f"instrument:{NAME}").done


def test_a_release_withdraws_a_flatten_that_no_node_has_read(past: Past) -> None:
    past.ends()
    ask(past.folder, MailRequest(command="flatten", reason="oops"))
    said: list[str] = []
    found = past.release("operator", say=said.append)
    assert found == ReleaseOutcome(True, "operator holds nothing back")
    assert said == ["taken out of the mailbox: flatten (oops)"]
    assert pending(past.folder) == []


@pytest.mark.parametrize(
    ("guard", "more", "words"),
    [
        ("dayly", {}, "no guard 'dayly'; it has daily, cap, errors, operator .did you mean daily"),
        ("node.links", {}, "ends by itself when its cause is gone"),
        ("daily", {"scope": "everything"}, "--scope must be desk, strategy:KEY or instrument:ID"),
        ("daily", {"reason": "  "}, "--reason must say why"),
    ],
)
def test_what_can_not_be_released_is_an_input_error(
    past: Past, guard: str, more: dict[str, Any], words: str
) -> None:
    past.ends()
    with pytest.raises(InputError, match=words):
        past.release(guard, **more)
    assert pending(past.folder) == []


def test_a_node_that_hangs_does_not_answer_and_the_release_waits(
    past: Past, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(risk_release, "ANSWER_S", 0.2)
    # This process holds the journal, and reads no mail.
    with pytest.raises(DeskError, match=r"does not answer within 0\.2 s; the release waits"):
        past.release("daily")
    assert len(pending(past.folder)) == 1
    past.ends()


def test_commands_exit_as_they_say(past: Past) -> None:
    past.breached()
    app, run = build_app(), CliRunner()
    refused = run.invoke(app, ["risk", "release", str(past.file), "daily", "--reason", "x"])
    assert isinstance(refused.exception, GateRefused)
    assert run.invoke(app, ["risk", "release", str(past.file), "daily"]).exit_code == 2
    waits = run.invoke(
        app, ["risk", "release", str(past.file), "daily", "--reason", "x", "--accept", "--json"]
    )
    assert json.loads(waits.stdout)["done"] is False


# A node that runs --------------------------------------------------------------------------------


def beside[T](desk: Desk, work: Callable[[], T]) -> T:
    """Do something in a thread, as another process would, while the node's loop runs."""
    return desk.loop.run_until_complete(asyncio.wait_for(asyncio.to_thread(work), DEADLINE))


def test_a_running_node_is_flattened_shown_and_released(tmp_path: Path) -> None:
    with stage() as at:
        settings: dict[str, Any] = {
            "actors": {"cap": guard("position_cap:PositionCap", limit_pct=0.5)},
            "risk": {"exit_grace": 0.5, "deadline": 10.0},
            "venue_urls": venue_urls(at.where),
        }
        # Its document as a command reads it.
        node = desk_document(tmp_path, **settings)
        folder = state_folder(node)
        with desk_node(at, folder=folder, state=str(tmp_path), **settings) as desk:
            desk.filled(BUY)
            said: list[str] = []

            def flatten() -> Any:
                asked = ask_to_flatten(node, "enough for today", said.append)
                return flatten_node(node, asked, 20, said.append)

            outcome = beside(desk, flatten)
            assert (outcome.flat, outcome.by, outcome.verified) == (True, "node", "venue")
            assert at.position() == 0
            assert any("desk is closed now" in line for line in said)
            status = risk_status(node, folder)
            assert status.state == "running"
            assert status.strictest.reason == "enough for today"
            states = {line.status.guard: line.state for line in status.guards}
            # A reading of the cap is kept where one was due while the position was open.
            assert states.pop("cap") in ("no reading", "ok")
            assert states == {"operator": "halted"}
            refused = desk.do(lambda: desk.strategy.market_order(BUY))
            desk.until(lambda: desk.strategy.reasons(refused), "the refusal")
            assert "by operator: enough for today" in desk.strategy.reasons(refused)[0]

            def release() -> ReleaseOutcome:
                return release_guard(node, folder, "operator", reason="rested", say=said.append)

            released = beside(desk, release)
            assert released.done
            assert "operator released (rested)" in released.text
            desk.filled(BUY)
