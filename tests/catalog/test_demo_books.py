"""The demo's books: a valid market, the same each time, with what is planted in the tape."""

import json
from bisect import bisect_right
from itertools import groupby
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from catalog.demo.order_flow import COINS, USUAL_FUNDING, simulate
from catalog.providers.demo_books import BookParams, generate
from catalog.storage.store import Catalog
from catalog.verify import verify
from config.errors import InputError
from tests.catalog.market import BTC, ETH, FOREVER
from tests.catalog.test_catalog_commands import run

SOL, SPOT_BTC = "SOLUSDT-LINEAR.BYBIT", "BTCUSDT-SPOT.BYBIT"
HOURS = 0.5
SECOND = 10**9


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Half an hour of books, made on the command line."""
    place = tmp_path_factory.mktemp("books")
    demo(place)
    return place


def demo(place: Path, *words: str, hours: float = HOURS) -> str:
    done = run("demo", "--books", "--hours", str(hours), "--catalog", place, *words)
    if done.exception:
        raise done.exception
    return done.stdout


@pytest.fixture(scope="module")
def catalog(folder: Path) -> Catalog:
    return Catalog(folder)


@pytest.fixture(scope="module")
def planted(folder: Path) -> list[dict]:
    return json.loads((folder / "planted.json").read_text())


def rows(catalog: Catalog, kind: str, instrument: str) -> pa.Table:
    return catalog.series(kind, "", instrument, 0, FOREVER)


def tape(catalog: Catalog, event: dict) -> pa.Table:
    """Trades of a planted event's instrument, from its start to its end."""
    return catalog.series("trades", "", event["instrument"], event["start"] - 1, event["end"])


def test_five_instruments_have_all_kinds_and_nothing_wrong(catalog):
    assert verify(catalog) == []
    assert len(catalog.instruments) == 5
    for kind, count in (("book", 5), ("trades", 5), ("tickers", 3), ("funding", 3)):
        assert len(catalog.coverage(kind)) == count
    assert catalog.instruments[BTC].tick == "0.5"
    size = sum(file.stat().st_size for file in catalog.folder.rglob("*.parquet"))
    assert size < 10_000_000 * HOURS


@pytest.mark.parametrize("instrument", [BTC, SPOT_BTC, SOL])
def test_books_never_cross_and_trades_take_what_was_shown(catalog, planted, instrument):
    icebergs = [e for e in planted if (e["instrument"], e["kind"]) == (instrument, "iceberg")]
    names = ("ts", "flags", "side", "price", "size")
    book = zip(
        *(rows(catalog, "book", instrument).column(n).to_pylist() for n in names), strict=True
    )
    traded: dict[int, list[dict]] = {}
    for trade in rows(catalog, "trades", instrument).to_pylist():
        traded.setdefault(trade["ts"] + 1_000, []).append(trade)
    sides: dict[int, dict[float, float]] = {1: {}, -1: {}}
    seen = 0
    for ts, message in groupby(book, lambda row: row[0]):
        before = {}
        for trade in traded.pop(ts, ()):
            # A trade takes the level of the other side; its message shows what is left.
            own = (-trade["side"], trade["price"])
            shown = before.setdefault(own, sides[own[0]][own[1]])
            before[own] = round(shown - trade["size"], 6)
            seen += 1
        for place, (_, flags, side, price, size) in enumerate(message):
            if flags and not place:
                whole = sides
                sides = {1: {}, -1: {}}
            sides[side][price] = size
            if not size:
                del sides[side][price]
        if flags:
            assert sides == whole or not whole[1]
        assert max(sides[1]) < min(sides[-1])
        for (side, price), left in before.items():
            refilled = any(e["price"] == price and e["start"] <= ts <= e["end"] for e in icebergs)
            assert sides[side].get(price, 0.0) == left or refilled
    assert seen > 1_000
    assert not traded


def test_the_same_seed_gives_the_same_books_and_another_does_not(tmp_path):
    demo(tmp_path, hours=0.05)
    files = Catalog(tmp_path).manifest.files
    assert "Nothing new" in demo(tmp_path, hours=0.05)
    assert Catalog(tmp_path).manifest.files == files
    with pytest.raises(InputError, match="holds other data already"):
        demo(tmp_path, "--seed", "13", hours=0.05)
    first, second = (
        [part.tables for part in generate(BookParams(seed=seed, hours=0.05))[0]]
        for seed in (12, 13)
    )
    assert [list(tables) for tables in first] == [list(tables) for tables in second]
    assert first[1]["book", "", BTC] != second[1]["book", "", BTC]


def of_kind(planted: list[dict], kind: str) -> list[dict]:
    found = [event for event in planted if event["kind"] == kind]
    assert len(found) >= 8
    assert all(event["start"] < event["end"] for event in found)
    return found


def test_a_spoof_rests_in_the_book_and_does_not_trade(catalog, planted):
    for event in of_kind(planted, "spoof"):
        span = (event["start"] - 1, event["end"])
        book = catalog.series("book", "", event["instrument"], *span).to_pylist()
        sizes = [
            r["size"] for r in book if (r["price"], r["side"]) == (event["price"], event["side"])
        ]
        assert sizes[0] >= event["size"]
        assert sizes[-1] <= max(sizes) - event["size"] * 0.9
        prices = tape(catalog, event).column("price").to_pylist()
        assert event["price"] not in prices


