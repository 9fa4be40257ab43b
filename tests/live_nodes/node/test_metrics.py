"""A node's figures: what a real Prometheus gets of it, its health, and what its loop pays."""

from __future__ import annotations

import json
import re
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from actors.guards.core.snapshot import Snapshot
from actors.records.journal import Journal
from actors.records.rows import FillRow
from live_nodes.local.heartbeat import Beat, Heartbeat
from live_nodes.node.exporter import exported, health, readiness
from live_nodes.node.metrics import JournalCounts
from tests.live_nodes.by_hand import BUY, SELL
from tests.live_nodes.documents import daily, node_of
from tests.live_nodes.stage import Desk, desk_node, stage
from tests.waiting import eventually

MONITORING = Path("live_nodes/monitoring")
S = 1_000_000_000
NAME = "BTCUSDT-LINEAR.BYBIT"
Samples = dict[str, float]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def get(port: int, page: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{page}", timeout=20) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def samples(text: str) -> Samples:
    """Return values by name and the labels of its own, by their names."""
    return {
        sample.name
        + "".join(
            f" {value}"
            for label, value in sample.labels.items()
            if label not in ("node", "environment")
        ): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


@contextmanager
def serving(desk: Desk) -> Iterator[int]:
    port = desk.node.metrics.port
    assert port is not None
    with exported(desk.live._context):
        eventually(lambda: reaches(port), "the exporter")
        yield port


def reaches(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def test_a_real_prometheus_scrapes_every_figure_of_a_node_that_trades(tmp_path: Path) -> None:
    program = shutil.which("prometheus")
    if program is None:
        pytest.skip("no prometheus here: `apt-get install prometheus` brings it")
    with (
        stage() as st,
        desk_node(
            st,
            metrics={"port": free_port()},
            actors={"daily": daily()},
            watch={"snapshot_every": 1.0},
        ) as desk,
        serving(desk) as port,
        prometheus(program, tmp_path, port) as ask,
    ):
        desk.filled(BUY, "0.020")
        desk.filled(SELL, "0.010")
        order = desk.strategy.market_order(BUY, "900")
        desk.until(lambda: desk.strategy.status(order) in ("DENIED", "REJECTED"), "the refusal")
        st.play("links_cut", "trade", at=Decimal(0), seconds=Decimal(1))
        scraped = eventually_in(desk, lambda: ask("fills_total == 2"), "two fills in Prometheus")
        assert scraped[0]["metric"]["strategy"] == "hand"
        assert scraped[0]["metric"]["node"] == "scene"
        eventually_in(desk, lambda: ask('ws_reconnect_total{link="trade"} == 1'), "the link")
        eventually_in(desk, lambda: ask('exposure_usdt{kind="net"} > 0'), "the position")
        assert ask("up == 1")
        assert ask("orders_total == 2")
        assert ask("sum(rejects_total) == 1")
        assert ask("ALERTS{alertname='TradingHalted'}") == []
        page = get(port, "/metrics")[1]
    found = samples(page)
    names = {name.partition(" ")[0] for name in found} | set(re.findall(r"# TYPE (\S+)", page))
    assert found["order_latency_seconds_count"] >= 2
    assert found["slippage_bps_bucket +Inf hand"] == 2
    assert found[f"position_usdt {NAME} hand"] == pytest.approx(found["exposure_usdt net"])
    assert 99_000 < found["equity_usdt"] <= 100_000
    assert 0 < found["drawdown_ratio"] < 0.01
    assert found["guard_headroom_ratio daily pct desk"] == pytest.approx(1, abs=0.1)
    assert found[f"feed_age_seconds {NAME}"] < 60
    assert found["process_resident_memory_bytes"] > 50e6
    assert found["risk_violation_total halt_entries daily"] == 0
    # What the shipped dashboard and rules show is there, under these names.
    assert names_used() - names - {"up", "memory_slope_mb_per_hour"} == set()


def names_used() -> set[str]:
    board = json.loads((MONITORING / "grafana.json").read_text())
    rules = yaml.safe_load((MONITORING / "alerts.yml").read_text())["groups"][0]["rules"]
    told = [t["expr"] for panel in board["panels"] for t in panel["targets"]]
    told += [rule["expr"] for rule in rules]
    bare = [re.sub(r"\{[^}]*\}|\[[^]]*\]|by \([^)]*\)", "", text) for text in told]
    words = {"sum", "max", "rate", "increase", "delta", "histogram_quantile", "or"}
    return {name for text in bare for name in re.findall(r"\b[a-z]\w+", text)} - words


@contextmanager
def prometheus(program: str, folder: Path, port: int) -> Iterator[Any]:
    """Run it with the shipped configuration, a scrape a second; yield how to ask it."""
    shutil.copy(MONITORING / "alerts.yml", folder)
    shipped = yaml.safe_load((MONITORING / "prometheus.yml").read_text())
    shipped["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
    shipped["scrape_configs"][0]["static_configs"] = [{"targets": [f"127.0.0.1:{port}"]}]
    (folder / "prometheus.yml").write_text(yaml.safe_dump(shipped))
    own = free_port()
    line = [program, f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/data"]
    line += [f"--web.listen-address=127.0.0.1:{own}", "--log.level=error"]
    with subprocess.Popen(line, cwd=folder) as server:

        def ask(query: str) -> list[dict[str, Any]]:
            status, text = get(own, f"/api/v1/query?query={quote(query)}")
            return json.loads(text)["data"]["result"] if status == 200 else []

        try:
            eventually(lambda: reaches(own), "Prometheus")
            yield ask
        finally:
            server.terminate()


def eventually_in(desk: Desk, wanted: Any, what: str) -> Any:
    found: list[Any] = []
    desk.until(lambda: found or found.extend(wanted()) or found, what)
    return found


def test_the_shipped_rules_and_configuration_are_sound() -> None:
    program = shutil.which("promtool")
    if program is None:
        pytest.skip("no promtool here: `apt-get install prometheus` brings it")
    subprocess.run([program, "check", "config", str(MONITORING / "prometheus.yml")], check=True)


def test_it_is_ready_while_it_runs_with_all_links_and_healthy_without() -> None:
    with stage() as st, desk_node(st, metrics={"port": free_port()}) as desk, serving(desk) as port:
        eventually_in(desk, lambda: [200] * (get(port, "/readyz") == (200, "ok\n")), "ready")
        st.play("links_cut", "trade", at=Decimal(0), seconds=Decimal(600))
        eventually_in(
            desk, lambda: [1] * (get(port, "/readyz") == (503, "down: trade\n")), "no link"
        )
        assert get(port, "/healthz") == (200, "ok\n")
        st.end_faults()
        eventually_in(desk, lambda: [1] * (get(port, "/readyz")[0] == 200), "the link")
        assert get(port, "/other")[0] == 404


def test_a_port_that_is_taken_is_said_and_ends_nothing() -> None:
    with socket.socket() as other, stage() as st:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with desk_node(st, metrics={"port": port}) as desk, exported(desk.live._context):
            desk.until(lambda: any(f":{port}: " in line for line in desk.said), "the news")
            desk.filled(BUY)


def beat(**changes: Any) -> Beat:
    return Beat(**({"ts": 100 * S, "pid": 1, "phase": "running"} | changes))


def test_health_is_progress_and_readiness_is_trading() -> None:
    now = 101 * S
    assert health(None, now) == "no heartbeat yet"
    assert health(beat(), now) == readiness(beat(), now) == ""
    assert health(beat(), 111 * S) == "no heartbeat for 11 s: the event loop hangs"
    stalled = beat(stalled="no guard was evaluated for 20 s")
    assert readiness(stalled, now) == "no guard was evaluated for 20 s"
    assert readiness(beat(phase="stopping"), now) == "the node is stopping"
    assert readiness(beat(links_down=("private", "trade")), now) == "down: private, trade"


def test_drawdown_is_from_the_peak_over_restarts_and_no_withdrawal_is_a_loss(
    tmp_path: Path,
) -> None:
    def beats(heart: Heartbeat, equity: str, flows: str = "0") -> float | None:
        heart.desk = lambda: Snapshot(now=0, equity=Decimal(equity), flows=Decimal(flows))
        heart.beat("running")
        assert heart.last is not None
        return heart.last.drawdown

    first = Heartbeat(tmp_path, print)
    assert [beats(first, equity) for equity in ("1000", "1200", "900")] == [0, 0, 0.25]
    again = Heartbeat(tmp_path, print)
    assert beats(again, "1080") == pytest.approx(0.1)
    # Of 1200 others took 200, and 1000 are still there: none is lost.
    assert beats(again, "1000", "-200") == 0
    # Half of it is lost; nine times the rest paid in makes that no smaller, nor half out larger.
    assert beats(again, "500", "-200") == 0.5
    assert beats(again, "5000", "4300") == 0.5
    assert beats(Heartbeat(tmp_path, print), "2500", "1800") == 0.5
    assert beats(Heartbeat(tmp_path, print, anew=True), "500") == 0


def test_a_loop_that_beats_while_no_guard_is_evaluated_is_stalled(tmp_path: Path) -> None:
    heart = Heartbeat(tmp_path, print, guards_within=10.5)
    for age, says in ((10, ""), (12, "no guard was evaluated for 12 s")):
        heart.guards = lambda age=age: {"daily": None, "operator": time.time_ns() - age * S}  # type: ignore[misc]
        heart.beat("running")
        assert heart.last is not None
        assert heart.last.stalled == says
    heart.beat("starting")
    assert heart.last.stalled == ""


def test_each_execution_counts_once_however_late_it_is_found(tmp_path: Path) -> None:
    now = time.time_ns()

    def fill(number: int, ago_s: int, **changes: Any) -> FillRow:
        sure: dict[str, Any] = {"side": "BUY", "kind": "Trade", "liquidity": "TAKER"}
        return FillRow(
            **(sure | changes),
            instrument=NAME,
            execution_id=str(number),
            ts=now - ago_s * S,
            strategy="steady",
            quantity=Decimal(2),
            price=Decimal(101),
            reference_price=Decimal(100),
            fee=Decimal(0),
        )

    counts = JournalCounts(node_of())
    with Journal.open(tmp_path, node="mine") as journal:
        journal.begin_run(environment="practice", document="abc")
        journal.fill(fill(1, 3600))
        counts.read(journal)
        assert counts.fills == {("steady",): 0}
        # Recovery finds one of an hour before the start, a sweep one of a quarter of an hour ago.
        late = (fill(2, 3600), fill(3, 0), fill(4, 240), fill(5, 900))
        # Bybit gives funding a side, which is no trade's.
        others = [fill(n, 0, kind="Funding") for n in (6, 7)]
        for found in (*late, *others):
            journal.fill(found)
            counts.read(journal)
            counts.read(journal)
    assert counts.fills == {("steady",): 4}
    assert counts.traded["steady",] == 808
    assert counts.slippage["steady",] == 8
    # 1 of 101 is 99 bps, which is between 50 and 100.
    buckets = dict(counts.slippage_bps["steady"].buckets())
    assert (buckets["50.0"], buckets["100.0"]) == (0, 4)


@pytest.mark.slow
def test_scrapes_without_a_pause_leave_the_loop_on_time() -> None:
    """A page a second is made at most; others get it again."""
    with stage() as st, desk_node(st, metrics={"port": free_port()}) as desk, serving(desk) as port:
        quiet = latest(desk)
        line = f"while :; do curl -s -o /dev/null http://127.0.0.1:{port}/metrics; done"
        with subprocess.Popen(["sh", "-c", line]) as scraper:
            busy = latest(desk)
            scraper.kill()
        print(f"loop's delay, p99 and most: {quiet} ms alone, {busy} ms while scraped")
        assert busy[0] < quiet[0] + 20


def latest(desk: Desk) -> tuple[float, float]:
    """Return the p99 and the largest delay of two thousand sleeps of a millisecond, ms."""
    late = []
    for _ in range(2_000):
        began = time.perf_counter()
        desk.wait(0.001)
        late.append((time.perf_counter() - began) * 1e3 - 1)
    return round(sorted(late)[-20], 2), round(max(late), 2)
