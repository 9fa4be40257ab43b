"""Requests to a node: whole files, answered once, kept while nobody is there to read them."""

from __future__ import annotations

import multiprocessing
import os
import threading
import time
from pathlib import Path

import pytest

from live_nodes.local import mailbox
from live_nodes.local.mailbox import (
    Mailbox,
    MailRequest,
    answer,
    ask,
    mailbox_of,
    pending,
    withdraw,
)
from tests.waiting import DEADLINE, slack


def release(guard: str = "daily", **more: object) -> MailRequest:
    return MailRequest(command="release", guard=guard, reason="cause found", **more)  # type: ignore[arg-type]


def test_a_request_waits_for_a_node_that_is_not_there_yet(tmp_path: Path) -> None:
    name = ask(tmp_path, release(scope="instrument:BTCUSDT-LINEAR.BYBIT", accept=True))
    [found] = pending(tmp_path)
    assert found.id == name
    assert (found.command, found.guard, found.accept) == ("release", "daily", True)
    assert found.by == os.getpid()
    assert 0 <= time.time_ns() - found.asked_at < 5e9
    # Read again as long as nobody answered: the node may be killed while it is at it.
    box = Mailbox(tmp_path)
    assert box.take() == ([found], [])
    assert box.take() == ([found], [])


def test_an_answer_takes_the_request_away_and_is_fetched_once(tmp_path: Path) -> None:
    name = ask(tmp_path, release())
    box = Mailbox(tmp_path)
    [request], _ = box.take()
    box.answer(request, done=False, text="still 12 % down")
    found = answer(tmp_path, name, 0.0)
    assert (found.id, found.done, found.text) == (name, False, "still 12 % down")
    assert pending(tmp_path) == []
    assert answer(tmp_path, name, 0.0) is None
    assert os.listdir(mailbox_of(tmp_path)) == []


def test_waiting_ends_when_the_answer_is_there(tmp_path: Path) -> None:
    name = ask(tmp_path, release())
    [request] = pending(tmp_path)

    def later() -> None:
        time.sleep(0.2)
        Mailbox(tmp_path).answer(request, done=True, text="released")

    thread = threading.Thread(target=later)
    thread.start()
    assert answer(tmp_path, name, DEADLINE).done
    thread.join()


def test_a_request_without_an_answer_in_time_can_be_withdrawn(tmp_path: Path) -> None:
    name = ask(tmp_path, MailRequest(command="flatten", reason="now"))
    began = time.monotonic()
    assert answer(tmp_path, name, 0.1) is None
    assert 0.1 <= time.monotonic() - began < slack(2)
    assert withdraw(tmp_path, name, "back")
    assert not withdraw(tmp_path, name, "back")
    assert pending(tmp_path) == []


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "truncated"),
        (b"{", "truncated"),
        (b"[]", "Expected `object`"),
        (b'{"command":"sell everything"}', "Invalid enum value"),
        (b'{"command":"flatten","id":"x","colour":"red"}', "unknown field"),
        (b'{"command":"flatten","id":"another"}', "not the file's name"),
        (b"\xff\xfe\x00", ""),
        (b" " * (mailbox.LONGEST + 1), "longer than"),
    ],
)
def test_an_unreadable_request_is_put_aside_with_a_note_and_stops_nothing(
    tmp_path: Path, content: bytes, why: str
) -> None:
    box = Mailbox(tmp_path)
    (mailbox_of(tmp_path) / "x.json").write_bytes(content)
    name = ask(tmp_path, release())
    assert [request.id for request in pending(tmp_path)] == [name]
    requests, [note] = box.take()
    assert [request.id for request in requests] == [name]
    assert note.startswith("x.json is no request")
    assert why in note
    assert (mailbox_of(tmp_path) / "x.unreadable").read_bytes() == content
    # A folder can't be put aside, and is reported only once.
    (mailbox_of(tmp_path) / "y.json").mkdir()
    assert len(box.take()[1]) == 1
    assert box.take()[1] == []


def test_answers_that_nobody_fetched_go_away_after_a_day(tmp_path: Path) -> None:
    names = [ask(tmp_path, release(guard)) for guard in ("old", "new")]
    # In the order in which they came.
    assert [request.id for request in pending(tmp_path)] == names
    box = Mailbox(tmp_path)
    for request in box.take()[0]:
        box.answer(request, done=True, text=request.guard)
    old, new = sorted(mailbox_of(tmp_path).iterdir())
    then = time.time() - mailbox.FORGOTTEN_S - 1
    os.utime(old, (then, then))
    box.tidy()
    assert list(mailbox_of(tmp_path).iterdir()) == [new]


def _ask_many(folder: Path, number: int) -> None:
    for index in range(number):
        ask(folder, release(f"g{index}"))


def test_no_request_of_many_processes_is_lost_or_read_in_part(tmp_path: Path) -> None:
    box = Mailbox(tmp_path)
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=_ask_many, args=(tmp_path, 50)) for _ in range(2)]
    for worker in workers:
        worker.start()
    seen: set[str] = set()
    deadline = time.monotonic() + DEADLINE
    while len(seen) < 100 and time.monotonic() < deadline:
        requests, notes = box.take()
        assert notes == []
        for request in requests:
            assert request.id not in seen
            seen.add(request.id)
            box.answer(request, done=True, text="")
    for worker in workers:
        worker.join(DEADLINE)
    assert len(seen) == 100
