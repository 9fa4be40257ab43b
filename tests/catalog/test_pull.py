"""Pulling from a local server that speaks Bybit v5: paging, resuming, patience."""

import asyncio
import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from catalog.providers.bybit_http import BybitHistory
from catalog.pull import pull
from catalog.storage.store import Catalog
from catalog.verify import verify
from config.documents import Ingest
from config.errors import DeskError, InputError
from tests.catalog.bybit_server import Market, Server, price
from tests.catalog.market import BTC, DAY, ETH, FOREVER, HOUR, START
from tests.waiting import DEADLINE, eventually

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def server() -> Iterator[Server]:
    """A server with BTC and ETH from 2024 on."""
    with Server(Market()) as running:
        yield running


def fields(path: Path, server: Server) -> dict[str, object]:
    """An ingest of ten days of hourly BTC, as a user writes it."""
    return {
        "kind": "ingest",
        "catalog": str(path),
        "source": {"venue": "bybit", "base_url": server.url},
        "instruments": ["BTCUSDT"],
        "intervals": ["1h"],
        "start": "2024-01-01",
        "end": "2024-01-11",
    }


def ingest(path: Path, server: Server, **changes: object) -> Ingest:
    """That ingest as a document, with changes."""
    return Ingest.model_validate(fields(path, server) | changes)


def sound(path: Path) -> Catalog:
    """Open a catalog in which nothing is wrong."""
    catalog = Catalog(path)
    assert [f for f in verify(catalog) if f.severity == "wrong"] == []
    return catalog