def test_an_iceberg_trades_more_than_it_ever_shows(catalog, planted):
    for event in of_kind(planted, "iceberg"):
        trades = tape(catalog, event).to_pylist()
        at = [t for t in trades if (t["price"], t["side"]) == (event["price"], -event["side"])]
        assert sum(t["size"] for t in at) == pytest.approx(event["size"])
        slices = {f"{spec.name}USDT": spec.size * float(spec.lot) for spec in COINS}
        assert event["size"] > 3 * slices[event["instrument"].partition("-")[0]]
        assert len({t["ts"] for t in at}) > 1


def test_a_sweep_goes_through_eight_levels_at_one_time(catalog, planted):
    for event in of_kind(planted, "sweep"):
        trades = tape(catalog, event).filter(pa.compute.field("ts") == event["start"]).to_pylist()
        prices = [trade["price"] for trade in trades]
        assert {trade["side"] for trade in trades} == {event["side"]}
        assert sum(trade["size"] for trade in trades) == pytest.approx(event["size"])
        assert 8 <= len(prices) <= 15
        assert prices == sorted(prices, reverse=event["side"] < 0)


def orders(trades: pa.Table) -> np.ndarray:
    """Sizes of market orders: trades of one time."""
    ts, size = trades.column("ts").to_numpy(), trades.column("size").to_numpy()
    return np.add.reduceat(size, np.flatnonzero(np.diff(ts, prepend=0)))


def test_bursts_are_one_sided_and_move_the_price(catalog, planted):
    usual = {
        name: np.median(orders(rows(catalog, "trades", name)))
        for name in catalog.coverage("trades")
    }
    for kind, share, large in (("large_trades", 0.75, 5.0), ("momentum", 0.6, 0.5)):
        moves, shares, sizes = [], [], []
        for event in of_kind(planted, kind):
            trades = tape(catalog, event)
            side, size, price = (trades.column(n).to_numpy() for n in ("side", "size", "price"))
            shares.append(size[side == event["side"]].sum() / size.sum())
            sizes.append(np.mean(orders(trades)) / usual[event["instrument"]])
            moves.append((price[-1] / price[0] - 1) * event["side"])
        assert np.mean(shares) > share
        assert np.mean(sizes) > large
        assert np.mean(np.array(moves) > 0) > 0.7


def test_candles_are_those_of_the_trades_and_begin_a_day_before(catalog):
    for instrument in (BTC, SPOT_BTC, SOL):
        bars = catalog.series("bars", "1m", instrument, 0, FOREVER).to_pylist()
        assert len(bars) == 1440 + 30
        trades = rows(catalog, "trades", instrument).to_pylist()
        stamps = [trade["ts"] for trade in trades]
        for bar in bars[-30:]:
            own = trades[
                bisect_right(stamps, bar["ts"] - 60 * SECOND) : bisect_right(stamps, bar["ts"])
            ]
            prices = [trade["price"] for trade in own]
            assert (prices[0], max(prices), min(prices), prices[-1]) == (
                *(bar["open"], bar["high"], bar["low"], bar["close"]),
            )
            assert bar["volume"] == pytest.approx(sum(trade["size"] for trade in own))


def test_tickers_tell_last_mark_index_and_the_funding_to_come(catalog):
    table = rows(catalog, "tickers", ETH)
    assert table.num_rows == 3600 * HOURS
    assert np.diff(table.column("ts").to_numpy()).tolist() == [SECOND] * (table.num_rows - 1)
    mark, index = table.column("mark").to_numpy(), table.column("index").to_numpy()
    assert np.abs(mark / index - 1).max() < 0.005
    due = table.column("next_funding_ts").unique().to_pylist()
    assert [stamp % (8 * 3600 * SECOND) for stamp in due] == [0]


def test_the_basis_comes_back_within_minutes_and_funding_follows_it():
    chunks, _ = simulate(COINS[0], 7, 0, 6 * 3600)
    seconds = np.concatenate([chunk.seconds for chunk in chunks])
    perp, spot, funding = seconds[:, 1], seconds[:, 2], seconds[:, -1]
    basis = (perp - spot) / COINS[0].first_tick
    again = [np.corrcoef(basis[lag:], basis[:-lag])[0, 1] for lag in (60, 300, 1800)]
    assert 0.65 < again[0] < 0.95
    assert 0.2 < again[1] < 0.65
    assert abs(again[2]) < 0.35
    assert 0.0003 < basis.std() < 0.003
    # The formula, from the middle prices alone: mean premium, and the clamp around it.
    premium, mean = [], 0.0
    for value in basis:
        mean += (value - mean) / 1800
        premium.append(mean)
    clamped = premium + np.clip(USUAL_FUNDING - np.array(premium), -0.0005, 0.0005)
    assert np.allclose(funding, clamped)
    # The spot pair and the perpetual are one coin.
    moves = [np.diff(prices[::60]) for prices in (perp, spot)]
    assert np.corrcoef(*moves)[0, 1] > 0.7


@pytest.mark.parametrize("words", [("--days", "40"), ("--perps", "6")])
def test_parameters_of_the_other_demo_are_refused(tmp_path, words):
    with pytest.raises(InputError, match="are not of --books"):
        demo(tmp_path, *words)
    with pytest.raises(InputError, match="--hours is of --books"):
        raise run("demo", "--hours", "4", "--catalog", tmp_path).exception
    with pytest.raises(InputError, match="hours must be"):
        BookParams(hours=0.001)
