"""A node's answers to requests by mail, and their traces in the journal."""

from __future__ import annotations

import os
import resource
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from actors.records.journal import Journal, JournalError
from live_nodes.local.mailbox import (
    OPERATOR,
    MailAnswer,
    Mailbox,
    MailRequest,
    answer,
    ask,
    mailbox_of,
    pending,
)
from live_nodes.node.guard_status import OWNER, of_guard
from live_nodes.node.operator_desk import MailDesk, OperatorGuard
from strategies.messages import Action
from tests.actors.tiny_guards import Loss, Table

A = "instrument:AAAUSDT-LINEAR.BYBIT"


class Desk:
    """A journal, two guards and a mailbox; ``daily`` halts at a loss of 100."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.journal = Journal.open(folder, node="test")
        self.journal.begin_run(environment="practice", document="abc")
        self.daily = Loss("daily", store=self.journal.state(f"{OWNER}daily"), limit=100)
        self.operator = OperatorGuard()
        # With its state in the journal, as in a node.
        attach, kept = self.operator.attach, self.journal.state(f"{OWNER}{OPERATOR}")
        self.operator.attach = lambda desk, store=None: attach(desk, kept)  # type: ignore[method-assign]
        self.table = Table(self.daily, self.operator)
        guards: Any = self.table.desk.guards
        self.said: list[str] = []
        self.mail = MailDesk(Mailbox(folder), guards, self.operator, self.journal, self.said.append)

    def asked(self, **request: Any) -> MailAnswer:
        """Ask, let the node look, and return its answer."""
        name = ask(self.folder, MailRequest(**({"reason": "because"} | request)))
        assert self.mail.answer_all() == 1
        found = answer(self.folder, name, 0.0)
        assert found is not None
        return found

    def notes(self) -> list[str]:
        return [note["text"] for note in self.journal.notes() if note["kind"] == "mailbox"]


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    made = Desk(tmp_path)
    yield made
    made.journal.close()


def test_a_halt_whose_cause_is_gone_is_released_and_the_reason_is_kept(desk: Desk) -> None:
    desk.table.looks("1000", "850", "990")
    assert desk.daily.latches
    said = desk.asked(command="release", guard="daily", reason="a bad print")
    assert said.done
    assert said.text.startswith("daily released (a bad print): halt_entries on desk since 1970")
    assert desk.daily.latches == ()
    assert desk.table.said[-1].action == Action.NONE
    assert desk.table.said[-1].reason == "released: a bad print"
    assert said.text in desk.notes()[0]
    assert desk.said == [said.text]


def test_a_breach_that_stands_must_be_accepted(desk: Desk) -> None:
    desk.table.looks("1000", "850")
    said = desk.asked(command="release", guard="daily")
    assert not said.done
    assert "150 lost" in said.text
    assert "--accept" in said.text
    assert desk.daily.latches
    assert desk.asked(command="release", guard="daily", accept=True).done
    # Measured anew from 850.
    desk.table.look("800")
    assert desk.daily.latches == ()


def test_a_release_that_was_done_already_may_be_done_again(desk: Desk) -> None:
    desk.table.look("1000")
    said = desk.asked(command="release", guard="daily", scope=A)
    assert said.done
    assert said.text == f"daily holds nothing back on {A}"


@pytest.mark.parametrize(
    ("request_", "words"),
    [
        ({"command": "release", "guard": "dialy"}, "did you mean daily?"),
        ({"command": "release", "guard": "x"}, "there are daily, operator"),
        ({"command": "release", "guard": "node.links"}, "ends by itself"),
        ({"command": "release", "guard": "daily", "scope": "BTC"}, "scope 'BTC' is unknown"),
        ({"command": "flatten", "scope": "strategy:"}, "is unknown"),
        ({"command": "flatten", "reason": ""}, "a reason is needed"),
        ({"command": "release", "guard": "daily", "reason": "  "}, "a reason is needed"),
    ],
)
def test_a_wrong_request_is_refused_with_a_reason(
    desk: Desk, request_: dict[str, Any], words: str
) -> None:
    desk.table.look("1000")
    said = desk.asked(**request_)
    assert not said.done
    assert words in said.text
    assert desk.table.said == []
    assert "refused, asked by process" in desk.notes()[0]


def test_the_operator_closes_a_scope_until_it_is_released(desk: Desk) -> None:
    # Before the guards have looked for the first time.
    assert "is closed now" in desk.asked(command="flatten", scope=A, reason="news").text
    assert "is closed now" in desk.asked(command="flatten", reason="off").text
    assert "already" in desk.asked(command="flatten", reason="off again").text
    assert [(v.scope, v.action.name, v.reason) for v in desk.table.said] == [
        (A, "FLATTEN", "news"),
        ("desk", "FLATTEN", "off"),
    ]
    # It stands whatever is measured, and in the journal.
    desk.table.look("1000")
    kept = desk.journal.load_state(f"{OWNER}{OPERATOR}", "state")
    assert [s.scope for s in of_guard(OPERATOR, kept, None)] == ["desk", A]
    assert desk.asked(command="release", guard="operator", scope=A).done
    assert [latch.scope for latch in desk.operator.latches] == ["desk"]


def test_a_halt_enters_nothing_until_released_and_a_flatten_still_closes(desk: Desk) -> None:
    assert desk.asked(command="halt").text.startswith("desk enters nothing from now on until")
    assert "already" in desk.asked(command="halt").text
    assert desk.table.said[-1].action == Action.HALT_ENTRIES
    assert "is closed now" in desk.asked(command="flatten").text
    assert desk.table.said[-1].action == Action.FLATTEN
    assert "already" in desk.asked(command="halt").text
    assert desk.asked(command="release", guard=OPERATOR).done
    assert desk.operator.latches == ()
    assert desk.table.said[-1].action == Action.NONE


def test_a_guard_that_fails_in_a_release_is_reported_and_the_next_request_is_answered(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(desk.daily, "release", lambda *_: 1 / 0)
    said = desk.asked(command="release", guard="daily")
    assert not said.done
    assert said.text == "daily failed: ZeroDivisionError: division by zero"
    assert desk.asked(command="flatten").done


def test_a_request_that_the_journal_cannot_keep_is_not_answered_and_stays(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = ask(desk.folder, MailRequest(command="flatten", reason="off"))

    def full(*_: object) -> None:
        raise JournalError(OSError("the disk is full"))

    with monkeypatch.context() as patched:
        patched.setattr(desk.journal, "save_state", full)
        with pytest.raises(JournalError):
            desk.mail.answer_all()
    assert answer(desk.folder, name, 0.0) is None
    assert [request.id for request in pending(desk.folder)] == [name]
    # The node ends for the journal's sake, and lets what began come to its end.
    assert [verdict.action for verdict in desk.table.said] == [Action.FLATTEN]


def test_a_request_is_carried_out_once_and_answered_once_there_is_room(desk: Desk) -> None:
    name = ask(desk.folder, MailRequest(command="flatten", reason="off"))
    in_the_way = mailbox_of(desk.folder) / f".{name}.answer.json.{os.getpid()}.writing"
    in_the_way.mkdir()
    for _ in range(3):
        desk.mail.answer_all()
    assert answer(desk.folder, name, 0.0) is None
    assert [request.id for request in pending(desk.folder)] == [name]
    in_the_way.rmdir()
    desk.mail.answer_all()
    said = answer(desk.folder, name, 0.0)
    assert said is not None
    assert "is closed now" in said.text
    assert pending(desk.folder) == []
    assert len(desk.said) == 1


def test_a_request_is_not_answered_while_a_kill_would_lose_what_came_of_it(desk: Desk) -> None:
    """No file may grow past a bound: the journal is full, and an answer would have room."""
    desk.journal.keep_rows()
    name = ask(desk.folder, MailRequest(command="halt", reason="off"))
    bounds = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 16, bounds[1]))
    try:
        for _ in range(3):
            desk.mail.answer_all()
        assert desk.journal.full is not None
        assert [verdict.action for verdict in desk.table.said] == [Action.HALT_ENTRIES]
        # As it waits, the start after a kill carries it out again.
        assert [request.id for request in pending(desk.folder)] == [name]
        assert answer(desk.folder, name, 0.0) is None
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, bounds)
    desk.journal.write_kept()
    desk.mail.answer_all()
    said = answer(desk.folder, name, 0.0)
    assert said is not None
    assert "enters nothing from now on" in said.text
    assert pending(desk.folder) == []
    assert len(desk.said) == 1


def test_an_unreadable_request_is_noted(desk: Desk) -> None:
    (mailbox_of(desk.folder) / "x.json").write_text("{")
    assert desk.mail.answer_all() == 0
    assert "put aside" in desk.notes()[0]
    assert desk.said[0].startswith("mailbox: x.json is no request")


def test_the_kill_switch_closes_although_its_own_guard_failed(desk: Desk) -> None:
    desk.table.look("1000")
    desk.operator._fail(RuntimeError("made to fail"), 5)
    said = desk.asked(command="flatten")
    assert said.text.startswith("desk is closed now")
    assert desk.table.said[-1].action == Action.FLATTEN
    assert desk.asked(command="flatten").text.startswith("desk was being closed")
