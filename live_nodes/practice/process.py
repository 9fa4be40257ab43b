"""Run the exchange as a process until a signal, or until it is unused."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import NamedTuple

from config.documents import Scenario
from config.documents.exchange import BooksMarket, ExchangeDocument, RandomMarket
from config.errors import InputError
from config.load import load
from live_nodes.local.keys import practice_keys
from live_nodes.local.practice_process import Endpoint, endpoint_file, write_endpoint
from live_nodes.practice.exchange.exchange import Exchange
from live_nodes.practice.exchange.model import AccountSpec, FeeRates
from live_nodes.practice.exchange.records import Printed
from live_nodes.practice.exchange.store import StateFile
from live_nodes.practice.faults import Faults
from live_nodes.practice.market.feed import CandleSource
from live_nodes.practice.market.path_market import PathMarket
from live_nodes.practice.market.random_market import RandomSource
from live_nodes.practice.wire.access import RateLimits
from live_nodes.practice.wire.admin import AdminPort
from live_nodes.practice.wire.server import Server, serve

LONGEST_LOOK_S = 5.0


class ExchangeEnd(NamedTuple):
    """Why an exchange stopped, and the faults of its scenario that never had an effect."""

    reason: str
    unmet_faults: list[str]


async def run_exchange(
    document: ExchangeDocument, state: Path, ready: Callable[[Endpoint], None]
) -> ExchangeEnd:
    """Run until SIGTERM, SIGINT, or no client for the document's `idle_exit`.

    InputError: a taken port or another kind of state file. GateRefused: the state file is in use.
    """
    faults = scenario_of(document)
    async with AsyncExitStack() as ends:
        store = StateFile(state)
        ends.callback(store.close)
        exchange, market = open_exchange(document, store, faults, time.time_ns() // 1_000_000)
        keys = {name: practice_keys(name) for name in document.accounts}
        port, admin_port = _wanted(document, store)
        limits = RateLimits(factor=document.rate_limit_factor)
        start = partial(serve, exchange, market, keys, faults, store, limits=limits)
        server = await _serving(start, "port", document.port, port)
        ends.push_async_callback(server.stop)
        admin = AdminPort(server)
        ends.push_async_callback(admin.stop)
        ends.callback(endpoint_file(state).unlink, missing_ok=True)
        admin_port = await _serving(admin.listen, "admin_port", document.admin_port, admin_port)
        store.keep_fact("ports", [server.port, admin_port])
        endpoint = Endpoint.of(os.getpid(), server.port, admin_port)
        write_endpoint(state, endpoint)
        ready(endpoint)
        reason = await _until_stopped(document, server)
        return ExchangeEnd(reason, faults.unmet())


def scenario_of(document: ExchangeDocument) -> Faults:
    """Return the document's faults. Raises InputError when it names no scenario."""
    if document.faults is None:
        return Faults()
    scenario = load(document.faults).document
    if not isinstance(scenario, Scenario):
        raise InputError(f"faults: {document.faults} must be of kind scenario")
    return Faults(scenario.faults, scenario.seed)


def _wanted(document: ExchangeDocument, store: StateFile) -> tuple[int, int]:
    """Return the ports to try: the document's, else the last ones, which a running node knows."""
    last = store.fact("ports") or [0, 0]
    return document.port or last[0], document.admin_port or last[1]


async def _serving[T](
    listen: Callable[[int], Awaitable[T]], name: str, named: int, wanted: int
) -> T:
    try:
        return await listen(wanted)
    except OSError as error:
        if named:
            raise InputError(
                f"{name}: {named} is taken on 127.0.0.1 ({error.strerror}); 0 takes a free one"
            ) from None
        return await listen(0)


async def _until_stopped(document: ExchangeDocument, server: Server) -> str:
    loop = asyncio.get_running_loop()
    stops: asyncio.Queue[str] = asyncio.Queue()
    signals = (signal.SIGTERM, signal.SIGINT)
    for number in signals:
        loop.add_signal_handler(number, stops.put_nowait, f"{number.name} came")
    waits = [
        asyncio.create_task(stops.get()),
        asyncio.create_task(_failed(server)),
        asyncio.create_task(_idle(document, server)),
    ]
    try:
        done, _ = await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        return next(task for task in waits if task in done).result()
    finally:
        for task in waits:
            task.cancel()
        for number in signals:
            loop.remove_signal_handler(number)


async def _failed(server: Server) -> str:
    await server.failed()
    return "stepping ended"


