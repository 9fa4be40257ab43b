"""Runs of documents on a catalog's books and quotes: which market, slices, filters, errors."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
import yaml
from nautilus_trader.model.data import OrderBookDeltas
from nautilus_trader.model.identifiers import InstrumentId

from backtests import variants
from backtests.checks import check, register, settled_market
from backtests.engine import tick_feed
from backtests.engine.guard_desk import BacktestMarkets
from backtests.report.formats import percent
from backtests.results.console import variants_table
from backtests.results.result import read
from backtests.run import Prepared, RunOutcome, prepare, run
from backtests.session import backtest_document
from catalog.recordings import AUDIT, COLUMNS
from catalog.series import AFTER_LOSS
from catalog.storage.store import Catalog
from catalog.storage.writer import CatalogWriter
from config.durations import DAY_NS, HOUR_NS, MINUTE_NS
from config.errors import DocumentErrors, InputError
from config.load import load
from config.validate import checked, validate_with_files
from strategies.base import DeskStrategy
from strategies.market_view import level_rows
from tests.backtests.book_runs import NAMES, document, ticks, write_books
from tests.backtests.book_tapes import opening, play_book
from tests.builders_engine import A, at


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A catalog with all kinds of ticks."""
    made = tmp_path_factory.mktemp("books")
    write_books(made, ("book", "trades", "quotes", "tickers"))
    return made


def prepared(folder: Path, **settings: Any) -> Prepared:
    return prepare(load(document(folder, **settings)).document)


def played(folder: Path, **settings: Any) -> RunOutcome:
    return run(prepared(folder, **settings))


@pytest.fixture(scope="module")
def usual(folder: Path) -> RunOutcome:
    """The run as it comes, on books."""
    return played(folder)


def fills(outcome: RunOutcome) -> list[tuple[Any, ...]]:
    names = ("ts", "instrument", "side", "quantity", "price", "liquidity", "fee")
    table = outcome.tables["fills"]
    return list(zip(*(table.column(name).to_pylist() for name in names), strict=True))


def test_auto_takes_the_finest_market_that_all_have(
    folder: Path, tmp_path: Path, usual: RunOutcome
) -> None:
    outcome = usual
    assert outcome.how_filled["mode"] == "book"
    assert "Orders meet the order book as it was recorded" in outcome.how_filled["words"]
    # Makers where the candles of the same document would only take.
    assert "MAKER" in outcome.tables["fills"].column("liquidity").to_pylist()
    write_books(tmp_path, ("quotes",))
    assert prepared(tmp_path).document.venue.market == "quotes"
    assert prepared(tmp_path, fills="signal_close").document.venue.market == "candles"
    assert prepared(folder, market="candles").document.venue.market == "candles"


@pytest.mark.parametrize(
    ("kind", "market", "expected"),
    [("trades", "candles", "venue.latency, venue.queue"), ("book", "book", "venue.slippage")],
)
def test_what_auto_leaves_without_effect_is_warned_of(
    tmp_path: Path, kind: str, market: str, expected: str
) -> None:
    write_books(tmp_path, (kind,))
    late = {"orders": {"base": 20}}
    dear = {"model": "fixed_bps", "bps": 5}
    found = played(tmp_path, latency=late, queue="optimistic", slippage=dear).warnings
    assert f"Without effect, as venue.market auto took {market}: {expected}." in found
    assert not any("without slippage" in words for words in found)


def test_candles_that_auto_fell_back_to_fill_without_slippage_and_it_is_said(folder: Path) -> None:
    file = document(folder, slippage={"model": "none"})
    early = ["window.start=2023-11-15 01:00"]
    why = "book of AAAUSDT-LINEAR.BYBIT only from 2023-11-15 02:30 UTC; quotes of AAA"
    words = "Market orders fill at opens without slippage (venue.slippage none), as venue.market"
    outcome = run(prepare(load(file, early).document))
    assert any(one.startswith(f"{words} auto took candles: {why}") for one in outcome.warnings)
    assert not any(words in one for one in run(prepare(load(file).document)).warnings)
    register()
    (remark,) = validate_with_files(file, early)[2]
    assert remark.startswith(f"venue.market auto takes candles: {why}")
    assert validate_with_files(file)[2] == ["venue.market auto takes book"]