def test_a_pull_brings_candles_mark_prices_funding_and_facts(server, tmp_path):
    writer = pull(ingest(tmp_path, server, instruments=["BTCUSDT", "ETHUSDT"]))

    assert writer.changed
    catalog = sound(tmp_path)
    assert list(catalog.instruments) == [BTC, ETH]
    info = catalog.instruments[BTC]
    assert (info.tick, info.max_leverage, info.maintenance_margin) == ("0.05", "50.00", "0.01")
    assert (info.listed_ns, info.funding_minutes, info.inferred) == (START, 480, False)
    assert catalog.coverage("bars", "1h")[BTC] == (START + HOUR, START + 10 * DAY, 240)
    assert catalog.coverage("mark", "1h")[ETH] == (START + HOUR, START + 10 * DAY, 240)
    assert catalog.coverage("funding")[BTC] == (START, START + 10 * DAY - 8 * HOUR, 30)
    close = float(price(START // 10**6 + 239 * 3_600_000)[3])
    assert catalog.series("bars", "1h", BTC, 0, FOREVER).column("close")[239].as_py() == close
    mark = float(price(START // 10**6 + 239 * 3_600_000, mark=True)[3])
    assert catalog.series("mark", "1h", BTC, 0, FOREVER).column("close")[239].as_py() == mark
    assert not (tmp_path / ".pull").exists()


def test_long_series_are_paged_backwards_without_a_hole(server, tmp_path):
    pull(ingest(tmp_path, server, intervals=["5m"], end="2024-03-01", funding=False))
    catalog = Catalog(tmp_path)
    assert catalog.coverage("bars", "5m")[BTC].rows == 60 * 288
    assert catalog.coverage("mark", "1h")[BTC].rows == 60 * 24
    steps = np.diff(catalog.series("bars", "5m", BTC, 0, FOREVER).column("ts").to_numpy())
    assert set(steps.tolist()) == {HOUR // 12}
    assert server.market.count("kline") >= 18


def test_pulling_again_requests_facts_and_a_longer_pull_the_new_days_only(server, tmp_path):
    pull(ingest(tmp_path, server, start="2024-01-05"))
    server.market.asked.clear()
    assert not pull(ingest(tmp_path, server, start="2024-01-05")).changed
    assert {name for name, _ in server.market.asked} == {"instruments-info"}
    assert Catalog(tmp_path).version == 1

    pull(ingest(tmp_path, server, end="2024-01-13"))

    assert sound(tmp_path).coverage("bars", "1h")[BTC].rows == 12 * 24
    queries = [query for name, query in server.market.asked if name == "kline"]
    assert sum(int(q["end"]) - int(q["start"]) for q in queries) <= 6 * 24 * 3_600_000


def test_an_unfinished_candle_is_not_requested(server, tmp_path):
    now = time.time_ns()
    server.market.launch_ms = (now - 3 * DAY) // 10**6 // 3_600_000 * 3_600_000
    today = datetime.fromtimestamp(now / 1e9, UTC)
    pull(ingest(tmp_path, server, start="2024-01-01", end=f"{today.year + 1}-01-01"))
    last = sound(tmp_path).coverage("bars", "1h")[BTC].last
    assert now - HOUR <= last <= time.time_ns()


def test_a_refusal_for_the_pace_is_waited_out(server, tmp_path):
    server.market.refuse = [10006, 10006, 0, 10006, 10006, 10006]
    pull(ingest(tmp_path, server), pause=0.01)
    assert Catalog(tmp_path).coverage("bars", "1h")[BTC].rows == 240


def test_requests_keep_to_ten_a_second(server, tmp_path):
    started = time.monotonic()
    pull(ingest(tmp_path, server, intervals=["5m"], end="2024-05-01", mark=False, funding=False))
    asked = server.market.count("kline")
    assert asked >= 35
    # A burst of ten goes at once, the others at the pace.
    assert time.monotonic() - started >= (asked - 10) / 10 * 0.9


def test_a_broken_pull_keeps_its_pieces_and_goes_on_from_them(server, tmp_path):
    wanted = ingest(tmp_path, server, instruments=["BTCUSDT", "ETHUSDT"], funding=False)
    server.market.fail_after = 4

    with pytest.raises(DeskError, match=r"403.*pieces are kept: run it again to go on"):
        pull(wanted, pause=0.01)

    with pytest.raises(InputError, match="no catalog here"):
        Catalog(tmp_path)
    kept = len(list(tmp_path.rglob("*.parquet")))
    assert kept >= 1

    server.market.fail_after = None
    server.market.asked.clear()
    pull(wanted)

    series = [name for name, _ in server.market.asked if name != "instruments-info"]
    assert len(series) == 4 - kept
    assert Catalog(tmp_path).coverage("mark", "1h")[ETH].rows == 240


def test_a_killed_pull_goes_on_from_its_finished_pieces(server, tmp_path):
    path = tmp_path / "catalog"
    document = tmp_path / "ingest.yaml"
    few = {"intervals": ["5m"], "end": "2024-05-01", "funding": False, "mark": False}
    document.write_text(json.dumps(fields(path, server) | few))
    command = [sys.executable, str(ROOT / "perpdesk.py"), "catalog", "pull", str(document)]
    process = subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.DEVNULL)
    eventually(lambda: list(path.rglob("*.parquet")))
    process.send_signal(signal.SIGKILL)
    process.wait(DEADLINE)
    kept = {file.name for file in path.rglob("*.parquet")}
    assert kept
    asked = server.market.count("kline")

    subprocess.run(command, cwd=tmp_path, check=True, timeout=60, capture_output=True)

    again = server.market.count("kline") - asked
    # 35 pages in four pieces, and perhaps an empty page to see the end of each.
    assert again <= 35 + 4 - 7 * len(kept)
    assert Catalog(path).coverage("bars", "5m")[BTC].rows == 121 * 288
    assert not (path / ".pull").exists()


def test_an_unknown_symbol_gets_a_suggestion(server, tmp_path):
    with pytest.raises(InputError, match=r"no linear BTCUSD \(did you mean BTCUSDT\?\)"):
        pull(ingest(tmp_path, server, instruments=["BTCUSD"]))


def test_all_means_every_page_of_instruments(server, tmp_path):
    server.market.symbols = ("BTCUSDT", "ETHUSDT", "SOLUSDT", "XRPUSDT", "ADAUSDT")

    async def ask() -> list[str]:
        history = BybitHistory("LINEAR", server.url)
        return [info.symbol for info in await history.instruments(None)]

    assert asyncio.run(ask()) == list(server.market.symbols)
