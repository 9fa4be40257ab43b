"""The market: candles, ticks, trades and books agree, and time is its only state."""

from __future__ import annotations

from decimal import Decimal as D
from functools import cache
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalog.storage.store import Catalog
from config.documents.exchange import RandomMarket, ReplayMarket
from config.errors import InputError
from live_nodes.practice.exchange.exchange import Exchange
from live_nodes.practice.exchange.model import DAY_MS, AccountSpec, Key
from live_nodes.practice.exchange.records import ExecutionRow, Printed
from live_nodes.practice.exchange.requests import OrderRequest
from live_nodes.practice.market.feed import INTERVAL_MS, Candle
from live_nodes.practice.market.path_market import PathMarket
from live_nodes.practice.market.random_market import RandomSource
from live_nodes.practice.market.replay_market import ReplaySource, choose_anchor, open_catalog

NOW = 1_795_273_074_614  # 2026-11-21 14:57:54.614 UTC
TODAY = NOW // DAY_MS * DAY_MS
HOUR = 3_600_000
BTC: Key = ("linear", "BTCUSDT")
SPOT: Key = ("spot", "BTCUSDT")
ALL = 10**15


def document(catalog: Path, **changes: object) -> ReplayMarket:
    return ReplayMarket.model_validate({"catalog": str(catalog), **changes})


def replay(catalog: Path, now: int = NOW, **changes: object) -> PathMarket:
    read = document(catalog, **changes)
    opened = open_catalog(read)
    source = ReplaySource(opened, choose_anchor(read, opened, now))
    return PathMarket(source, read.seed, 20, 1_000, now)


@pytest.fixture(scope="module")
def market(demo_catalog: Path) -> PathMarket:
    return replay(demo_catalog)


@cache
def drawn() -> PathMarket:
    spec = {"price": 60_000, "tick": "0.1", "lot": "0.001", "products": ["linear", "spot"]}
    read = RandomMarket.model_validate({"symbols": {"BTCUSDT": spec}, "seed": 3})
    return PathMarket(RandomSource(read), 3, 20, 200, NOW)


def ohlcv(candle: Candle) -> tuple[D, ...]:
    return (candle.open, candle.high, candle.low, candle.close, candle.volume)


