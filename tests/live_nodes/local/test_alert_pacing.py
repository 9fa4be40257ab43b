"""What a channel sends and when, by hand-made times."""

from __future__ import annotations

from typing import Any

import pytest

from config.documents.alerts import AlertChannelTerms, QuietHours
from config.durations import HOUR_NS, MINUTE_NS, SECOND_NS
from live_nodes.local.alert_pacing import Alert, AlertPacing, Level, kept_places, quiet_until

NIGHT = {"start": "22:00", "end": "06:00"}


def at(text: str, day: int = 0) -> int:
    hours, minutes = map(int, text.split(":"))
    return (day * 24 + hours) * HOUR_NS + minutes * MINUTE_NS


def alert(
    text: str, ts: int, level: Level = "warning", about: str = "", *, over: bool = False
) -> Alert:
    return Alert(ts=ts, level=level, kind="guard", text=text, about=about, over=over)


def pacing(*alerts: Alert, **terms: Any) -> AlertPacing:
    made = AlertPacing(AlertChannelTerms(addresses="DESK", **terms))
    for one in alerts:
        made.put(one)
    return made


def texts(found: list[Alert]) -> list[str]:
    return [one.text for one in found]


@pytest.mark.parametrize(
    ("now", "until"),
    [
        ((at("21:59")), at("21:59")),
        ((at("22:00")), at("06:00", 1)),
        ((at("23:30")), at("06:00", 1)),
        ((at("05:59", 1)), at("06:00", 1)),
        ((at("06:00", 1)), at("06:00", 1)),
    ],
)
def test_quiet_hours_over_midnight_end_in_the_morning(now: int, until: int) -> None:
    assert quiet_until(QuietHours(**NIGHT), now) == until  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("terms", "level", "leaves"),
    [
        ({}, "info", "03:10"),
        ({"digest": "1h"}, "warning", "04:00"),
        ({"digest": "1h"}, "critical", "03:10"),
        ({"quiet": NIGHT}, "warning", "06:00"),
        ({"quiet": NIGHT}, "critical", "03:10"),
        ({"quiet": NIGHT | {"passes": "warning"}}, "warning", "03:10"),
        ({"quiet": NIGHT | {"passes": "nothing"}}, "critical", "06:00"),
        ({"quiet": NIGHT, "digest": "4h"}, "info", "06:00"),
        ({"quiet": {"start": "12:00", "end": "13:00"}}, "info", "03:10"),
        ({"severity": "warning"}, "info", None),
        ({"severity": "escalated", "escalation": {}}, "critical", None),
    ],
)
def test_an_alert_of_ten_past_three_leaves_when_its_channel_lets_it(
    terms: dict[str, Any], level: Level, leaves: str | None
) -> None:
    now = at("03:10")
    made = pacing(alert("x", now, level), **terms)
    due = None if leaves is None else at(leaves)
    assert made.due(now) == due
    if due is not None:
        assert due == now or made.take(due - 1) == []
        assert texts(made.take(due)) == ["x"]
        assert made.due(due) is None


def test_a_critical_alert_does_not_take_those_of_the_digest_along() -> None:
    made = pacing(alert("a", 1), alert("b", 2, "critical"), alert("c", 3), digest="1h")
    assert texts(made.take(at("00:10"))) == ["b"]
    assert texts(made.take(at("01:00"))) == ["a", "c"]


def test_messages_over_the_limit_wait_until_an_hour_has_passed_and_share_one() -> None:
    made = pacing(per_hour=2)
    for minute in (0, 10, 20, 30):
        now = minute * MINUTE_NS
        made.put(alert(f"at {minute}", now))
        batch = made.take(now)
        if batch:
            made.sent(batch, now)
    assert made.due(at("00:30")) == at("01:00")
    made.put(alert("flat no more", at("00:31"), "critical"))
    assert texts(made.take(at("00:31"))) == ["flat no more"]
    assert texts(made.take(at("01:00"))) == ["at 20", "at 30"]


