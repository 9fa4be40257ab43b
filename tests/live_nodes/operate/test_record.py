"""`perpdesk record` on a practice exchange that notes its own books."""

from __future__ import annotations

import asyncio
import csv
import json
import resource
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from nautilus_trader.model.book import OrderBook
from nautilus_trader.model.data import OrderBookDeltas
from nautilus_trader.model.enums import BookType
from nautilus_trader.model.identifiers import InstrumentId

from backtests.run import prepare, run
from catalog import engine
from catalog.findings import WRONG
from catalog.recordings import AUDIT
from catalog.storage.store import Catalog
from catalog.verify import verify
from config.documents import Backtest
from config.documents.exchange import ExchangeDocument
from config.documents.scenario import Channel, Kill, SequenceGap
from config.durations import MINUTE_NS
from live_nodes.local.endpoints import venue_endpoints
from live_nodes.local.folder import node_document
from live_nodes.local.practice_process import Endpoint
from live_nodes.operate.record import SPOOL, RecordOptions, RecordSummary, record
from live_nodes.practice.exchange.store import StateFile
from live_nodes.practice.faults import Faults
from live_nodes.practice.process import open_exchange
from live_nodes.practice.wire.access import RateLimits
from live_nodes.practice.wire.server import Server, serve
from strategies.base import DeskStrategy, DeskStrategyConfig
from tests.conftest import RunCommand
from tests.live_nodes.documents import STEADY, node_file
from tests.live_nodes.practice.background import in_thread
from tests.waiting import DEADLINE, eventually, slack

BTC, SPOT = "BTCUSDT-LINEAR.BYBIT", "ETHUSDT-SPOT.BYBIT"
TICKS = ("book", "trades", "tickers")
MS = 1_000_000
Key = tuple[int, int]
Book = tuple[dict[float, float], dict[float, float]]


class Noted(Faults):
    """Notes each book that is pushed, as the exchange has it, and each public trade."""

    def __init__(self) -> None:
        super().__init__()
        self.server: Server | None = None
        self.books: dict[Key, Book] = {}
        self.trades: list[tuple[int, int, float, float, int]] = []

    def on_push(
        self, channel: Channel, topic: str, payload: dict[str, Any], account: str | None = None
    ) -> list[tuple[float, dict[str, Any]]]:
        assert self.server is not None
        if topic == "orderbook.50.BTCUSDT":
            bids, asks = self.server.venue.book(("linear", "BTCUSDT"), 50)
            self.books[payload["cts"] * MS, payload["data"]["u"]] = (
                {float(p): float(q) for p, q in bids},
                {float(p): float(q) for p, q in asks},
            )
        elif topic == "publicTrade.BTCUSDT":
            self.trades += [
                (t["T"] * MS, t["seq"], float(t["p"]), float(t["v"]), 1 if t["S"] == "Buy" else -1)
                for t in payload["data"]
            ]
        return super().on_push(channel, topic, payload, account)


DOCUMENT = ExchangeDocument.model_validate(
    {
        "name": "recorded",
        "accounts": {"anna": {}},
        "market": {
            "model": "random",
            "updates_per_second": 200,
            "symbols": {
                "BTCUSDT": {"price": 60_000, "tick": "0.1", "lot": "0.001"},
                "ETHUSDT": {"price": 3_000, "tick": "0.01", "lot": "0.01", "products": ["spot"]},
            },
        },
    }
)