def test_days_are_the_catalogs_days_moved_by_whole_days(
    market: PathMarket, demo_catalog: Path
) -> None:
    days = market.klines(BTC, "D", None, TODAY - 1, 5, NOW)
    catalog = Catalog(demo_catalog)
    table = catalog.series("bars", "1d", "BTCUSDT-LINEAR.BYBIT", 0, 2**62)
    shift = market.source._anchor.wall_ms - market.source._anchor.catalog_ms  # type: ignore[attr-defined]
    rows = {int(row["ts"]) // 1_000_000 - DAY_MS + shift: row for row in table.to_pylist()}
    assert shift % DAY_MS == 0
    assert [day.start_ms for day in days] == [TODAY - n * DAY_MS for n in (5, 4, 3, 2, 1)]
    for day in days:
        row = rows[day.start_ms]
        for name in ("open", "high", "low", "close", "volume"):
            assert float(getattr(day, name)) == pytest.approx(row[name], rel=1e-12)


@given(hour=st.integers(0, 24 * 20), interval=st.sampled_from(["1", "5", "15", "30"]))
def test_shorter_candles_add_up_to_the_catalogs(
    market: PathMarket, hour: int, interval: str
) -> None:
    start = TODAY - 10 * DAY_MS - hour * HOUR
    (whole,) = market.klines(BTC, "60", start, start, 1, NOW)
    parts = market.klines(BTC, interval, start, start + HOUR - 1, 60, NOW)
    assert len(parts) == HOUR // INTERVAL_MS[interval]
    assert parts[0].open == whole.open
    assert max(part.high for part in parts) == whole.high
    assert min(part.low for part in parts) == whole.low
    assert parts[-1].close == whole.close
    assert sum(part.volume for part in parts) == whole.volume


@pytest.mark.parametrize("which", ["replay", "random"])
def test_ticks_trades_and_books_stay_inside_the_minutes_candle(
    market: PathMarket, which: str
) -> None:
    chosen = market if which == "replay" else drawn()
    start = NOW // 60_000 * 60_000
    for second in range(0, 60, 7):
        now = start + second * 1_000
        (minute,) = chosen.klines(BTC, "1", None, None, 1, now)
        prices = chosen.prices(BTC, now)
        bids, asks = chosen.book(BTC, now)
        assert minute.start_ms == start
        assert minute.close == prices.last
        assert minute.low <= prices.last <= minute.high
        assert prices.last in (bids[0][0], asks[0][0])
        assert bids[0][0] < asks[0][0]
        assert [price for price, _ in bids] == sorted((p for p, _ in bids), reverse=True)
        assert [price for price, _ in asks] == sorted(p for p, _ in asks)
        assert all(qty > 0 for _, qty in bids + asks)
    (done,) = chosen.klines(BTC, "1", start, start, 1, start + 10 * 60_000)
    trades = [t for t in chosen.trades(BTC, start + 59_000, 50) if t.time_ms >= start]
    assert trades
    assert all(done.low <= trade.price <= done.high for trade in trades)


def test_a_candle_under_way_has_only_what_has_happened(market: PathMarket) -> None:
    start = NOW // HOUR * HOUR
    early, late = (
        market.klines(BTC, "60", None, None, 1, start + at)[0] for at in (60_000, HOUR - 1)
    )
    after = market.klines(BTC, "60", start, start, 1, start + HOUR + 1)[0]
    assert early.volume < late.volume
    assert early.high <= late.high
    assert ohlcv(late) == ohlcv(after)


def test_pages_are_cut_as_bybit_cuts_them(market: PathMarket) -> None:
    def starts(first: int | None, last: int | None, limit: int) -> list[int]:
        found = market.klines(BTC, "60", first, last, limit, NOW)
        return [(candle.start_ms - TODAY) // HOUR for candle in found]

    assert starts(None, None, 2) == [13, 14]
    assert starts(TODAY, TODAY + 5 * HOUR, 3) == [3, 4, 5]
    assert starts(TODAY + 1, TODAY + 3 * HOUR - 1, 9) == [1, 2]
    assert starts(TODAY, None, 3) == [0, 1, 2]
    assert starts(None, TODAY + HOUR, 2) == [0, 1]
    assert starts(TODAY + 20 * HOUR, None, 3) == []


def test_a_week_starts_on_monday(market: PathMarket) -> None:
    week, days = (market.klines(BTC, name, None, None, 7, NOW) for name in ("W", "D"))
    assert week[-1].start_ms == TODAY - 5 * DAY_MS  # The 21st of November 2026 is a Saturday.
    this = [day for day in days if day.start_ms >= week[-1].start_ms]
    assert week[-1].high == max(day.high for day in this)
    assert week[-1].volume == sum(day.volume for day in this)


def test_a_second_market_of_the_same_seed_is_the_same_and_of_another_is_not(
    demo_catalog: Path, market: PathMarket
) -> None:
    same, other = replay(demo_catalog), replay(demo_catalog, seed=9)
    assert same.book(BTC, NOW) == market.book(BTC, NOW)
    assert same.trades(BTC, NOW, 20) == market.trades(BTC, NOW, 20)
    assert same.prices(BTC, NOW) == market.prices(BTC, NOW)
    assert other.book(BTC, NOW) != market.book(BTC, NOW)


def test_mark_prices_are_the_catalogs_and_stay_near_the_last(market: PathMarket) -> None:
    mark, last = (
        market.klines(BTC, "60", None, TODAY, 24, NOW, price) for price in ("mark", "last")
    )
    assert [candle.start_ms for candle in mark] == [candle.start_ms for candle in last]
    assert mark != last
    for one, other in zip(mark, last, strict=True):
        assert abs(one.close / other.close - 1) < D("0.01")
        assert one.volume == 0
    prices = market.prices(BTC, NOW)
    assert abs(prices.mark / prices.last - 1) < D("0.01")
    spot = market.prices(SPOT, NOW)
    assert (spot.mark, spot.funding_rate, spot.next_funding_ms) == (spot.last, 0, 0)


def test_listings_and_delistings_happen_at_their_moved_times(demo_catalog: Path) -> None:
    market = replay(demo_catalog)
    catalog = Catalog(demo_catalog)
    anchor = market.source._anchor  # type: ignore[attr-defined]
    reply = {symbol.key: symbol for symbol in market.symbols(NOW)}
    for info in catalog.instruments.values():
        key: Key = ("spot" if info.product == "SPOT" else "linear", info.symbol)
        listed = anchor.to_wall(info.listed_ns // 10**6)
        gone = info.delisted_ns and anchor.to_wall(info.delisted_ns // 10**6) <= NOW
        if listed > NOW:
            assert key not in reply
            assert key in {symbol.key for symbol in replay(demo_catalog).symbols(listed)}
        else:
            assert reply[key].status == ("Closed" if gone else "Trading")
            if listed > 0:
                assert reply[key].launch_ms == listed
    assert any(symbol.status == "Closed" for symbol in reply.values())


def test_a_minute_stands_for_an_hour(demo_catalog: Path) -> None:
    fast = replay(demo_catalog, pace="minute_is_hour")
    slow = replay(demo_catalog)
    first = NOW // 60_000 * 60_000
    now = first + 90 * 60_000
    minutes = fast.klines(BTC, "1", first, first + 29 * 60_000, 30, now)
    hours = slow.klines(BTC, "60", TODAY, TODAY + 29 * HOUR, 30, TODAY + 90 * HOUR)
    assert [ohlcv(one) for one in minutes] == [ohlcv(one) for one in hours]
    symbol = next(one for one in fast.symbols(now) if one.key == BTC)
    assert symbol.funding_minutes == 8
    rate, at = fast.funding(BTC, now)
    assert at > now
    assert at - fast.funding_history(BTC, None, None, 1, now)[0].time_ms == 8 * 60_000
    assert rate in {item.rate for item in slow.funding_history(BTC, None, None, 999, ALL)}


def test_funding_is_the_catalogs_and_pages(market: PathMarket) -> None:
    newest, older = market.funding_history(BTC, None, None, 2, NOW)
    assert (newest.time_ms, older.time_ms) == (TODAY + 8 * HOUR, TODAY)
    assert market.funding(BTC, NOW)[1] == TODAY + 16 * HOUR
    assert market.funding_history(BTC, TODAY, TODAY, 9, NOW) == [older]
    assert market.funding(SPOT, NOW) == (0, 0)


def test_a_start_that_is_no_day_of_the_window_is_refused(demo_catalog: Path) -> None:
    with pytest.raises(InputError, match="must be in the catalog's window"):
        replay(demo_catalog, start="1999-01-01")
    with pytest.raises(InputError, match="must be a day"):
        replay(demo_catalog, start="2023-02-01T06:00")


def test_a_random_market_moves_as_much_as_it_should() -> None:
    days = drawn().klines(BTC, "D", None, TODAY - 1, 400, NOW)
    closes = np.array([float(day.close) for day in days])
    assert len(days) == 400
    assert 0.02 < np.diff(np.log(closes)).std() < 0.04
    assert all(a.close == b.open for a, b in pairwise(days))
    (minute,) = drawn().klines(BTC, "1", TODAY, TODAY, 1, NOW)
    assert minute == drawn().klines(BTC, "1", TODAY, TODAY, 1, NOW + DAY_MS)[0]
    rates = drawn().funding_history(BTC, None, None, 50, NOW)
    assert len({rate.rate for rate in rates}) > 10


def at_exchange(market: PathMarket, now: int) -> Exchange:
    exchange = Exchange(market.symbols(now), [AccountSpec("anna")])
    market.step(exchange, now)
    return exchange


def buy(exchange: Exchange, qty: D, now: int, symbol: str = "BTCUSDT") -> None:
    exchange.create("anna", OrderRequest("linear", symbol, "Buy", "Market", qty), now)


def test_a_step_quotes_marks_and_prints(demo_catalog: Path) -> None:
    market = replay(demo_catalog)
    exchange = at_exchange(market, NOW)
    exchange.drain()
    prints = []
    for second in range(1, 11):
        now = NOW + second * 1_000
        step = market.step(exchange, now)
        assert BTC in step
        assert market.step(exchange, now) == []
        assert exchange.book(BTC, 500) == market.book(BTC, now)
        reply = exchange.market(BTC)
        prices = market.prices(BTC, now)
        assert (reply.last, reply.mark, reply.index) == (prices.last, prices.mark, prices.index)
        prints += [e for e in exchange.drain() if isinstance(e, Printed) and e.key == BTC]
    expected = [t for t in market.trades(BTC, NOW + 10_000, 99) if t.time_ms > NOW]
    assert [(e.price, e.qty, e.side) for e in prints] == [
        (t.price, t.qty, t.side) for t in reversed(expected)
    ]


def test_funding_is_paid_once_at_its_time_also_when_it_was_missed(demo_catalog: Path) -> None:
    market = replay(demo_catalog)
    exchange = at_exchange(market, NOW)
    buy(exchange, D("0.1"), NOW)
    exchange.drain()
    market.step(exchange, TODAY + 16 * HOUR - 1_000)
    assert funded(exchange) == []
    market.step(exchange, TODAY + 16 * HOUR)
    market.step(exchange, TODAY + 16 * HOUR + 1_000)
    assert funded(exchange) == [TODAY + 16 * HOUR]
    # The exchange was down over two settlements.
    kept = exchange.rows()
    later = replay(demo_catalog)
    later.began_ms = NOW
    anew = Exchange(later.symbols(NOW), [AccountSpec("anna")])
    anew.restore(kept)
    later.step(anew, TODAY + 33 * HOUR)
    assert funded(anew) == [TODAY + 24 * HOUR, TODAY + 32 * HOUR]


def funded(exchange: Exchange) -> list[int]:
    return [
        event.time_ms
        for event in exchange.drain()
        if isinstance(event, ExecutionRow) and event.exec_type == "Funding"
    ]


def test_a_delisting_closes_what_is_open(demo_catalog: Path) -> None:
    market = replay(demo_catalog)
    delisted = [one for one in Catalog(demo_catalog).instruments.values() if one.delisted_ns]
    info = min(delisted, key=lambda one: one.delisted_ns or 0)
    gone = market.source._anchor.to_wall((info.delisted_ns or 0) // 10**6)  # type: ignore[attr-defined]
    key: Key = ("linear", info.symbol)
    before = gone - HOUR
    exchange = at_exchange(market, before)
    price = market.prices(key, before).last
    qty = (D(1_000) / price // D(info.lot) + 1) * D(info.lot)
    buy(exchange, qty, before, info.symbol)
    assert exchange.position("anna", info.symbol).size == qty
    market.step(exchange, gone + 1_000)
    assert [symbol.key for symbol in exchange.symbols() if symbol.status == "Closed"] == [key]
    assert exchange.position("anna", info.symbol).size == 0


def test_a_moved_price_stays_moved_in_ticks_candles_and_after_a_restart(demo_catalog: Path) -> None:
    calm, market = replay(demo_catalog), replay(demo_catalog)
    exchange = at_exchange(market, NOW)
    old = market.prices(BTC, NOW).last
    new = (old * D("0.8")).quantize(D("0.1"))
    market.move(BTC, new, NOW)
    market.step(exchange, NOW)
    assert exchange.market(BTC).last == new
    assert exchange.book(BTC, 1)[0][0][0] <= new
    (minute,) = market.klines(BTC, "1", None, None, 1, NOW)
    assert (minute.close, minute.low) == (new, new)
    assert minute.high > old * D("0.99")
    later = NOW + 3 * HOUR
    hours = market.klines(BTC, "60", None, None, 3, later)
    expected = calm.klines(BTC, "60", None, None, 3, later)
    for got, was in zip(hours[1:], expected[1:], strict=True):
        assert abs(got.close / was.close - D("0.8")) < D("0.0001")
    again = PathMarket(market.source, market.seed, 20, 1_000, NOW, market.saved_moves())
    assert again.klines(BTC, "60", None, None, 3, later) == hours
    assert again.prices(BTC, later) == market.prices(BTC, later)


def test_a_stop_that_a_moved_price_passes_fills_there_or_worse(demo_catalog: Path) -> None:
    """Not on the book from before; in some of the seconds somebody trades at the new price."""
    for now in range(NOW, NOW + 8_000, 1_000):
        market = replay(demo_catalog)
        exchange = at_exchange(market, now)
        buy(exchange, D("0.01"), now)
        old = market.prices(BTC, now).last
        trigger, new = ((old * D(part)).quantize(D("0.1")) for part in ("0.95", "0.9"))
        stop = OrderRequest(
            "linear", "BTCUSDT", "Sell", "Market", D("0.01"), reduce_only=True,
            trigger_price=trigger, trigger_direction=2,
        )  # fmt: skip
        exchange.create("anna", stop, now)
        exchange.drain()
        market.move(BTC, new, now)
        market.step(exchange, now)
        fills = [e.price for e in exchange.drain() if isinstance(e, ExecutionRow)]
        assert exchange.position("anna", "BTCUSDT").size == 0
        assert fills
        assert max(fills) <= new