def test_a_clock_that_is_set_back_holds_up_an_alert_for_an_hour_at_most() -> None:
    made = pacing(per_hour=1)
    made.sent([alert("x", at("09:00"))], at("09:00"))
    made.put(alert("y", at("09:01")))
    assert made.due(at("05:00")) == at("06:00")
    assert pacing(alert("z", at("09:00")), digest="1h").due(at("05:10")) == at("06:00")


def test_the_end_of_the_node_sends_all_but_what_quiet_hours_hold() -> None:
    limits: dict[str, Any] = {"digest": "1d", "per_hour": 1, "quiet": NIGHT}
    made = pacing(alert("x", at("10:00")), **limits)
    made.sent([alert("y", 0)], at("09:30"))
    assert made.due(at("10:00")) == at("06:00", 1)
    assert (made.kept(at("10:00")), made.due(at("10:00"), ends=True)) == ([], at("10:00"))
    assert texts(made.kept(at("23:00"))) == ["x"]
    assert made.take(at("23:00"), ends=True) == []
    assert texts(made.take(at("10:00"), ends=True)) == ["x"]


def test_who_heard_that_something_began_hears_that_it_is_over() -> None:
    made = pacing(severity="warning")
    made.put(alert("over already", 1, "info", "daily", over=True))
    made.put(alert("begins", 2, "warning", "daily"))
    made.put(alert("is over", 3, "info", "daily", over=True))
    made.put(alert("is over again", 4, "info", "daily", over=True))
    assert texts(made.take(5)) == ["begins", "is over"]


def test_who_is_to_hear_after_a_restart_that_something_began_hears_that_it_is_over() -> None:
    terms = AlertChannelTerms(addresses="DESK", severity="warning")
    made = AlertPacing(terms, [alert("begins", 1, "warning", "daily")])
    made.put(alert("is over", 3, "info", "daily", over=True))
    assert texts(made.take(5)) == ["begins", "is over"]


def test_of_too_many_alerts_a_critical_one_is_kept() -> None:
    batch = [alert(str(n), n, "critical" if n in (2, 3) else "info") for n in range(6)]
    assert kept_places(batch, 3) == [0, 2, 3]
    assert kept_places(batch, 5) == [0, 1, 2, 3, 5]


def escalated(**terms: Any) -> AlertPacing:
    return pacing(severity="escalated", escalation=terms)


def test_what_stands_too_long_escalates_once_as_critical() -> None:
    made = escalated(severity="warning", stands="15m")
    made.put(alert("halt", at("01:00"), "warning", "daily"))
    made.put(alert("happened", at("01:00"), "warning"))
    assert made.due(at("01:00")) == at("01:15")
    # That it changes is no new beginning.
    made.put(alert("flatten", at("01:10"), "critical", "daily"))
    assert made.take(at("01:14")) == []
    [found] = made.take(at("01:15"))
    assert (found.text, found.level) == ("escalated, stands for 15m: flatten", "critical")
    made.put(alert("flatten again", at("01:20"), "critical", "daily"))
    assert made.due(at("09:00")) is None
    made.put(alert("is over", at("09:00"), "info", "daily", over=True))
    assert texts(made.take(at("09:00"))) == ["is over"]
    made.put(alert("halt anew", at("10:00"), "warning", "daily"))
    assert texts(made.take(at("10:15"))) == ["escalated, stands for 15m: halt anew"]


def test_what_is_over_in_time_does_not_escalate() -> None:
    made = escalated(severity="warning", stands="15m")
    made.put(alert("halt", at("01:00"), "warning", "daily"))
    made.put(alert("is over", at("01:14"), "info", "daily", over=True))
    assert made.due(at("02:00")) is None


def test_what_repeats_within_the_time_escalates_and_counts_anew() -> None:
    made = escalated(severity="warning", stands=None, repeats=3, within="10m")
    for minute in (0, 6, 12, 14):
        made.put(alert("order refused", minute * MINUTE_NS))
        made.put(alert("another", minute * MINUTE_NS, "info"))
        found = texts(made.take(minute * MINUTE_NS))
        words = "escalated, 3 times within 10m: order refused"
        assert found == ([words] if minute == 14 else [])
    made.put(alert("order refused", 15 * MINUTE_NS))
    assert made.due(15 * MINUTE_NS + SECOND_NS) is None
