"""Record books, trades and tickers of a node's universe into a catalog. Trades nothing.

Lines as received go to a spool below the catalog, twice a second. Complete files of it are imported
by a process of their own (`perpdesk catalog import bybit_stream`), and removed once the catalog has
their rows. A file begins with the state of each topic, so that it is read without the one before.
Holes of the books go to a CSV file beside.
"""

from __future__ import annotations

import asyncio
import csv
import json
import signal
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import aiohttp
import msgspec

from catalog.instruments import PRODUCTS, TESTNET, InstrumentInfo, instrument_id, split_id
from catalog.recordings import AUDIT, COLUMNS, NOTHING_YET
from catalog.storage.index import CatalogIndex
from catalog.storage.versions import current_version
from config.catalogs import folder_only
from config.documents import Node
from config.errors import DeskError, InputError
from config.universe import select
from live_nodes.bybit.rest import VenueRest
from live_nodes.bybit.stream_link import PING_EVERY_S, StreamLink, shared_out
from live_nodes.bybit.stream_topics import (
    BookTopic,
    MissedUpdates,
    StreamMessage,
    StreamTopic,
    TickerTopic,
    TradesTopic,
)
from live_nodes.local.endpoints import Endpoints
from live_nodes.local.spool import Spool, product_of
from live_nodes.local.timefmt import moment_text

SPOOL = "spool"
FLUSH_S = 0.5
RENEW_AFTER_S = 5.0
"""Seconds between two requests for the same snapshot."""
STOPPED = "no recording ran"
"""Noted for whoever reads the catalog; no gap of the recording that begins."""
PAUSES_S = (1.0, 2.0, 4.0, 8.0)
SIGNALS = (signal.SIGINT, signal.SIGTERM)

_decode = msgspec.json.Decoder(StreamMessage).decode
Say = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class RecordOptions:
    """What to record into which catalog; `seconds` None means until a signal.

    `depth` is levels a side; every `every` seconds, from midnight UTC on, rows are imported.
    """

    catalog: Path
    depth: int = 50
    every: float = 3600.0
    seconds: float | None = None


@dataclass(kw_only=True)
class RecordSummary:
    """What a recording received and imported.

    `covered` is seconds times instruments less the holes of their books, as a part. Holes since a
    kill are `gaps`, too, but only what they have of this recording is in `gap_seconds`. `rows` are
    new or changed ones by kind.
    """

    catalog: str
    instruments: int
    messages: int = 0
    unreadable: int = 0
    seconds: float = 0.0
    gaps: int = 0
    gap_seconds: float = 0.0
    rows: dict[str, int] = field(default_factory=dict)

    @property
    def covered(self) -> float:
        """Part of the time in which the books are complete."""
        whole = self.seconds * self.instruments
        return max(0.0, 1 - self.gap_seconds / whole) if whole else 0.0

    def as_plain(self) -> dict[str, object]:
        """Return the summary for JSON."""
        return asdict(self) | {"covered": self.covered}

    def __str__(self) -> str:
        rows = ", ".join(f"{count:,} {kind}" for kind, count in self.rows.items()) or "no rows"
        here = f"{self.gap_seconds:.1f} s of them in this recording"
        holes = f" ({here}; {self.catalog}/{AUDIT})" if self.gaps else ""
        odd = f" ({self.unreadable:,} others could not be read)" if self.unreadable else ""
        what = f"{self.messages:,} messages of {self.instruments} instruments{odd}"
        return (
            f"{what} in {self.seconds:.0f} s; {self.gaps} gaps of books{holes}, "
            f"{self.covered:.3%} covered; {self.catalog}: {rows} new"
        )


async def record(
    node: Node, endpoints: Endpoints, options: RecordOptions, say: Say
) -> RecordSummary:
    """Record until the time is over, or SIGINT or SIGTERM; import what there is.

    Raises InputError when nothing of the universe trades. Raises DeskError when the venue does not
    answer, the disk takes no more, or an import fails; what was recorded stays in the spool.
    """
    folder_only(options.catalog)
    infos: dict[str, InstrumentInfo] = {}
    async with VenueRest(endpoints.http, None, timeout=node.gates.request_timeout) as rest:
        for product in PRODUCTS:
            infos |= await rest.instruments(product)
    chosen = {name: infos[name] for name in select(infos, node.universe)}
    if not chosen:
        raise InputError(f"{node.name}: nothing that {endpoints.http} trades is in its universe")
    spool = Spool(options.catalog / SPOOL)
    try:
        recorder = _Recorder(node, endpoints, options, chosen, spool, say)
        end_ns = time.time_ns() + int((options.seconds or 0) * 1e9)
        until = "Ctrl-C" if options.seconds is None else moment_text(end_ns)
        say(f"recording {len(chosen)} instruments to {options.catalog} until {until}")
        await _patiently(partial(asyncio.to_thread, recorder.write_facts, chosen.values()))
        return await recorder.run()
    finally:
        spool.close()


