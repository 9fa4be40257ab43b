"""Runs of documents on a catalog's books and quotes: which market, slices, filters, errors."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from backtests import variants
from backtests.checks import check
from backtests.engine import tick_feed
from backtests.engine.guard_desk import BacktestMarkets
from backtests.results.console import ladder_table
from backtests.results.result import read
from backtests.run import Prepared, RunOutcome, prepare, run
from backtests.session import backtest_document
from config.errors import DocumentErrors, InputError
from config.load import load
from config.validate import checked
from tests.backtests.book_runs import NAMES, document, write_books
from tests.backtests.book_tapes import opening, play_book
from tests.builders_engine import A


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


def fills(outcome: RunOutcome) -> list[tuple[Any, ...]]:
    names = ("ts", "instrument", "side", "quantity", "price", "liquidity", "fee")
    table = outcome.tables["fills"]
    return list(zip(*(table.column(name).to_pylist() for name in names), strict=True))


def test_auto_takes_the_finest_market_that_all_have(folder: Path, tmp_path: Path) -> None:
    outcome = played(folder)
    assert outcome.how_filled["mode"] == "book"
    assert "Orders meet the order book as it was recorded" in outcome.how_filled["words"]
    # Makers where the candles of the same document would only take.
    assert "MAKER" in outcome.tables["fills"].column("liquidity").to_pylist()
    write_books(tmp_path, ("quotes",))
    assert prepared(tmp_path).document.venue.market == "quotes"
    assert prepared(tmp_path, fills="signal_close").document.venue.market == "candles"
    assert prepared(folder, market="candles").document.venue.market == "candles"


@pytest.mark.parametrize("market", ["book", "quotes"])
def test_small_slices_give_the_same_run(
    folder: Path, monkeypatch: pytest.MonkeyPatch, market: str
) -> None:
    latency = {"orders": {"base": 20, "jitter": 30}, "feed": {"base": 5}}
    whole = played(folder, market=market, latency=latency)
    monkeypatch.setattr(tick_feed, "ROWS", 1_000)
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


def test_latency_makes_a_difference_and_repeats(folder: Path) -> None:
    slow = {"orders": {"base": 1500, "jitter": 400}}
    one, other = (played(folder, latency=slow) for _ in range(2))
    assert fills(one) == fills(other)
    assert fills(one) != fills(played(folder))


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
        ({"latency": {"orders": {"base": -1}}}, "base"),
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
    assert problem.message.endswith(f"has no order book of {', '.join(NAMES)}")
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
    # The document of the result can be run again.
    assert checked(result / "config.yaml", ()).document.venue.market == "book"


def test_the_ladder_shows_how_the_result_decays(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rungs = ("latency 250 ms", "queue optimistic", "queue pessimistic", "fees VIP 0 x2")
    monkeypatch.setattr(variants, "LADDER", {name: variants.LADDER[name] for name in rungs})
    result = backtest_document(document(folder), out=tmp_path / "out", ladder=True)
    rows = {row["name"]: row for row in read(result).summary["ladder"]}
    assert list(rows) == ["as specified", *rungs]
    assert rows["fees VIP 0 x2"]["fees"] == pytest.approx(
        2 * rows["as specified"]["fees"], rel=1e-3
    )
    assert rows["queue optimistic"]["fees"] <= rows["queue pessimistic"]["fees"]
    assert "Latency, queue and fees" in (result / "report.html").read_text()
    assert "queue optimistic" in str(ladder_table(list(rows.values())).columns[0]._cells)


def test_a_run_on_candles_has_no_ladder(folder: Path, tmp_path: Path) -> None:
    file = document(folder, market="candles")
    with pytest.raises(InputError, match="quotes or books"):
        backtest_document(file, out=tmp_path / "out", ladder=True)
    assert not (tmp_path / "out").exists()
