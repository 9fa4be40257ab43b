"""Which of the guards' doings a person hears of."""

from __future__ import annotations

from typing import Any

import pytest

from live_nodes.local.alerts import Level
from live_nodes.node.risk_alerts import RiskAlerts
from strategies.messages import Action, Verdict
from strategies.verdicts import VerdictBoard


class Heard:
    def __init__(self) -> None:
        self.alerts: list[tuple[str, str, str]] = []
        self.notes: list[tuple[str, str]] = []
        self.said: list[str] = []
        self.board = VerdictBoard()
        self.made = RiskAlerts(
            self.board, self.tell, lambda *note: self.notes.append(note), self.said.append
        )

    def tell(self, text: str, level: Level = "warning", kind: str = "guard") -> None:
        self.alerts.append((level, kind, text))

    def verdict(self, action: Action, guard: str = "daily", **more: Any) -> None:
        self.hear(Verdict(action=action, guard=guard, **more))

    def hear(self, verdict: Verdict) -> None:
        self.board.observe(verdict)
        self.made.on_verdict(verdict)


def test_a_halt_is_told_when_it_begins_gets_stricter_and_ends() -> None:
    heard = Heard()
    heard.verdict(Action.HALT_ENTRIES, reason="4 % lost")
    heard.verdict(Action.HALT_ENTRIES, reason="4.1 % lost")
    heard.verdict(Action.FLATTEN, reason="5 % lost")
    heard.verdict(Action.NONE, reason="released: cause found")
    heard.verdict(Action.NONE, reason="released: cause found")
    assert heard.alerts == [
        ("warning", "guard", "halt_entries on desk by daily: 4 % lost"),
        ("critical", "guard", "flatten on desk by daily: 5 % lost"),
        ("info", "guard", "flatten on desk by daily is over: released: cause found"),
    ]
    assert heard.said == [text for _, _, text in heard.alerts]
    assert [text for _, text in heard.notes] == heard.said


def test_each_scope_is_told_for_itself() -> None:
    heard = Heard()
    heard.verdict(Action.FLATTEN, scope="instrument:A", reason="a")
    heard.verdict(Action.FLATTEN, scope="instrument:B", reason="b")
    heard.verdict(Action.NONE, scope="instrument:A", reason="over")
    assert [text for _, _, text in heard.alerts] == [
        "flatten on instrument:A by daily: a",
        "flatten on instrument:B by daily: b",
        "flatten on instrument:A by daily is over",
    ]


@pytest.mark.parametrize(
    "verdict",
    [
        Verdict(action=Action.SHRINK, guard="tiers", multiplier=0.5),
        Verdict(action=Action.HALT_ENTRIES, guard="funding", transient=True),
        Verdict(action=Action.HALT_ENTRIES, guard="node.links", transient=True),
        Verdict(action=Action.HALT_ENTRIES, guard="node.position", reason="differs"),
        Verdict(action=Action.NONE, guard="daily"),
    ],
)
def test_what_passes_by_itself_or_only_makes_smaller_wakes_nobody(verdict: Verdict) -> None:
    heard = Heard()
    heard.hear(verdict)
    assert heard.alerts == []


def test_a_flatten_is_followed_and_what_is_not_flat_is_critical() -> None:
    heard = Heard()
    for kind in ("closing", "flat", "not_flat", "resting", "dust", "off"):
        heard.made.report(kind, kind)
    assert [(level, text) for level, _, text in heard.alerts] == [
        ("warning", "closing"),
        ("warning", "flat"),
        ("critical", "not_flat"),
        ("critical", "resting"),
        ("warning", "dust"),
        ("info", "off"),
    ]
    assert heard.notes[0] == ("flatten", "closing")


def test_a_guard_that_falls_silent_is_told_once_and_again_when_it_is_heard_of() -> None:
    heard = Heard()
    for silent in ([], ["daily"], ["daily"], ["daily", "late"], ["late"], []):
        heard.made.silences(silent)
    assert [text for _, _, text in heard.alerts] == [
        "guard daily is silent: no entries until it is heard of",
        "guard late is silent: no entries until it is heard of",
        "guard daily is heard of again",
        "guard late is heard of again",
    ]