def test_holes_and_losses_of_books_are_warned_of(tmp_path: Path) -> None:
    hole, end = at(4), at(4) + 15 * MINUTE_NS

    def holed(rows: pa.Table) -> pa.Table:
        kept = rows.filter((pc.field("ts") <= hole) | (pc.field("ts") >= end))
        place = kept.column_names.index("flags")
        lost = pc.if_else(pc.equal(kept["ts"], end), AFTER_LOSS, kept["flags"])
        return kept.set_column(place, "flags", lost.cast(pa.int8()))

    write_books(tmp_path, ("book",), holed)
    times = [datetime.fromtimestamp(ns / 1e9, UTC).isoformat() for ns in (hole, hole + 187 * 10**8)]
    noted = f"{','.join(times)},18.7,BBBUSDT-LINEAR.BYBIT,1,2,connection lost\n"
    (tmp_path / "catalog" / AUDIT).write_text(f"{','.join(COLUMNS)}\n{noted}")
    found = " ".join(played(tmp_path).warnings)
    assert "The recording of BBBUSDT has holes of up to 18.7 s (recording_gaps.csv)" in found
    assert "books of AAAUSDT, BBBUSDT, CCCUSDT have silences of up to 15 min" in found
    assert "lost messages of the books of AAAUSDT, BBBUSDT, CCCUSDT 3 times" in found


def later(rows: pa.Table, moved: int) -> pa.Table:
    """Return rows whose second half comes later."""
    ts = rows["ts"].to_numpy()
    return rows.set_column(0, "ts", pa.array(ts + moved * (ts >= at(4))))


