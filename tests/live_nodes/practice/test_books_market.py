"""A catalog's books and trades, played again at the exchange."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal as D
from pathlib import Path
from typing import Any

import pytest

from catalog.providers.demo_books import BookParams, generate
from catalog.storage.store import Catalog
from catalog.storage.writer import CatalogWriter
from config.documents.exchange import BooksMarket, ExchangeDocument
from config.errors import InputError
from live_nodes.practice.exchange.exchange import Exchange
from live_nodes.practice.exchange.records import ExecutionRow, Printed
from live_nodes.practice.exchange.requests import OrderRequest
from live_nodes.practice.exchange.store import StateFile
from live_nodes.practice.faults import Faults
from live_nodes.practice.market.books_market import choose_minute
from live_nodes.practice.process import open_exchange
from tests.live_nodes.practice.test_market import BTC, NOW, SPOT

MS = 1_000_000
MINUTE = 60_000
STEP = 100
NAME = {BTC: "BTCUSDT-LINEAR.BYBIT", SPOT: "BTCUSDT-SPOT.BYBIT"}
BEGIN = BookParams().start_ns // MS + MINUTE
"""The first full minute."""
WALL = NOW // MINUTE * MINUTE


@pytest.fixture(scope="module")
def catalog(tmp_path_factory: pytest.TempPathFactory) -> Catalog:
    """Three minutes of the demo's books."""
    folder = tmp_path_factory.mktemp("books")
    with CatalogWriter(folder) as writer:
        for part in generate(BookParams(hours=0.05))[0]:
            writer.add(part)
    return Catalog(folder)


def document(catalog: Catalog, **changes: Any) -> ExchangeDocument:
    market = {"model": "books", "catalog": str(catalog.path), **changes}
    return ExchangeDocument.model_validate(
        {"name": "books", "accounts": {"anna": {}}, "market": market, "update_ms": STEP}
    )


@pytest.fixture
def opened(catalog: Catalog, tmp_path: Path) -> Iterator[tuple[Exchange, Any]]:
    store = StateFile(tmp_path / "exchange.db")
    yield open_exchange(document(catalog), store, Faults(), NOW)
    store.close()


def recorded(catalog: Catalog, key: Any, now_ms: int) -> list[list[tuple[D, D]]]:
    """The recorded book at a wall time: 50 levels a side, best first."""
    rows = catalog.book_at(NAME[key], (now_ms - WALL + BEGIN) * MS).to_pylist()
    sides = ([r for r in rows if r["side"] == side] for side in (1, -1))
    return [[(D(repr(r["price"])), D(repr(r["size"]))) for r in own[:50]] for own in sides]


def test_the_stream_is_the_recorded_one(catalog: Catalog, opened: Any) -> None:
    exchange, market = opened
    market.step(exchange, NOW)
    exchange.drain()
    printed = []
    end = NOW + 30_000
    for now in range(NOW + STEP, end + 1, STEP):
        market.step(exchange, now)
        printed += [event for event in exchange.drain() if isinstance(event, Printed)]
        if now % 2_000 < STEP:
            for key in NAME:
                assert list(exchange.book(key, 50)) == recorded(catalog, key, now // STEP * STEP)
    for key, name in NAME.items():
        span = ((t // STEP * STEP - WALL + BEGIN) * MS for t in (NOW, end))
        rows = catalog.series("trades", "", name, *span).to_pylist()
        expected = [(r["price"], r["size"], "Buy" if r["side"] > 0 else "Sell") for r in rows]
        own = [p for p in printed if p.key == key]
        assert [(float(p.price), float(p.qty), p.side) for p in own] == expected
        assert len(expected) > 10
    tickers = catalog.series("tickers", "", NAME[BTC], 0, (end - WALL + BEGIN) * MS).to_pylist()
    assert float(market.prices(BTC, end).mark) == tickers[-1]["mark"]
    assert float(market.prices(BTC, end).last) == float(
        [p for p in printed if p.key == BTC][-1].price
    )
    assert market.symbols(WALL + 2 * MINUTE)[0].status == "Closed"


def test_a_restart_goes_on_where_the_recording_is_by_then(catalog: Catalog, tmp_path: Path) -> None:
    later = NOW + 40_000
    for now in (NOW, later):
        store = StateFile(tmp_path / "exchange.db")
        exchange, market = open_exchange(document(catalog), store, Faults(), now)
        market.step(exchange, now)
        store.close()
    assert list(exchange.book(BTC, 50)) == recorded(catalog, BTC, later // STEP * STEP)
    assert exchange.market(BTC).last == market.trades(BTC, later, 1)[0].price


def test_orders_meet_the_recorded_levels_and_wait_behind_them(
    catalog: Catalog, opened: Any
) -> None:
    exchange, market = opened
    market.step(exchange, NOW)
    bids, asks = exchange.book(BTC, 50)
    qty = asks[0][1] + asks[1][1]
    exchange.drain()
    exchange.create("anna", OrderRequest("linear", "BTCUSDT", "Buy", "Market", qty), NOW)
    fills = [(e.price, e.qty) for e in exchange.drain() if isinstance(e, ExecutionRow)]
    assert fills == asks[:2]
    price = bids[0][0]
    rest = OrderRequest("linear", "BTCUSDT", "Buy", "Limit", D("0.001"), price=price)
    exchange.create("anna", rest, NOW)
    exchange.drain()
    for now in range(NOW + STEP, NOW + 60_000, STEP):
        market.step(exchange, now)
        events = exchange.drain()
        if any(isinstance(e, ExecutionRow) for e in events):
            break
    [fill] = [e for e in events if isinstance(e, ExecutionRow)]
    assert (fill.price, fill.qty, fill.is_maker) == (price, D("0.001"), True)
    # Sellers reached the price, or the book fell through it, in this very step.
    span = ((t // STEP * STEP - WALL + BEGIN) * MS for t in (now - STEP, now))
    lows = [r["price"] for r in catalog.series("trades", "", NAME[BTC], *span).to_pylist()]
    assert min([*lows, float(exchange.book(BTC, 1)[1][0][0])]) <= price


def test_what_has_no_books_or_another_start_is_refused(
    catalog: Catalog, demo_catalog: Path
) -> None:
    read = BooksMarket(catalog=str(demo_catalog))
    with pytest.raises(InputError, match=r"no order books in .*catalog demo --books"):
        choose_minute(read, Catalog(demo_catalog), NOW)
    for start in ("2025-03-03 07:00", "2025-03-03 07:01:30", "2025-03-03 07:04"):
        read = BooksMarket.model_validate({"catalog": str(catalog.path), "start": start})
        with pytest.raises(
            InputError, match=r"full minute .* 2025-03-03 07:01 to 2025-03-03 07:02"
        ):
            choose_minute(read, catalog, NOW)