async def _idle(document: ExchangeDocument, server: Server) -> str:
    if document.idle_exit is None:
        await asyncio.Event().wait()
    limit = float(document.idle_exit or 0) * 3_600
    look = min(limit / 10, LONGEST_LOOK_S)
    seen, since = -1, time.monotonic()
    while time.monotonic() - since < limit:
        await asyncio.sleep(look)
        requests = server.rest.received.total()
        if requests != seen or any(server.sockets.connected().values()):
            seen, since = requests, time.monotonic()
    return f"no client for {document.idle_exit} h"


def open_exchange(
    document: ExchangeDocument, store: StateFile, faults: Faults, now_ms: int
) -> tuple[Exchange, PathMarket]:
    """Make the exchange of a document, with the contents of the state file.

    Raises InputError for another market, unknown accounts, or a catalog window that is over.
    """
    _same_market(document, store)
    kind, source = _source(document, store, now_ms)
    market = kind(
        source=source,
        seed=getattr(document.market, "seed", 0),
        depth=document.market.depth,
        update_ms=_update_ms(document),
        began_ms=_once(store, "began_ms", now_ms),
        moves=store.fact("moves") or (),
        settlements=store.fact("called") or (),
        rules=store.fact("rules") or (),
    )
    market.halted = faults.halted
    accounts = [_account(document, name) for name in document.accounts]
    exchange = Exchange(market.symbols(now_ms), accounts, salt=document.name)
    rows = store.rows()
    unknown = sorted({getattr(row, "account", "") for row in rows} - {"", *document.accounts})
    if unknown:
        raise InputError(
            f"accounts: the state file {store.path} has an account {unknown[0]} that the document "
            "does not have; add it again, or give another file by --state"
        )
    exchange.restore(rows)
    store.save(event for event in exchange.drain() if not isinstance(event, Printed))
    return exchange, market


def _once[T](store: StateFile, name: str, value: T) -> T:
    kept = store.fact(name)
    if kept is None:
        store.keep_fact(name, value)
        return value
    found: T = kept
    return found


def _same_market(document: ExchangeDocument, store: StateFile) -> None:
    """Refuse a state file of another market: its orders and prices would make no sense."""
    market = document.market.model_dump(mode="json", exclude={"depth", "updates_per_second"})
    kept = _once(store, "market", market)
    if kept != market:
        changed = sorted(key for key in {*kept, *market} if kept.get(key) != market.get(key))
        raise InputError(
            f"market.{changed[0]}: the state file {store.path} was made with "
            f"{kept.get(changed[0])!r}; delete it to begin again, or give another file by --state"
        )


def _source(
    document: ExchangeDocument, store: StateFile, now_ms: int
) -> tuple[type[PathMarket], CandleSource]:
    if isinstance(document.market, RandomMarket):
        return PathMarket, RandomSource(document.market)
    # The catalog imports the engine: two seconds that a random market does not need.
    from live_nodes.practice.market.books_market import ReplayedBooks, TickSource, choose_minute
    from live_nodes.practice.market.replay_market import (
        Anchor,
        ReplaySource,
        choose_anchor,
        open_catalog,
    )

    catalog = open_catalog(document.market)
    if isinstance(document.market, BooksMarket):
        first = choose_minute(document.market, catalog, now_ms)
    else:
        first = choose_anchor(document.market, catalog, now_ms)
    anchor = Anchor(**_once(store, "anchor", asdict(first)))
    data_hash = catalog.data_hash()
    if _once(store, "catalog", data_hash) != data_hash:
        raise InputError(
            f"market.catalog: {document.market.catalog} has changed since the state file "
            f"{store.path} was made; delete the state file to begin again"
        )
    books = isinstance(document.market, BooksMarket)
    source = (TickSource if books else ReplaySource)(catalog, anchor)
    if now_ms >= source.end_ms:
        raise InputError(
            f"market.catalog: the window of {document.market.catalog} is over for the state file "
            f"{store.path}; delete the state file to begin again"
        )
    return ReplayedBooks if books else PathMarket, source


def _update_ms(document: ExchangeDocument) -> int:
    market = document.market
    if not isinstance(market, RandomMarket) or market.updates_per_second is None:
        return document.update_ms
    symbols = sum(len(spec.products) for spec in market.symbols.values())
    # All symbols change together, at most a thousand times a second.
    return max(1, round(1_000 * symbols / float(market.updates_per_second)))


def _account(document: ExchangeDocument, name: str) -> AccountSpec:
    spec = document.accounts[name]
    return AccountSpec(
        name=name,
        balances=(("USDT", spec.balance),),
        leverage=spec.leverage,
        linear_fees=FeeRates(spec.fees.linear.maker, spec.fees.linear.taker),
        spot_fees=FeeRates(spec.fees.spot.maker, spec.fees.spot.taker),
    )