@pytest.mark.parametrize(("moved", "market"), [(HOUR_NS // 2, "book"), (2 * DAY_NS, "candles")])
def test_auto_takes_no_books_that_lack_days(tmp_path: Path, moved: int, market: str) -> None:
    write_books(tmp_path, ("book",), lambda rows: later(rows, moved))
    found = load(document(tmp_path)).document
    end = found.window.end + timedelta(microseconds=moved / 1_000)
    window = found.window.model_copy(update={"end": end})
    found = found.model_copy(update={"window": window})
    assert settled_market(found, Catalog(tmp_path / "catalog"), NAMES)[0] == market


@pytest.mark.timeout(60)
def test_days_without_a_row_join_the_slice_before_what_comes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tick_feed, "ROWS", 5_000)
    write_books(tmp_path, ("book",), lambda rows: later(rows, 3 * DAY_NS))
    feed = prepared(tmp_path, market="book").feed
    feed.end, feed._step = feed.end + 3 * DAY_NS, DAY_NS
    parts = list(feed.slices())
    assert [part.start for part in parts[1:]] == [part.end for part in parts[:-1]]
    assert max(len(part.data) for part in parts) < 1_000


@pytest.mark.parametrize("market", ["book", pytest.param("quotes", marks=pytest.mark.slow)])
def test_small_slices_give_the_same_run(
    folder: Path, monkeypatch: pytest.MonkeyPatch, market: str
) -> None:
    latency = {"orders": {"base": 20, "jitter": 30}, "feed": {"base": 5}}
    whole = played(folder, market=market, latency=latency)
    monkeypatch.setattr(tick_feed, "ROWS", 8_000 if market == "book" else 1_000)
    feed = prepared(folder, market=market).feed
    assert len(list(feed.slices())) > 5
    cut = played(folder, market=market, latency=latency)
    assert fills(whole) == fills(cut)
    assert whole.ending_equity == cut.ending_equity
    assert whole.tables["equity"].equals(cut.tables["equity"])


def test_equity_is_valued_at_the_marks_of_tickers(folder: Path) -> None:
    feed = prepared(folder).feed
    (part,) = list(feed.slices())
    tickers = feed.catalog.series("tickers", "", NAMES[0], 0, 2**62)
    ts = int(part.grid.ts[100])
    before = tickers.column("mark").to_numpy()[tickers.column("ts").to_numpy() < ts][-1]
    assert part.grid.marks is not None
    assert part.grid.marks[100, 0] == before
    assert np.isnan(part.grid.close).all()


def test_a_position_s_extremes_are_of_the_book_not_of_the_mark(tmp_path: Path) -> None:
    def marked_higher(rows: pa.Table) -> pa.Table:
        if "mark" not in rows.column_names:
            return rows
        marks = pc.multiply(rows.column("mark"), 1.1)
        return rows.set_column(rows.column_names.index("mark"), "mark", marks)

    write_books(tmp_path, ("book", "trades", "tickers"), marked_higher)
    trips = played(tmp_path).tables["positions"].to_pylist()
    assert trips
    for trip in trips:
        book = ticks(NAMES.index(trip["instrument"]))["book"].column("price").to_numpy()
        assert book.min() <= trip["low_px"] < trip["high_px"] <= book.max() < 1.1 * book.min()


@pytest.mark.parametrize(
    ("limits", "trades"),
    [
        ({"max_spread_bps": 20}, True),
        ({"max_spread_bps": 5}, False),
        ({"min_depth": 500, "depth_bps": 30}, True),
        ({"min_depth": 50_000, "depth_bps": 30}, False),
    ],
)
def test_limits_on_spread_and_depth_read_the_book(
    folder: Path, limits: dict[str, float], trades: bool
) -> None:
    outcome = played(folder, strategy=limits)
    assert bool(len(outcome.tables["fills"])) == trades


def test_latency_makes_a_difference_and_repeats(folder: Path, usual: RunOutcome) -> None:
    slow = {"orders": {"base": 1500, "jitter": 400}}
    one, other = (played(folder, latency=slow) for _ in range(2))
    assert fills(one) == fills(other)
    assert fills(one) != fills(usual)


def test_guards_see_the_venues_books() -> None:
    desk = play_book([opening()], seconds=2).desk
    accountant, kernel = desk.accountant, desk.engine.kernel
    assert desk.books is not None
    markets = BacktestMarkets(accountant, accountant._market, kernel.cache, desk.books.book)
    found = markets(kernel.clock.timestamp_ns())[A]
    assert (found.bid, found.ask) == (Decimal(100), Decimal("100.1"))


@pytest.mark.parametrize(
    ("venue", "line"),
    [
        ({"market": "book", "slippage": {"model": "fixed_bps", "bps": 2}}, "slippage"),
        ({"market": "quotes", "fills": "signal_close"}, "fills"),
        ({"market": "book", "execution_interval": "1h"}, "execution_interval"),
        ({"market": "candles", "queue": "optimistic"}, "queue"),
        ({"market": "book", "path": "adaptive"}, "path"),
        ({"latency": {"orders": {"base": -1}}}, "base"),
        ({"latency": False}, "latency"),
        ({"market": "candles", "latency": {"orders": {"base": 1}}}, "latency"),
    ],
)
def test_what_means_nothing_is_refused_at_its_line(
    folder: Path, tmp_path: Path, venue: dict[str, Any], line: str
) -> None:
    (tmp_path / "catalog").symlink_to(folder / "catalog")
    file = document(tmp_path, **venue)
    with pytest.raises(DocumentErrors) as caught:
        checked(file, ())
    (problem,) = caught.value.problems
    text = file.read_text().splitlines()[problem.line - 1]
    assert line in text


def test_books_that_are_not_there_are_named(folder: Path, tmp_path: Path) -> None:
    write_books(tmp_path, ("quotes",))
    (problem,) = check(load(document(tmp_path, market="book")))
    assert f"has no order book of {', '.join(NAMES)}: set venue.market to quotes" in problem.message
    with CatalogWriter(tmp_path / "catalog") as writer:
        # Without quotes and candles.
        writer.add_rows("book", "", "DDDUSDT-LINEAR.BYBIT", ticks(1)["book"])
    (problem,) = check(load(document(tmp_path, market="quotes")))
    assert "no quotes of DDDUSDT-LINEAR.BYBIT: import them, or leave" in problem.message
    file = document(folder, market="book")
    file.write_text(file.read_text().replace("03:00", "01:00"))
    (problem,) = check(load(file))
    assert problem.path == "window.start"
    assert "start" in file.read_text().splitlines()[problem.line - 1]


def test_a_run_on_books_has_a_report(folder: Path, tmp_path: Path) -> None:
    result = backtest_document(document(folder, market="book"), out=tmp_path / "out", stress=True)
    found = read(result)
    assert found.summary["how_filled"]["mode"] == "book"
    page = (result / "report.html").read_text()
    assert "walk its levels" in page
    assert "slippage x3" not in page
    assert "Without effect" not in page
    assert "How orders were executed" in page
    fills = found.table("fills").to_pylist()
    made = sum(float(f["notional"]) for f in fills if f["liquidity"] == "MAKER")
    share = made / sum(float(f["notional"]) for f in fills)
    assert f">{percent(share)}<" in page[page.index("Maker fills, part of what was traded") :][:200]
    # The document of the result can be run again.
    assert checked(result / "config.yaml", ()).document.venue.market == "book"


def test_the_ladder_shows_how_the_result_decays(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rungs = ("queue optimistic", "queue pessimistic", "fees VIP 0 x2")
    monkeypatch.setattr(variants, "LADDER", {name: variants.LADDER[name] for name in rungs})
    result = backtest_document(document(folder), out=tmp_path / "out", ladder=True)
    rows = {row["name"]: row for row in read(result).summary["ladder"]}
    assert list(rows) == ["as specified", *rungs]
    assert rows["fees VIP 0 x2"]["fees"] == pytest.approx(
        2 * rows["as specified"]["fees"], rel=1e-3
    )
    assert rows["queue optimistic"]["fees"] <= rows["queue pessimistic"]["fees"]
    assert "Latency, queue and fees" in (result / "report.html").read_text()
    table = variants_table("", list(rows.values()), ["fills"])
    assert "queue optimistic" in str(table.columns[0]._cells)


def test_a_run_on_candles_has_no_ladder(folder: Path, tmp_path: Path) -> None:
    file = document(folder, market="candles")
    with pytest.raises(InputError, match="quotes or books"):
        backtest_document(file, out=tmp_path / "out", ladder=True)
    assert not (tmp_path / "out").exists()


def test_what_market_orders_don_t_find_does_not_hang_a_rebalance(folder: Path) -> None:
    taker = {"execution": {"tactic": "taker"}}
    outcome = played(folder, strategy=taker, starting_balance=200_000, leverage=5)
    orders = outcome.tables["orders"]
    first = orders.column("ts_created").to_pylist()
    # Half of 200,000 USDT is a thousand coins; five levels have a hundred.
    assert set(orders.column("status").to_pylist()) == {"CANCELED"}
    assert all(float(filled) > 0 for filled in orders.column("filled").to_pylist())
    assert len(outcome.tables["decisions"]) == 2
    assert len(set(first)) == 2


def test_protection_rests_at_the_venue_and_follows_partial_fills(folder: Path) -> None:
    guarded = {"protection": {"atr": 2, "stop": 0.5}}
    outcome = played(folder, strategy=guarded)
    orders = outcome.tables["orders"].to_pylist()
    stops = [order for order in orders if order["type"] == "STOP_MARKET"]
    assert stops
    assert {order["reduce_only"] for order in stops} == {True}
    filled = [order for order in stops if order["status"] == "FILLED"]
    trips = outcome.tables["positions"].to_pylist()
    assert len(filled) == sum(not trip["open"] for trip in trips)
    # A stop is measured from the mid at which it triggered.
    ids = {order["client_order_id"] for order in filled}
    for fill in outcome.tables["fills"].to_pylist():
        if fill["client_order_id"] in ids:
            away = abs(float(fill["price"]) / float(fill["reference_price"]) - 1)
            assert away < 0.005


class Looker(DeskStrategy):
    """Writes down what it sees of the first instrument once a minute."""

    def history_needed(self) -> dict[str, int]:
        return {"1h": 1}

    def levels_needed(self) -> int:
        return 7

    def on_start(self) -> None:
        super().on_start()
        self.seen: list[tuple[Any, ...]] = []
        name = self.instrument_ids[0]
        self.market.want_levels()
        self.market.watch(name)
        self.market.watch_trades(name)
        self.clock.set_timer("look", timedelta(minutes=1), callback=lambda _: self.look(name))

    def on_order_book_deltas(self, deltas: OrderBookDeltas) -> None:
        super().on_order_book_deltas(deltas)
        CHANGES.append(deltas.ts_event)
        for count in (3, 7, 9):
            levels = level_rows(*self.market.levels(deltas.instrument_id, count), count)
            shown = self.market.levels_after(deltas, count)
            # What was read before the run is part of its message.
            assert (shown.base is None) == (count > self.levels_needed())
            np.testing.assert_array_equal(shown, levels)
        if len(CHANGES) == 2:
            self.send_market(deltas.instrument_id, Decimal("0.1"), "the second change")

    def look(self, name: InstrumentId) -> None:
        market, now = self.market, self.clock.timestamp_ns()
        newest = [trade.ts_event for trade in market.trades(name, 2)]
        levels = [market.levels(name, count) for count in (3, 9)]
        sight = market.depth(name, 15.0), market.event_age_ns(name), newest
        SEEN.append((now, market.top_of_book(name), *levels, *sight))


SEEN: list[tuple[Any, ...]] = []
CHANGES: list[int] = []


@pytest.mark.parametrize("market", ["book", "quotes"])
def test_a_strategy_sees_levels_depth_trades_and_age_as_the_raw_rows_have_them(
    folder: Path, market: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tick_feed, "ROWS", 5_000)
    SEEN.clear()
    CHANGES.clear()
    file = document(folder, market=market, latency={"feed": {"base": 7}})
    looker = {"use": "tests.backtests.test_book_runs:Looker", "params": {}}
    text = yaml.safe_load(file.read_text()) | {"strategies": {"looker": looker}}
    file.write_text(yaml.safe_dump(text))
    made = prepare(load(file).document)
    outcome = run(made)
    assert len(SEEN) == 119
    raw = made.catalog
    books, trades = (raw.series(kind, "", NAMES[0], 0, 2**62) for kind in ("book", "trades"))
    if market == "book":
        # Each change of the book, and an order at once, which meets it 7 ms later.
        messages = sorted(
            set(zip(*(books.column(c).to_pylist() for c in ("ts", "seq")), strict=True))
        )
        # The first is the book as it stood at the start.
        assert [ts for ts, _ in messages if made.start < ts <= made.end] == CHANGES[1:]
        assert fills(outcome)[0][0] == CHANGES[1] + 7_000_000
    told = books.column("ts").to_numpy()
    traded = trades.column("ts").to_numpy()
    traded = traded[traded > made.start]
    for now, top, three, nine, depth, age, newest in SEEN:
        standing = [r for r in raw.book_at(NAMES[0], now).to_pylist() if r["size"]]
        both = [[(r["price"], r["size"]) for r in standing if r["side"] == way] for way in (1, -1)]
        bids, asks = tuple(sorted(both[0], reverse=True)), tuple(sorted(both[1]))
        assert (float(top.bid), float(top.ask)) == (bids[0][0], asks[0][0])
        shown = 3 if market == "book" else 1
        assert three == (bids[:shown], asks[:shown])
        assert nine == (bids[: shown + 6], asks[: shown + 6]) or market == "quotes"
        mid = (bids[0][0] + asks[0][0]) / 2
        within = [
            [p * s for p, s in side[:shown] if abs(p / mid - 1) <= 0.0015] for side in (bids, asks)
        ]
        assert depth == pytest.approx(min(map(sum, within)))
        last = told[told <= now].max()
        assert 7_000_000 <= age <= now - last + 7_000_000
        assert newest == traded[traded <= now][::-1][:2].tolist()
