"""Picture of a short time of a run on books or quotes: levels, trades, own orders and fills.

The result has the own orders and fills; books, quotes and trades are read from its catalog.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from actors.measures import Floats, Integers
from backtests.report.charts import Chart, Drawings, line, times
from backtests.report.formats import date, symbol, text
from backtests.report.page import page, write_page
from backtests.report.report_data import LIMIT, downsample
from backtests.results.result import Result
from catalog.storage.store import Catalog
from catalog.tops import StoredBook, Tops
from config.catalogs import url_of
from config.durations import HOUR_NS, duration_ns, nanoseconds, parse, second_text
from config.errors import InputError

COLUMNS, ROWS = 240, 120
"""Steps of time, and price levels or bands of them at most."""
TAKEN = {1: "@good", 0: "@muted", -1: "@bad"}
"""Colours of trades by who took: a buyer, unknown, a seller."""


class Picture(NamedTuple):
    """What is drawn: one instrument from `begin` to `end`, UNIX nanoseconds (UTC)."""

    instrument: str
    begin: int
    end: int
    tops: Tops
    trades: pa.Table
    orders: list[dict[str, Any]]
    fills: list[dict[str, Any]]
    edges: Integers
    prices: Floats
    """Edges of the bands of prices."""
    sizes: Floats
    """Shape (2, bands, steps): bids and asks at the end of each step."""


def write_picture(result: Result, at: str, window: str, wanted: str = "") -> Path:
    """Write the picture around a UTC time beside the result's report; return its path.

    Raises InputError as `read_picture` does, and for what is no time or duration.
    """
    option = "--at"
    try:
        moment = nanoseconds(parse(at))
        option = "--window"
        length = duration_ns(window)
    except ValueError as error:
        raise InputError(f"{option}: {error}") from None
    picture = read_picture(result, moment, length, wanted)
    name = f"{picture.instrument.partition('.')[0]}-{second_text(moment)}"
    file = f"picture-{name.replace(' ', 'T').replace(':', '')}.html"
    return write_page(result.path / file, render_picture(result, picture))


def read_picture(result: Result, at: int, window: int, wanted: str = "") -> Picture:
    """Read what is drawn of the window around a moment; `wanted` is a symbol or an instrument.

    Raises InputError when the run was on candles, or the moment, the catalog or its rows are not
    there.
    """
    summary = result.summary
    kind = summary["how_filled"]["mode"]
    if kind not in ("book", "quotes"):
        raise InputError(
            f"{result.path}: its orders met candles; --at shows runs on books or quotes "
            "(venue.market: book)"
        )
    first, last = summary["start_ns"], summary["end_ns"]
    if not first <= at < last:
        raise InputError(
            f"--at {second_text(at)}: the run goes from {second_text(first)} to "
            f"{second_text(last)} (UTC)"
        )
    if window > HOUR_NS:
        raise InputError("--window: at most 1h")
    begin, end = max(at - window // 2, first), min(at + window // 2, last)
    folder = Path(result.document["catalog"])
    if not url_of(folder) and not folder.is_dir():
        raise InputError(
            f"{folder}: the catalog that {result.path} was run on is not here; run this in the "
            "folder where the backtest ran, or put it there"
        )
    catalog = Catalog(folder)
    fills = [fill for fill in result.table("fills").to_pylist() if begin < fill["ts"] <= end]
    orders = result.table("orders").to_pylist()
    covered = catalog.coverage(kind)
    fit = [one for one in covered if wanted in ("", one, one.partition("-")[0])]
    traded = {order["instrument"] for order in orders}
    fit = [one for one in fit if one in traded] or fit
    if not fit or (wanted and len(fit) > 1):
        raise InputError(f"--symbol {wanted}: choose one of {', '.join(covered)}")
    name = max(
        fit, key=lambda one: sum(float(f["notional"]) for f in fills if f["instrument"] == one)
    )
    fills = [fill for fill in fills if fill["instrument"] == name]
    orders = [
        order
        for order in orders
        if order["instrument"] == name
        and order["type"] == "LIMIT"
        and (order["ts_arrived"] or end) < end
        and (order["ts_closed"] or end) > begin
    ]
    trades = catalog.series("trades", "", name, begin, end)
    told = catalog.series(kind, "", name, begin, end)
    edges = np.linspace(begin, end, COLUMNS + 1).astype(np.int64)
    if kind == "book":
        tops, levels = _replayed(catalog.book_at(name, begin), told, edges)
    else:
        tops, levels = Tops(*(told.column(c).to_numpy() for c in ("ts", "bid", "ask"))), []
    if not np.isfinite([tops.bid, tops.ask]).any():
        raise InputError(
            f"{folder}: no {kind} of {name} between {second_text(begin)} and "
            f"{second_text(end)}: choose another time"
        )
    shown = np.concatenate([tops.bid, tops.ask, trades.column("price").to_numpy()])
    low, high = float(np.nanmin(shown)), float(np.nanmax(shown))
    around = (high - low) / 2
    prices = bands(low - around, high + around, float(catalog.instruments[name].tick))
    return Picture(
        name, begin, end, tops, trades, orders, fills, edges, prices, in_bands(levels, prices)
    )


def _replayed(standing: pa.Table, rows: pa.Table, edges: Integers) -> tuple[Tops, list[pa.Table]]:
    """Return the best prices after each message, and all levels at the end of each step."""
    book, tops, levels = StoredBook(), [], []
    if standing.num_rows:
        tops.append(book.replay(standing))
    cuts = np.searchsorted(rows.column("ts").to_numpy(), edges, side="right")
    for cut, after, ts in zip(cuts[:-1], cuts[1:], edges[1:], strict=True):
        if after > cut:
            tops.append(book.replay(rows.slice(cut, after - cut).combine_chunks()))
        levels.append(book.snapshot(int(ts), 0) if book.known else rows.slice(0, 0))
    return Tops(
        *(np.concatenate([getattr(t, n) for t in tops] or [[]]) for n in Tops._fields)
    ), levels


def bands(low: float, high: float, tick: float) -> Floats:
    """Return the edges of at most `ROWS` bands of whole ticks from one price to another."""
    first, last = round(low / tick) - 5, round(high / tick) + 5
    step = -(-(last - first + 1) // ROWS)
    count = -(-(last - first + 1) // step)
    # A level lies in the middle of its tick.
    return (first + step * np.arange(count + 1, dtype=np.float64) - 0.5) * tick


def in_bands(levels: list[pa.Table], prices: Floats) -> Floats:
    """Return the sizes of bids and of asks by band and step, shape (2, bands, steps)."""
    sizes = np.zeros((2, len(prices) - 1, len(levels)))
    for step, rows in enumerate(levels):
        price, size, side = (rows.column(name).to_numpy() for name in ("price", "size", "side"))
        band = np.searchsorted(prices, price)
        for row, own in enumerate((side > 0, side < 0)):
            # The first and the last lie outside.
            sizes[row, :, step] = np.bincount(band[own], size[own], len(prices) + 1)[1:-1]
    return sizes


def render_picture(result: Result, picture: Picture) -> str:
    """Return the picture as one HTML page that opens offline."""
    drawings, name = Drawings(), symbol(picture.instrument)
    begin, end = (second_text(ts) for ts in (picture.begin, picture.end))
    full = _full(picture.sizes)
    depth = (
        f"Levels of the book: full colour is {full:,.4g} coins or more in a band of "
        f"{picture.prices[1] - picture.prices[0]:.6g} USDT. "
        if full
        else "The catalog's quotes: best bid and ask. "
    )
    largest = f", the {LIMIT:,} largest" if picture.trades.num_rows > LIMIT else ""
    words = (
        f"{depth}Circles are trades{largest}, their area their size, green where a buyer took. "
        "Lines are own limit orders, from their arrival at the venue to their end; diamonds are "
        "own fills."
    )
    counts = (
        f"trades: {picture.trades.num_rows:,} · own orders: {len(picture.orders):,} · own fills: "
        f"{len(picture.fills):,}"
    )
    title = "Book, trades, own orders and fills"
    drawn = drawings.place(chart(picture)) + f'<p class="hint">{words}</p>'
    return page(
        f"{name} at {begin} · perpdesk",
        f'<div class="eyebrow">perpdesk report --at</div><h1>{text(name)}</h1>'
        f"<p>{text(result.summary['name'])} · {date(picture.begin)} · {begin[11:]} – {end[11:]}, "
        f"UTC · {counts}</p>",
        [],
        [("picture", "Picture", title, drawn)],
        drawings,
    )


def _full(sizes: Floats) -> float:
    """Return the size that has the full colour: all but the largest are below it."""
    there = sizes[sizes > 0]
    return float(np.quantile(there, 0.98)) if len(there) else 0.0


def chart(picture: Picture) -> Chart:
    """The picture: levels as heat, best prices, trades, own orders and fills."""
    data = _heat(picture)
    for side, values, colour in (
        ("Bid", picture.tops.bid, "@accent"),
        ("Ask", picture.tops.ask, "@btc"),
    ):
        kept = np.flatnonzero(np.diff(values, prepend=np.nan) != 0)
        kept = kept[downsample(values[kept])]
        ts, found = np.r_[picture.tops.ts[kept], picture.end], np.r_[values[kept], values[-1]]
        best = line(f"Best {side.lower()}", ts, found, colour, 1.3)
        best["line"]["shape"] = "hv"
        data.append(best | {"x": times(ts, "us"), "hoverinfo": "skip"})
    return Chart(
        "picture",
        620,
        data + _marks(picture),
        {
            "xaxis": {
                "type": "date",
                "range": times([picture.begin, picture.end], "us"),
                "hoverformat": "%H:%M:%S.%L",
            },
            "yaxis": {
                "range": picture.prices[[0, -1]].tolist(),
                "tickformat": ",~f",
                "title": {"text": "USDT"},
            },
            "hovermode": "closest",
        },
    )


def _heat(picture: Picture) -> list[dict[str, Any]]:
    full = _full(picture.sizes)
    return [
        {
            "type": "heatmap",
            "name": side,
            "x": times(picture.edges, "us"),
            "y": np.round(picture.prices, 9).tolist(),
            "z": [[float(f"{v:.4g}") if v else None for v in band] for band in sizes.tolist()],
            "zmin": 0,
            "zmax": full,
            "colorscale": [[0, f"{colour}/0.04"], [1, f"{colour}/0.9"]],
            "showscale": False,
            "hoverongaps": False,
            "hovertemplate": side + " %{y:.6g}: %{z}<extra></extra>",
        }
        for side, sizes, colour in zip(
            ("Bids", "Asks"), picture.sizes, ("@accent", "@btc"), strict=True
        )
        if sizes.any()
    ]


def _marks(picture: Picture) -> list[dict[str, Any]]:
    trades = picture.trades
    largest = np.sort(np.argsort(trades.column("size").to_numpy(), kind="stable")[-LIMIT:])
    ts, price, size, side = (
        trades.column(name).to_numpy()[largest] for name in ("ts", "price", "size", "side")
    )
    taken = {
        "size": size.tolist(),
        "sizemode": "area",
        "sizeref": 2 * float(size.max(initial=0)) / 18**2,
        "sizemin": 2,
        "color": [f"{TAKEN[sign]}/0.7" for sign in side.tolist()],
    }
    orders, fills = picture.orders, picture.fills
    begin, end = picture.begin, picture.end
    ends = [(max(o["ts_arrived"], begin), min(o["ts_closed"] or end, end)) for o in orders]
    rested = {
        "type": "scatter",
        "mode": "lines",
        "name": "Own orders",
        "x": [x for pair in ends for x in (*times(list(pair), "us"), None)],
        "y": [y for order in orders for y in (*[float(order["limit_price"])] * 2, None)],
        "text": [words for order in orders for words in [_of_order(order)] * 3],
        "hovertemplate": "%{x}<br>%{text} at %{y}<extra></extra>",
        "line": {"color": "@ink", "width": 2.2},
    }
    own = {
        "symbol": "diamond",
        "size": 11,
        "color": ["@good" if fill["side"] == "BUY" else "@bad" for fill in fills],
        "line": {"color": "@ink", "width": 1.2},
    }
    words = [
        f"{fill['side'].capitalize()} {fill['quantity']}, {fill['liquidity'].lower()},"
        for fill in fills
    ]
    data = [
        _points("Trades", ts.tolist(), price.tolist(), taken, [f"{v:.6g}" for v in size]),
        rested,
        _points(
            "Own fills",
            [fill["ts"] for fill in fills],
            [float(fill["price"]) for fill in fills],
            own,
            words,
        ),
    ]
    return [trace for trace in data if trace["x"]]


def _of_order(order: dict[str, Any]) -> str:
    status = order["status"].lower().replace("_", " ")
    return f"{order['side'].capitalize()} {order['quantity']}, {status}"


def _points(
    name: str, ts: list[int], price: list[float], marker: dict[str, Any], words: list[str]
) -> dict[str, Any]:
    return {
        "type": "scatter",
        "mode": "markers",
        "name": name,
        "x": times(ts, "us"),
        "y": price,
        "text": words,
        "hovertemplate": "%{x}<br>%{text} at %{y}<extra></extra>",
        "marker": marker,
    }
