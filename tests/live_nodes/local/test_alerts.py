"""Alerts at a real local server; a dead one and one that hangs delay nothing."""

from __future__ import annotations

import http.server
import json
import logging
import os
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from config.documents.alerts import AlertChannelTerms
from config.errors import GateRefused
from live_nodes.local.alert_pacing import Alert, Level
from live_nodes.local.alerts import (
    FILE,
    KEPT_FILE,
    LINES,
    AlertChannel,
    Alerts,
    AlertUrl,
    Pace,
    alert_urls_of,
    message,
)
from live_nodes.local.keys import Secret
from tests.live_nodes.documents import node_of
from tests.waiting import DEADLINE, eventually, slack

QUICK = Pace(gather=0.02, pause=0.1, backoff=0.05, backoff_most=0.2)
TOKEN = "s3cr3t-token"


class Ear:
    """A local server that takes what apprise sends."""

    def __init__(self, port: int = 0, *, status: int = 200, hangs: float = 0.0) -> None:
        self.heard: list[dict[str, Any]] = []
        ear = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if hangs:
                    time.sleep(hangs)
                    return
                ear.heard.append(json.loads(body))
                self.send_response(status)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Print nothing."""

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self.server.daemon_threads = True
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    @property
    def address(self) -> Secret:
        return Secret(f"json://127.0.0.1:{self.port}/{TOKEN}")

    def url(self, channel: str = "channel", **terms: Any) -> AlertUrl:
        return AlertUrl(self.address, channel, AlertChannelTerms(addresses="DESK", **terms))

    @property
    def text(self) -> str:
        return "\n".join(f"{m['title']}\n{m['message']}" for m in self.heard)

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()


@contextmanager
def ear(**settings: Any) -> Iterator[Ear]:
    with closing(Ear(**settings)) as made:
        yield made


def alerts_to(folder: Path, *ears: Ear | Secret, pace: Pace = QUICK) -> Alerts:
    urls = [AlertUrl(ear.address if isinstance(ear, Ear) else ear) for ear in ears]
    return Alerts("reversal", folder, urls, pace)


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def lines(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / FILE).read_text().splitlines()]


def test_an_alert_arrives_at_its_address_and_is_kept_as_a_line(tmp_path: Path) -> None:
    with ear() as there:
        alerts = alerts_to(tmp_path, there)
        alerts("daily: 5.1 % lost, limit 5 %", "critical")
        eventually(lambda: there.heard)
        assert alerts.close()
    [heard] = there.heard
    assert heard["title"] == "reversal: guard"
    assert heard["message"].endswith("UTC daily: 5.1 % lost, limit 5 %")
    assert heard["type"] == "failure"
    [line] = lines(tmp_path)
    assert (line["level"], line["kind"]) == ("critical", "guard")
    assert line["text"] == "daily: 5.1 % lost, limit 5 %"
    assert alerts.counts() == {"alerts_sent": 1, "alerts_messages": 1}
    assert alerts.counts() == {}
    assert alerts.news() == []


def test_a_storm_of_a_thousand_makes_a_handful_of_messages(tmp_path: Path) -> None:
    with ear() as there:
        alerts = alerts_to(tmp_path, there)
        began = time.monotonic()
        for number in range(1000):
            alerts(f"number {number}")
        assert time.monotonic() - began < slack(1)
        eventually(lambda: "number 999" in there.text)
        assert alerts.close()
    assert len(there.heard) <= 12
    assert "number 0" in there.text
    assert max(m["message"].count("\n") for m in there.heard) <= LINES
    assert len(lines(tmp_path)) == 1000
    counts = alerts.counts()
    # None is lost uncounted.
    assert counts["alerts_sent"] + counts.get("alerts_dropped", 0) == 1000


def test_the_first_alert_does_not_wait_and_the_next_keeps_the_pace(tmp_path: Path) -> None:
    with ear() as there:
        alerts = alerts_to(tmp_path, there, pace=Pace(gather=0.02, pause=0.6))
        began = time.monotonic()
        alerts("first")
        eventually(lambda: len(there.heard) == 1)
        alerts("second")
        alerts("third")
        eventually(lambda: len(there.heard) == 2)
        assert time.monotonic() - began >= 0.6
        alerts.close()
    assert "second" in there.heard[1]["message"]
    assert "third" in there.heard[1]["message"]


def test_a_dead_address_delays_no_other_and_gets_all_when_it_is_back(tmp_path: Path) -> None:
    port = free_port()
    dead = Secret(f"json://127.0.0.1:{port}/{TOKEN}")
    with ear() as alive:
        alerts = alerts_to(tmp_path, dead, alive)
        alerts("one")
        eventually(lambda: alive.heard)
        eventually(lambda: alerts._channels[0].counted()["failures"] >= 2)
        [news] = alerts.news()
        assert news.startswith("channel 1 (JSON): the service refuses it or can't be reached")
        assert alerts.news() == []
        alerts("two")
        with ear(port=port) as back:
            eventually(lambda: "one" in back.text and "two" in back.text)
            assert alerts.close()
            assert alerts.news() == ["channel 1 (JSON): alerts arrive again"]


def test_other_channels_are_told_once_of_one_that_does_not_deliver(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("live_nodes.local.alerts.LATE_S", 0.5)
    port = free_port()
    with ear() as alive:
        urls = AlertUrl(Secret(f"json://127.0.0.1:{port}/{TOKEN}"), "phone"), alive.url("chat")
        alerts = Alerts("reversal", tmp_path, urls, QUICK)
        alerts.watch()
        alerts("one")
        eventually(lambda: (alerts.watch(), "alerts to phone" in alive.text)[1])
        with ear(port=port) as back:
            eventually(lambda: (alerts.watch(), "arrive again" in alive.text)[1])
            alerts.watch()
            assert alerts.close()
            assert "alerts to phone 1 (JSON) have not arrived" in back.text
    assert [line["kind"] for line in lines(tmp_path)] == ["guard", "alerts", "alerts"]


def test_an_address_that_refuses_is_tried_less_and_less_often(tmp_path: Path) -> None:
    with ear(status=500) as there:
        alerts = alerts_to(tmp_path, there)
        began = time.monotonic()
        alerts("one")
        eventually(lambda: len(there.heard) >= 6)
        # After 0.05 + 0.1 + 0.2 + 0.2 + 0.2 seconds.
        assert time.monotonic() - began >= 0.75
        assert not alerts.close(0.2)
        counted: Counter[str] = Counter()
        # Counts are those since the last look.
        eventually(
            lambda: (
                counted.update(alerts.counts()) or counted["alerts_failures"] == len(there.heard)
            )
        )


def test_an_address_that_hangs_holds_up_neither_the_node_nor_its_stop(tmp_path: Path) -> None:
    with ear(hangs=30.0) as stuck, ear() as alive:
        alerts = alerts_to(tmp_path, stuck, alive)
        alerts("one")
        eventually(lambda: alive.heard)
        began = time.monotonic()
        for number in range(100):
            alerts(f"number {number}")
        assert time.monotonic() - began < slack(0.5)
        eventually(lambda: "number 99" in alive.text)
        began = time.monotonic()
        assert not alerts.close(0.5)
        assert time.monotonic() - began < slack(1.5)


def test_waiting_alerts_leave_at_the_stop(tmp_path: Path) -> None:
    with ear() as there:
        alerts = alerts_to(tmp_path, there, pace=Pace(gather=10, pause=60))
        alerts("last words", "critical", "node")
        began = time.monotonic()
        assert alerts.close(DEADLINE)
        assert time.monotonic() - began < slack(2)
    assert "last words" in there.text


def test_an_address_that_hangs_leaves_the_others_their_time_at_the_stop(tmp_path: Path) -> None:
    with ear(hangs=30.0) as stuck, ear() as there:
        alerts = alerts_to(tmp_path, stuck, there, pace=Pace(gather=0.02, pause=60))
        alerts("one")
        eventually(lambda: there.heard)
        alerts("last words")
        assert not alerts.close(slack(0.5))
        assert "last words" in there.text


def test_while_an_address_is_dead_the_first_and_the_newest_are_kept() -> None:
    sent: list[str] = []
    open_now = threading.Event()

    def send(title: str, body: str, level: Level) -> bool:
        if open_now.is_set():
            sent.append(body)
        return open_now.is_set()

    pace = Pace(gather=0.01, pause=0.0, backoff=0.01, backoff_most=0.02, waiting=20)
    channel = AlertChannel("reversal", "one", send, pace)
    for number in range(200):
        channel.put(Alert(ts=0, level="warning", kind="guard", text=f"number {number}"))
        if number % 50 == 0:
            time.sleep(0.05)
    time.sleep(0.1)
    open_now.set()
    channel.end(DEADLINE)
    assert channel.ended()
    text = "\n".join(sent)
    assert "number 0\n" in text
    assert text.endswith("number 199")
    counted = channel.counted()
    assert counted["sent"] + counted["dropped"] == 200
    assert counted["sent"] <= 40


def test_errors_of_a_service_are_counted_and_their_texts_not_shown() -> None:
    def send(title: str, body: str, level: Level) -> bool:
        raise RuntimeError(f"https://api.telegram.org/bot{TOKEN}/sendMessage")

    channel = AlertChannel("reversal", "one", send, QUICK)
    channel.put(Alert(ts=0, level="warning", kind="guard", text="x"))
    eventually(lambda: channel.counted()["failures"])
    assert channel.news() == "one: failed: RuntimeError"
    channel.end(0.1)
    assert not channel.ended()


def test_an_alert_that_cannot_be_written_is_sent_all_the_same(tmp_path: Path) -> None:
    (tmp_path / FILE).mkdir()
    with ear() as there:
        alerts = alerts_to(tmp_path, there)
        alerts("one")
        eventually(lambda: there.heard)
        alerts.close()
    assert alerts.counts()["alerts_unwritten"] == 1


def test_a_message_counts_repetitions_and_is_cut_when_it_is_long() -> None:
    def alert(text: str, level: Level = "warning") -> Alert:
        return Alert(ts=3_600_000_000_000, level=level, kind="guard", text=text)

    title, body, level = message("n", [alert("a"), alert("b", "critical"), alert("a")])
    assert (title, body) == ("n: 3 alerts", "01-01 01:00:00 UTC a (x 2)\n01-01 01:00:00 UTC b")
    assert level == "critical"
    _, body, _ = message("n", [alert("x" * 1000)])
    assert len(body) == len("01-01 01:00:00 UTC ") + 400
    _, body, _ = message("n", [alert(str(number)) for number in range(30)])
    assert body.splitlines()[4:7] == [
        "01-01 01:00:00 UTC 4",
        "… and 20 more, see alerts.jsonl …",
        "01-01 01:00:00 UTC 25",
    ]


def test_a_critical_alert_is_shown_among_many_others() -> None:
    batch = [Alert(ts=0, level="warning", kind="guard", text=f"n {n}") for n in range(30)]
    batch[15] = Alert(ts=0, level="critical", kind="guard", text="NOT flat")
    lines = message("n", batch)[1].splitlines()
    assert len(lines) == LINES + 1
    assert lines[5:7] == ["… and 20 more, see alerts.jsonl …", "01-01 00:00:00 UTC NOT flat"]


def test_addresses_are_found_by_the_name_of_a_variable() -> None:
    assert alert_urls_of(node_of(), {}) == ()
    two = {"DESK_ALERTS": f" json://127.0.0.1:1/{TOKEN}  json://127.0.0.1:2/x\n"}
    found = alert_urls_of(node_of(alerts="DESK_ALERTS"), two)
    assert [url.address.reveal() for url in found] == two["DESK_ALERTS"].split()


def test_each_channel_has_its_own_addresses_and_terms() -> None:
    channels = {"mail": {"addresses": "MAIL"}, "phone": {"addresses": "SMS", "severity": "warning"}}
    made = node_of(alerts={"channels": channels})
    with pytest.raises(GateRefused, match="SMS is not set"):
        alert_urls_of(made, {"MAIL": "json://127.0.0.1:1"})
    found = alert_urls_of(made, {"MAIL": "json://127.0.0.1:1", "SMS": "json://127.0.0.1:2"})
    assert [(url.channel, url.terms.severity) for url in found] == [
        ("mail", "info"),
        ("phone", "warning"),
    ]


def test_a_channel_gets_its_severity_and_what_escalates(tmp_path: Path) -> None:
    with ear() as chat, ear() as phone:
        escalation = {"severity": "warning", "stands": "1s"}
        urls = chat.url("chat"), phone.url("phone", severity="escalated", escalation=escalation)
        alerts = Alerts("reversal", tmp_path, urls, QUICK)
        alerts("daily: 3 % lost", about="daily on desk")
        eventually(lambda: chat.heard)
        eventually(lambda: phone.heard)
        assert "escalated, stands for 1s: daily: 3 % lost" in phone.text
        assert phone.heard[0]["type"] == "failure"
        alerts("it is over", "info", about="daily on desk", over=True)
        eventually(lambda: "it is over" in phone.text and "it is over" in chat.text)
        assert alerts.close()


def test_what_waits_for_the_end_of_quiet_hours_is_sent_by_the_next_start(tmp_path: Path) -> None:
    # All day but one second.
    night = {"start": "00:00:00", "end": "23:59:59"}
    with ear() as there:
        alerts = Alerts("reversal", tmp_path, [there.url(quiet=night)], QUICK)
        alerts("a guard halts")
        alerts("the account is gone", "critical")
        eventually(lambda: there.heard)
        assert alerts.close()
        assert "a guard halts" not in there.text
        # A dry run sends nothing.
        Alerts("reversal", tmp_path)
        alerts = Alerts("reversal", tmp_path, [there.url()], QUICK)
        eventually(lambda: "a guard halts" in there.text)
        assert alerts.close()
    assert not (tmp_path / KEPT_FILE).exists()


def test_what_a_killed_node_had_not_sent_is_sent_by_the_next_start(tmp_path: Path) -> None:
    with ear() as there:
        killed = Alerts("reversal", tmp_path, [there.url(digest="1d")], QUICK)
        killed("a guard halts")
        killed.watch()
        alerts = Alerts("reversal", tmp_path, [there.url()], QUICK)
        eventually(lambda: "a guard halts" in there.text)
        alerts.watch()
        assert alerts.close()
        assert not (tmp_path / KEPT_FILE).exists()
        killed.close()


@pytest.mark.parametrize("text", [None, "", "   "])
def test_a_node_whose_alerts_would_reach_nobody_does_not_start(text: str | None) -> None:
    variables = {} if text is None else {"DESK_ALERTS": text}
    with pytest.raises(GateRefused, match="DESK_ALERTS is not set"):
        alert_urls_of(node_of(alerts="DESK_ALERTS"), variables)


def test_a_wrong_address_is_named_by_its_number_and_not_shown() -> None:
    variables = {"DESK_ALERTS": f"json://127.0.0.1:1 nowhere://{TOKEN}"}
    with pytest.raises(GateRefused, match="address 2 of 2 in DESK_ALERTS") as caught:
        alert_urls_of(node_of(alerts="DESK_ALERTS"), variables)
    assert TOKEN not in str(caught.value)


def test_no_address_is_ever_logged_or_written(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    dead = Secret(f"json://127.0.0.1:{free_port()}/{TOKEN}")
    with ear(status=403) as refuses:
        alerts = alerts_to(tmp_path, dead, refuses)
        alerts("one")
        eventually(lambda: all(channel.counted()["failures"] for channel in alerts._channels))
        alerts.close(0.3)
    out = capfd.readouterr()
    said = [caplog.text, out.out, out.err, *alerts.news(), repr(alerts), repr(vars(alerts))]
    said += [path.read_text() for path in tmp_path.iterdir()]
    assert not any(TOKEN in text for text in said)


def test_a_long_file_is_put_aside_at_the_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("live_nodes.local.alerts.FILE_BYTES", 10)
    (tmp_path / FILE).write_text("x" * 11)
    # Without an address the line is all.
    alerts = Alerts("reversal", tmp_path)
    alerts("new")
    assert alerts.close(0)
    assert alerts.counts() == {}
    assert sorted(os.listdir(tmp_path)) == ["alerts.jsonl", "alerts.old.jsonl"]
    assert len(lines(tmp_path)) == 1