class _Recorder:
    def __init__(
        self,
        node: Node,
        endpoints: Endpoints,
        options: RecordOptions,
        instruments: Iterable[str],
        spool: Spool,
        say: Say,
    ) -> None:
        self._node, self._options, self._spool, self._say = node, options, spool, say
        venues = {"practice": "simulated", "testnet": TESTNET}
        self._venue = venues.get(node.environment, "bybit")
        self._topics: dict[str, dict[str, StreamTopic]] = {}
        names = list(instruments)
        since = dict.fromkeys(names, (NOTHING_YET, time.time_ns()))
        if killed_ns := spool.leftovers():
            since = dict.fromkeys(names, ("the recording was killed", killed_ns))
        elif current_version(options.catalog) is not None:
            kind = "quotes" if options.depth == 1 else "book"
            kept = CatalogIndex(options.catalog).coverage(kind)
            since |= {name: (STOPPED, span.last) for name, span in kept.items()}
        for name in names:
            symbol, product = split_id(name)
            topics: tuple[StreamTopic, ...] = (
                BookTopic(f"orderbook.{options.depth}.{symbol}", *since[name]),
                TradesTopic(f"publicTrade.{symbol}"),
                TickerTopic(f"tickers.{symbol}"),
            )
            self._topics.setdefault(product, {}).update((topic.name, topic) for topic in topics)
        self._links: dict[StreamLink, str] = {}
        for product, found in self._topics.items():
            for some in shared_out(found):
                url = f"{endpoints.ws_public}/{product.lower()}"
                link = StreamLink(
                    url, some, node.watch.half_open, partial(self._take, product), self._lost, say
                )
                self._links[link] = product
        self._asked: dict[str, float] = {}
        self._importing: asyncio.Task[None] | None = None
        self._process: asyncio.subprocess.Process | None = None
        self._begun_ns = 0
        self.summary = RecordSummary(catalog=str(options.catalog), instruments=len(names))

    def write_facts(self, infos: Iterable[InstrumentInfo]) -> None:
        """Write the instruments' facts, so that none is guessed from prices."""
        # The engine behind it takes seconds to import.
        from catalog.storage.writer import CatalogWriter

        with self._spool.guarded(), CatalogWriter(self._options.catalog) as writer:
            writer.provenance("Bybit v5 instruments-info", self._venue)
            writer.add_instruments(infos)

    async def run(self) -> RecordSummary:
        loop, stopped = asyncio.get_running_loop(), asyncio.Event()
        for number in SIGNALS:
            loop.add_signal_handler(number, stopped.set)
        try:
            await self._receive(stopped)
            # From here on Ctrl-C ends the import, which the next start begins again.
            for number in SIGNALS:
                loop.remove_signal_handler(number)
            if self._importing is not None:
                await self._importing
            await _patiently(self._import)
        finally:
            if self._process is not None and self._process.returncode is None:
                self._process.send_signal(signal.SIGINT)
                await self._process.wait()
        if not self.summary.messages:
            raise DeskError(f"{self._node.name}: no message came in {self.summary.seconds:.0f} s")
        return self.summary

    async def _receive(self, stopped: asyncio.Event) -> None:
        self._begun_ns = time.time_ns()
        async with aiohttp.ClientSession() as session:
            works: list[Coroutine[Any, Any, object]] = [link.run(session) for link in self._links]
            works += [self._keep(), stopped.wait()]
            if self._options.seconds is not None:
                works.append(asyncio.sleep(self._options.seconds))
            tasks = [asyncio.create_task(work) for work in works]
            try:
                done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
        for task in done:
            task.result()
        now_ns = time.time_ns()
        self.summary.seconds = (now_ns - self._begun_ns) / 1e9
        self._spool.cut()
        # Also the books that the exchange refuses: their links have no such topic any more.
        for product, topics in self._topics.items():
            for topic in topics.values():
                if isinstance(topic, BookTopic) and (missed := topic.unfinished(now_ns)):
                    self._audit(product, missed)

    def _take(self, product: str, text: bytes) -> StreamMessage | None:
        received_ns = time.time_ns()
        try:
            message = _decode(text)
            topic = self._topics[product].get(message.topic)
            if topic is None:
                return message
            missed = topic.take(received_ns, message)
        except (msgspec.MsgspecError, KeyError, ValueError):
            self.summary.unreadable += 1
            return None
        self._spool.add(product, b"%d %b\n" % (received_ns, text))
        self.summary.messages += 1
        if missed is not None:
            self._audit(product, missed)
        return None

    def _audit(self, product: str, missed: MissedUpdates) -> None:
        name = instrument_id(missed.topic.rpartition(".")[2], product)
        self.summary.gap_seconds += (missed.ended_ns - max(missed.began_ns, self._begun_ns)) / 1e9
        seconds = (missed.ended_ns - missed.began_ns) / 1e9
        if missed.why == NOTHING_YET and missed.upto:
            return
        if missed.why != STOPPED:
            self.summary.gaps += 1
            self._say(f"{name}: {missed.why}: {seconds:.3f} s of its book are missing")
        moments = [
            datetime.fromtimestamp(ns / 1e9, UTC).isoformat(timespec="milliseconds")
            for ns in (missed.began_ns, missed.ended_ns)
        ]
        with self._spool.guarded(), (self._options.catalog / AUDIT).open("a", newline="") as file:
            rows = csv.writer(file)
            if not file.tell():
                rows.writerow(COLUMNS)
            rows.writerow((*moments, f"{seconds:.3f}", name, missed.after, missed.upto, missed.why))

    def _lost(self, link: StreamLink, why: str) -> None:
        self._say(f"{link.url}: {why}; connecting again")
        for book in self._books(link):
            book.lose("connection lost")
            self._asked[book.name] = time.monotonic()

    def _books(self, link: StreamLink) -> list[BookTopic]:
        topics = self._topics[self._links[link]]
        found = (topics[name] for name in link.topics)
        return [topic for topic in found if isinstance(topic, BookTopic)]

    async def _keep(self) -> None:
        """Write the spool, cut it when it is time, ping, and ask for snapshots that are missing."""
        every_ns = int(self._options.every * 1e9)
        cut_ns = (time.time_ns() // every_ns + 1) * every_ns
        self._import_aside()
        pinged = time.monotonic()
        while True:
            await asyncio.sleep(FLUSH_S)
            await asyncio.to_thread(self._spool.sync, self._spool.flush())
            if time.time_ns() >= cut_ns:
                cut_ns += every_ns
                self._cut()
            for link in self._links:
                await link.renew(self._overdue(link))
            if time.monotonic() - pinged > PING_EVERY_S:
                pinged = time.monotonic()
                for link in self._links:
                    await link.ping()

    def _cut(self) -> None:
        """Begin new files with the state of every topic, and import those before."""
        self._spool.cut()
        for product, topics in self._topics.items():
            for topic in topics.values():
                if topic.received_ns:
                    self._spool.add(product, topic.line())
        self._import_aside()

    def _overdue(self, link: StreamLink) -> list[str]:
        now, now_ns = time.monotonic(), time.time_ns()
        silence_ns = self._node.watch.feed_silence * 1e9
        overdue = []
        for book in self._books(link):
            silent = now_ns - book.received_ns > silence_ns
            if book.missing or silent:
                asked = self._asked.setdefault(book.name, 0.0 if book.received_ns else now)
                if now - asked > RENEW_AFTER_S:
                    self._asked[book.name] = now
                    overdue.append(book.name)
        return overdue

    def _import_aside(self) -> None:
        async def work() -> None:
            try:
                await self._import()
            except DeskError as error:
                self._say(f"{error}; it stays there, and is tried again")

        if self._spool.closed() and (self._importing is None or self._importing.done()):
            self._importing = asyncio.create_task(work())

    async def _import(self) -> None:
        closed = self._spool.closed()
        for product in sorted(set(map(product_of, closed))):
            files = [path for path in closed if product_of(path) == product]
            await self._import_files(product, files)

    async def _import_files(self, product: str, files: list[Path]) -> None:
        options = ["--catalog", str(self._options.catalog), "--product", product, "--json"]
        options += ["--source-venue", self._venue, "--note", f"recorded by {self._node.name}"]
        self._process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "perpdesk", "catalog", "import", "bybit_stream"),
            *(*map(str, files), *options),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            # Ctrl-C is not for it.
            start_new_session=True,
        )
        out, errors = await self._process.communicate()
        if self._process.returncode:
            lines = errors.decode().strip().splitlines()
            raise DeskError(f"{files[0]} is not imported yet: {lines[-1] if lines else 'killed'}")
        for path in files:
            path.unlink()
        done = json.loads(out)
        for warning in done["warnings"]:
            self._say(warning)
        self.summary.rows = dict(Counter(self.summary.rows) + Counter(done["rows"]))


async def _patiently(work: Callable[[], Awaitable[None]]) -> None:
    # The import of a recording that was killed may still be at work.
    for pause in PAUSES_S:
        try:
            await work()
            return
        except DeskError:
            await asyncio.sleep(pause)
    await work()