class Place:
    """An exchange, and recordings of it into one catalog."""

    def __init__(self, folder: Path, noted: Noted, port: int) -> None:
        self.noted, self.catalog = noted, folder / "catalog"
        where = Endpoint.of(0, port, 0)
        urls = {name: getattr(where, name) for name in ("http", "ws_public")}
        urls |= {name: getattr(where, name) for name in ("ws_private", "ws_trade")}
        self.node = node_file(
            folder,
            environment="paper",
            venue_urls=urls,
            universe={"instruments": [BTC, SPOT]},
            # Which it could not trade.
            strategies={"steady": {"use": STEADY, "params": {"side": "long_short"}}},
        )

    def start(self, *options: str, limit: int = 0) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "perpdesk", "record", str(self.node)]
        unlimited = resource.RLIM_INFINITY

        def small() -> None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, unlimited))

        return subprocess.Popen(
            [*command, "--catalog", str(self.catalog), *options],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=small if limit else None,
        )

    def record(self, *options: str, **more: int) -> dict[str, Any]:
        process = self.start("--json", *options, **more)
        out, errors = process.communicate(timeout=slack(DEADLINE))
        assert process.returncode == 0, errors
        begun = f"recording 2 instruments to {self.catalog} until "
        assert errors.startswith(begun)
        datetime.strptime(errors.splitlines()[0], f"{begun}%Y-%m-%d %H:%M:%S UTC")
        return dict(json.loads(out))

    def spooled(self) -> int:
        return sum(path.stat().st_size for path in (self.catalog / SPOOL).glob("*.jsonl"))

    def rows(self, kind: str) -> list[tuple[Any, ...]]:
        table = Catalog(self.catalog).series(kind, "", BTC, 0, 2**62)
        names = ("ts", "seq", "price", "size", "side")
        return list(zip(*(table.column(name).to_pylist() for name in names), strict=True))

    def holes(self) -> list[dict[str, str]]:
        file = self.catalog / AUDIT
        return list(csv.DictReader(file.open())) if file.exists() else []

    def compared(self) -> tuple[list[Key], list[Key]]:
        """Return the recorded messages after which the book is the exchange's, and is not.

        The exchange notes no snapshots of new subscribers.
        """
        book = OrderBook(InstrumentId.from_str(BTC), BookType.L2_MBP)
        same: list[Key] = []
        other: list[Key] = []
        catalog = Catalog(self.catalog)
        for message in engine.book(
            catalog.series("book", "", BTC, 0, 2**62), catalog.instruments[BTC]
        ):
            book.apply_deltas(message)
            key = message.ts_event, message.sequence
            if key in self.noted.books:
                sides = tuple(
                    {float(level.price.as_decimal()): round(level.size(), 3) for level in side}
                    for side in (book.bids(), book.asks())
                )
                (same if sides == self.noted.books[key] else other).append(key)
        return same, other


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    noted = Noted()

    @asynccontextmanager
    async def opened() -> Any:
        store = StateFile(tmp_path / "exchange.db")
        exchange, market = open_exchange(DOCUMENT, store, noted, time.time_ns() // MS)
        server = noted.server = await serve(
            exchange, market, {"anna": ("a", "b")}, noted, store, limits=RateLimits(factor=1000)
        )
        try:
            yield server.port
        finally:
            await server.stop()
            store.close()

    with in_thread(opened) as port:
        yield Place(tmp_path, noted, port)


def is_whole(place: Place, kills_ns: list[int]) -> None:
    """Check books and trades: each once, and none missing but around a kill."""
    found, differing = place.compared()
    assert not differing
    assert len(found) == len(set(found)) > 100
    end = found[-1][0]
    holes = []
    for kill in kills_ns:
        before = max((ts for ts, _ in found if ts <= kill), default=0)
        after = min((ts for ts, _ in found if ts > kill), default=end)
        assert kill - before < slack(1.0) * 1e9
        holes.append((before, after))
    begin = min(ts for ts, *_ in place.rows("book"))

    def expected(ts: int) -> bool:
        return begin < ts < end and not any(low < ts < high for low, high in holes)

    lost = {key for key in place.noted.books if expected(key[0])} - set(found)
    assert not lost
    trades = Counter(place.rows("trades"))
    noted = Counter(place.noted.trades)
    assert not trades - noted, "doubled"
    assert not {row for row in noted - trades if expected(row[0])}


def test_the_recorded_book_is_the_exchanges_after_every_message(place: Place) -> None:
    summary = place.record("--for", "8s", "--every", "3s")
    is_whole(place, [])
    assert summary["messages"] > 300
    assert summary["gaps"] == 0 == place.spooled()
    assert summary["covered"] > 0.5
    spot = [Catalog(place.catalog).series(kind, "", SPOT, 0, 2**62) for kind in TICKS]
    assert all(table.num_rows > 10 for table in spot)
    tickers = Catalog(place.catalog).series("tickers", "", BTC, 0, 2**62)
    assert tickers.num_rows > 10
    assert np.isfinite(tickers.column("mark").to_numpy()).all()
    facts = Catalog(place.catalog).instruments[BTC]
    assert (facts.tick, facts.lot, facts.inferred) == ("0.1", "0.001", False)
    assert replayed(place) > 100
    place.record("--for", "2s")
    assert [(hole["why"], hole["instrument"]) for hole in place.holes()] == [
        ("no recording ran", name) for name in sorted((BTC, SPOT))
    ]
    found = verify(Catalog(place.catalog))
    assert [f.words for f in found if f.severity == WRONG] == []
    assert sum("no recording ran" in f.words for f in found) == 2


class Watching(DeskStrategy):
    """Notes the venue's book of a backtest after each message."""

    Config = DeskStrategyConfig
    books: ClassVar[dict[Key, Any]] = {}

    def on_start(self) -> None:
        super().on_start()
        self.market.watch(self.instrument_ids[0])

    def on_order_book_deltas(self, deltas: OrderBookDeltas) -> None:
        super().on_order_book_deltas(deltas)
        sides = self.market.levels(deltas.instrument_id, 100)
        book = tuple({round(price, 1): round(size, 3) for price, size in side} for side in sides)
        self.books[deltas.ts_event, deltas.sequence] = book


def replayed(place: Place) -> int:
    """Backtest the recording; compare the engine's book with the exchange's after each message."""
    span = Catalog(place.catalog).coverage("book")[BTC]
    start, end = (datetime.fromtimestamp(ns // MINUTE_NS * 60, UTC) for ns in span[:2])
    document = {
        "kind": "backtest",
        "name": "recorded",
        "catalog": str(place.catalog),
        "allow": ["tests"],
        "window": {"start": start, "end": end + timedelta(minutes=1)},
        "venue": {"market": "book", "slippage": {"model": "none"}},
        "universe": {"instruments": [BTC]},
        "strategies": {"watching": {"use": f"{__name__}:Watching"}},
    }
    Watching.books.clear()
    run(prepare(Backtest.model_validate(document)))
    both = Watching.books.keys() & place.noted.books.keys()
    assert {key: Watching.books[key] for key in both} == {
        key: place.noted.books[key] for key in both
    }
    return len(both)


Moment = Callable[[Place], bool]


def records(place: Place, before: int) -> bool:
    return place.spooled() > before


def flushed(place: Place) -> bool:
    return place.spooled() > 100_000


def importing(place: Place) -> bool:
    return any((place.catalog / "versions").glob("*.staged")) and place.spooled() > 0


def published(place: Place) -> bool:
    return (place.catalog / "CURRENT").read_text().strip() > "1"


def test_kills_lose_the_last_second_and_double_nothing(place: Place) -> None:
    kills = []
    for moment in (flushed, importing, published, flushed):
        process = place.start("--every", "2s")
        eventually(lambda: (place.catalog / "CURRENT").exists(), "the first version")
        eventually(partial(records, place, place.spooled()), "something recorded")
        eventually(partial(moment, place), moment.__name__)
        process.kill()
        kills.append(time.time_ns())
        process.communicate()
    summary = place.record("--for", "3s")
    is_whole(place, kills)
    assert place.spooled() == 0
    assert summary["gaps"] <= 2
    assert {hole["why"] for hole in place.holes()} == {"the recording was killed"}


def test_what_was_missing_before_a_recording_is_not_said_to_be_all_of_its_gaps() -> None:
    """Of three holes of 5.7 s since a kill, 0.03 s each are of this recording."""
    summary = RecordSummary(catalog="c", instruments=3, seconds=60, gaps=3, gap_seconds=0.1)
    assert "3 gaps of books (0.1 s of them in this recording; c/recording_gaps.csv)" in str(summary)


def test_gaps_and_lost_connections_are_audited_and_resynced(place: Place) -> None:
    process = place.start("--json")
    eventually(lambda: len(place.noted.books) > 100)
    place.noted.add("gap", SequenceGap(topic="orderbook.50.BTCUSDT"))
    audit = place.catalog / AUDIT
    eventually(audit.exists, "the gap's row")
    place.noted.add("cut", Kill(channel="public"))
    eventually(lambda: len(place.holes()) == 3, "the lost connections' rows")
    noted = len(place.noted.books)
    eventually(lambda: len(place.noted.books) > noted + 100)
    process.send_signal(signal.SIGINT)
    out, errors = process.communicate(timeout=slack(DEADLINE))
    assert process.returncode == 0, errors
    assert json.loads(out)["gaps"] == 3
    gap, *lost = place.holes()
    assert (gap["why"], gap["instrument"]) == ("sequence gap", BTC)
    assert {(row["why"], row["instrument"]) for row in lost} == {
        ("connection lost", name) for name in (BTC, SPOT)
    }
    assert 0 < float(gap["seconds"]) < slack(1.0)
    assert int(gap["after"]) > 1
    same, other = place.compared()
    begins, ends = (datetime.fromisoformat(gap[name]).timestamp() for name in ("began", "ended"))
    assert len(same) > 200
    assert all(begins - 0.1 < ts / 1e9 < ends for ts, _ in other)
    assert same[-1][0] / 1e9 > max(datetime.fromisoformat(row["ended"]).timestamp() for row in lost)


def test_a_full_disk_stops_the_recording_whole(place: Place) -> None:
    process = place.start(limit=200_000)
    _, errors = process.communicate(timeout=slack(DEADLINE))
    assert process.returncode == 1, errors
    assert errors.count("the disk takes no more") == 1
    assert "Traceback" not in errors
    files = list((place.catalog / SPOOL).glob("*.jsonl"))
    assert 100_000 < max(path.stat().st_size for path in files) <= 200_000
    assert all(path.read_bytes().endswith(b"}\n") for path in files)
    stopped = max(path.stat().st_mtime_ns for path in files)
    place.record("--for", "3s")
    is_whole(place, [stopped])


def test_a_book_that_the_exchange_refuses_is_not_counted_as_covered(place: Place) -> None:
    node = node_document(place.node, trades=False)
    said: list[str] = []
    # Spot has no book of this depth.
    options = RecordOptions(catalog=place.catalog, depth=500, seconds=3)
    endpoints = venue_endpoints(node, place.catalog, said.append)
    summary = asyncio.run(record(node, endpoints, options, said.append))
    assert any("orderbook.500.ETHUSDT is not recorded" in line for line in said)
    assert [hole["instrument"] for hole in place.holes()] == [SPOT]
    assert summary.covered <= 0.5


def test_wrong_input_is_refused(place: Place, run_command: RunCommand) -> None:
    for options, words in (
        (("--depth", "20"), "--depth must be one of 1, 50, 200, 1000"),
        (("--every", "soon"), "--every: expected a duration"),
        (("--set", "universe.instruments=['XYZUSDT-LINEAR.BYBIT']"), "in its universe"),
        (("--set", "universe.instruments=['BTCUSDT']"), "did you mean BTCUSDT-LINEAR.BYBIT"),
    ):
        arguments = ("--catalog", str(place.catalog), *options)
        done = run_command("record", str(place.node), *arguments)
        assert (done.code, words in done.err) == (2, True), done.err
