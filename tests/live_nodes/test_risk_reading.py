"""What guards measured and hold back, read from the journal of a node that may be dead."""

from __future__ import annotations

from pathlib import Path

import pytest

from actors.records.journal import Journal
from config.errors import InputError
from live_nodes.node.guard_status import OWNER, GuardStatus, of_guard, risk_of
from tests.actors.tiny_guards import Loss, LossParams, Table
from tests.live_nodes.stage import desk_document

SECOND = 1_000_000_000
DAILY = {"use": "actors.guards.daily_loss:DailyLoss", "params": {"limit_currency": 100}}


def read_back(journal: Journal, key: str = "daily") -> GuardStatus:
    kept = journal.load_state(f"{OWNER}{key}", "state")
    shown = journal.load_state(f"{OWNER}{key}", "readings")
    [found] = of_guard(key, kept, shown)
    return found


@pytest.mark.parametrize(
    ("equity", "measured", "headroom", "share", "latched"),
    [("1000", 0.0, 100.0, 1.0, False), ("901", 99.0, 1.0, 0.01, False),
     ("900", 100.0, 0.0, 0.0, True), ("850", 150.0, -50.0, -0.5, True)],
)  # fmt: skip
def test_headroom_is_what_is_left_up_to_the_limit(
    tmp_path: Path, equity: str, measured: float, headroom: float, share: float, latched: bool
) -> None:
    with Journal.open(tmp_path, node="test") as journal:
        table = Table(Loss("daily", store=journal.state(f"{OWNER}daily"), limit=100))
        table.look("1000")
        table.look(equity, now=5 * SECOND)
        found = read_back(journal)
    assert (found.measured, found.limit, found.over) == (measured, 100.0, latched)
    assert found.headroom == pytest.approx(headroom)
    assert found.headroom_share == pytest.approx(share)
    assert found.latched is latched
    assert found.action == "halt_entries"
    assert found.last_beat == 5 * SECOND


def test_a_halt_says_since_when_how_it_ends_and_why(tmp_path: Path) -> None:
    with Journal.open(tmp_path, node="test") as journal:
        params = LossParams(action="shrink", size=0.25, release="30m", limit=100)
        table = Table(Loss("daily", params, store=journal.state(f"{OWNER}daily")))
        table.look("1000", now=SECOND)
        table.look("850", now=3 * SECOND)
        table.look("950", now=5 * SECOND)
        found = read_back(journal)
    # The reading is of now, the halt of then.
    assert (found.measured, found.over) == (50.0, False)
    assert (found.latched, found.release) == (True, "30m")
    assert (found.since, found.until) == (3 * SECOND, 1803 * SECOND)
    assert (found.action, found.multiplier, found.reason) == ("shrink", 0.25, "150 lost")


def test_a_guard_that_failed_says_so(tmp_path: Path) -> None:
    with Journal.open(tmp_path, node="test") as journal:
        store = journal.state(f"{OWNER}daily")
        table = Table(Loss("daily", LossParams(fails_at=50), store=store), strict=False)
        table.look("1000")
        table.look("900")
        kept, shown = store.load("state"), store.load("readings")
    found = {status.key: status for status in of_guard("daily", kept, shown)}
    assert found["failed"].failed
    assert "made to fail" in found["failed"].reason
    assert found["failed"].headroom is None


def test_every_guard_of_the_document_is_there_in_its_order_and_the_operator_last(
    tmp_path: Path,
) -> None:
    node = desk_document(
        tmp_path, actors={"b": DAILY, "a": DAILY, "c": {**DAILY, "enabled": False}}
    )
    with pytest.raises(InputError, match="never been started"):
        risk_of(tmp_path, node)
    with Journal.open(tmp_path, node="test") as journal:
        table = Table(Loss("a", store=journal.state(f"{OWNER}a")))
        table.look("1000")
    assert [(s.guard, s.scope, s.measured) for s in risk_of(tmp_path, node)] == [
        ("b", "", None),
        ("a", "desk", 0.0),
        ("operator", "", None),
    ]
