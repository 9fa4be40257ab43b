"""Data quality checks of one series; each check returns `CatalogFinding`s."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from config.durations import HOUR_NS, MINUTE_NS, STORED

WRONG, INFO = "wrong", "info"
STALE_NS = 2 * HOUR_NS
STALE_CANDLES = 3
LONGEST_FUNDING_NS = 8 * HOUR_NS
SHORTEST_FUNDING_NS = HOUR_NS - 5 * MINUTE_NS
"""Settlements are an hour apart or more; five minutes are left for jitter."""
REPEATED_ODDS = 50
"""Repeated rates are wrong when chance alone shows them less often than once in so many series."""
JUMP = 3.0
LARGEST_MARK_GAP = 0.2
LARGEST_RATE = 0.2
PERCENT_LIKE = 0.003
"""A median funding rate above it is percent: the usual 0.01 % is 0.0001, and 0.01 in percent."""
UNFINISHED_SHARE = 0.02
NEIGHBOURS = 20

Stamps = NDArray[np.int64]


class CatalogFinding(msgspec.Struct, frozen=True, kw_only=True):
    """One finding in one series; severity ``wrong`` fails the check, ``info`` does not.

    A summary of many has no instrument. `count` is the number of rows (of missing ones for a gap).
    `first` and `last` are UNIX nanoseconds (UTC), 0 where there is no range.
    """

    severity: str
    check: str
    series: str
    instrument: str
    count: int
    first: int
    last: int
    words: str


@dataclass(frozen=True, kw_only=True)
class SeriesRows:
    """One series to check: UNIX nanoseconds (UTC) of shape (T,), and its other columns.

    `imported_ns` is the time of the last write; `decimals` are those of the instrument's prices.
    """

    name: str
    instrument: str = ""
    interval: str = ""
    ts: Stamps = field(default_factory=lambda: np.zeros(0, np.int64))
    columns: dict[str, Any] = field(default_factory=dict)
    imported_ns: int = 0
    decimals: int = 0

    def found(
        self, severity: str, check: str, count: int, first: int, last: int, words: str
    ) -> CatalogFinding:
        """Return a finding about this series."""
        return CatalogFinding(
            severity=severity,
            check=check,
            series=self.name,
            instrument=self.instrument,
            count=int(count),
            first=int(first),
            last=int(last),
            words=words,
        )

    def found_at(self, severity: str, check: str, rows: Stamps, words: str) -> list[CatalogFinding]:
        """Return one finding about some rows, none where there are none."""
        if not len(rows):
            return []
        return [self.found(severity, check, len(rows), self.ts[rows[0]], self.ts[rows[-1]], words)]


def order(series: SeriesRows) -> list[CatalogFinding]:
    """Find duplicate stamps and stamps out of order."""
    ts = series.ts
    bad = np.flatnonzero(np.diff(ts) <= 0)
    if not len(bad):
        return []
    words = "stamps that come twice or run backwards"
    return [series.found(WRONG, "duplicate", len(bad), ts[bad[0]], ts[bad[-1] + 1], words)]


def backwards(series: SeriesRows) -> list[CatalogFinding]:
    """Find rows whose time is before that of the row before, in the order of their source."""
    back = np.flatnonzero(np.diff(series.ts) < 0) + 1
    words = "rows that go back in time; they are sorted"
    return series.found_at(INFO, "time_back", back, words)


def off_grid(series: SeriesRows) -> list[CatalogFinding]:
    """Find candles that close off the interval's grid, counted from midnight UTC."""
    off = np.flatnonzero(series.ts % STORED[series.interval] != 0)
    words = f"closes that are no multiple of {series.interval} (UTC)"
    return series.found_at(WRONG, "off_grid", off, words)


def gaps(series: SeriesRows) -> list[CatalogFinding]:
    """Find gaps of whole candles."""
    ts, length = series.ts, STORED[series.interval]
    found: list[CatalogFinding] = []
    distances = np.diff(ts)
    for index in np.flatnonzero(distances > length):
        missing = int(distances[index] // length) - 1
        if missing:
            words = f"{missing} candle{'s' if missing > 1 else ''} missing"
            first, last = ts[index] + length, ts[index + 1] - length
            found.append(series.found(WRONG, "gap", missing, first, last, words))
    return found


def impossible(series: SeriesRows) -> list[CatalogFinding]:
    """Find impossible candles: low above high, a price outside or not above 0, volume < 0."""
    candles = series.columns
    low, high = candles["low"], candles["high"]
    ends = (candles["open"], candles["close"])
    rules = {
        "low above high": low > high,
        "open or close outside low and high": np.logical_or.reduce(
            [(end > high) | (end < low) for end in ends]
        ),
        "a price that is not above 0": np.logical_or.reduce(
            [~(price > 0) for price in (low, high, *ends)]
        ),
    }
    for name in ("volume", "turnover"):
        if name in candles:
            rules[f"{name} below 0 or none"] = ~(candles[name] >= 0)
    found = []
    for words, mask in rules.items():
        found += series.found_at(WRONG, "impossible", np.flatnonzero(mask), words)
    return found


def stale(series: SeriesRows) -> list[CatalogFinding]:
    """Find at least 2 hours and 3 candles without a price move or volume (marks have no volume)."""
    candles = series.columns
    close = candles["close"]
    still = (candles["high"] == candles["low"]) & (candles["open"] == close)
    still[1:] &= close[1:] == close[:-1]
    if "volume" in candles:
        still &= candles["volume"] == 0
    edges = np.diff(np.concatenate(([0], still.astype(np.int8), [0])))
    starts, stops = np.flatnonzero(edges == 1), np.flatnonzero(edges == -1)
    least = max(STALE_CANDLES, STALE_NS // STORED[series.interval])
    found = []
    for start, stop in zip(starts.tolist(), stops.tolist(), strict=True):
        if stop - start >= least:
            words = f"no move in {stop - start} candles"
            found += series.found_at(WRONG, "stale", np.arange(start, stop), words)
    return found


def unfinished(series: SeriesRows) -> list[CatalogFinding]:
    """Find a last candle that closes after its import, or whose volume looks incomplete."""
    last = int(series.ts[-1])
    if last > series.imported_ns:
        words = "the last candle was not over yet when it was imported"
        return [series.found(WRONG, "unfinished", 1, last, last, words)]
    volume = series.columns.get("volume")
    if volume is None or len(volume) <= NEIGHBOURS:
        return []
    usual = float(np.median(volume[-NEIGHBOURS - 1 : -1]))
    if volume[-1] >= UNFINISHED_SHARE * usual:
        return []
    words = f"the last candle has under {UNFINISHED_SHARE:.0%} of the usual volume: cut short?"
    return [series.found(INFO, "unfinished", 1, last, last, words)]


def jumps(series: SeriesRows) -> list[CatalogFinding]:
    """Find prices that jump threefold, and highs and lows threefold beyond both neighbours."""
    high, low, close = (series.columns[name] for name in ("high", "low", "close"))
    if len(close) < 2 or not all((prices > 0).all() for prices in (high, low, close)):
        return []  # `impossible` finds prices that are not above 0.
    before, after = np.r_[close[0], close[:-1]], np.r_[close[1:], close[-1]]
    opens = series.columns["open"]
    step = np.maximum(np.maximum(close, opens) / before, before / np.minimum(close, opens))
    jumped = step >= JUMP
    words = f"jumps to {JUMP:g} times the price before, or to a third: another unit or contract?"
    found = series.found_at(INFO, "jump", np.flatnonzero(jumped), words)
    spiked = (high >= JUMP * np.maximum(before, after)) | (low * JUMP <= np.minimum(before, after))
    words = f"highs or lows {JUMP:g} times beyond the closes beside them"
    return found + series.found_at(INFO, "spike", np.flatnonzero(spiked & ~jumped), words)


def off_marks(marks: SeriesRows, last: SeriesRows) -> list[CatalogFinding]:
    """Find mark prices far from the last prices of the same moment."""
    _, rows, others = np.intersect1d(marks.ts, last.ts, return_indices=True)
    closes, prices = marks.columns["close"][rows], last.columns["close"][others]
    off = rows[np.abs(closes - prices) > LARGEST_MARK_GAP * prices]
    words = f"mark prices over {LARGEST_MARK_GAP:.0%} off the last price: another unit or contract?"
    return marks.found_at(WRONG, "off_mark", off, words)


def off_tick(series: SeriesRows) -> list[CatalogFinding]:
    """Find prices with more decimals than the instrument has: the engine sees them rounded."""
    decimals = series.decimals
    mask = np.zeros(len(series.ts), dtype=bool)
    for name in ("open", "high", "low", "close"):
        prices = series.columns[name]
        mask |= np.abs(np.round(prices, decimals) - prices) > 1e-12 * prices
    words = f"prices with more than {decimals} decimals; the engine sees them rounded"
    return series.found_at(INFO, "off_tick", np.flatnonzero(mask), words)


def rates(series: SeriesRows) -> list[CatalogFinding]:
    """Find absurd funding rates, and rates that look like percent."""
    sizes = np.abs(series.columns["rate"])
    absurd = np.flatnonzero(~(sizes <= LARGEST_RATE))
    words = f"rates beyond {LARGEST_RATE:.0%} a settlement"
    found = series.found_at(WRONG, "impossible", absurd, words)
    usual = float(np.median(sizes)) if len(sizes) else 0.0
    if usual > PERCENT_LIKE:
        words = f"half of the rates are beyond {usual:.1%} a settlement: percent, not fractions?"
        found += series.found_at(WRONG, "percent", np.flatnonzero(sizes >= usual), words)
    return found


def repeated(series: SeriesRows) -> list[CatalogFinding]:
    """Find rates that were filled forward: they change only every 4 or 8 hours.

    Wrong when there are enough changes; noted when there are few.
    """
    ts, rate = series.ts, series.columns["rate"]
    steps, changed = np.diff(ts), np.diff(rate) != 0
    for block in (8, 4):
        for hours in (1, 2, 4):
            pairs = np.flatnonzero(steps == hours * HOUR_NS)
            parts = block // hours
            if parts < 2 or len(pairs) < 2 * parts:
                continue
            changes = pairs[changed[pairs]] + 1
            if len(np.unique(ts[changes] % (block * HOUR_NS))) > 1:
                continue
            sure = parts ** max(0, len(changes) - 1) >= REPEATED_ODDS
            if not sure and hours > 1:
                continue
            words = (
                f"rates {hours} h apart that change every {block} h at most: rates of {block} h, "
                "repeated? each would be paid in full"
            )
            return series.found_at(WRONG if sure else INFO, "repeated", pairs, words)
    return []


def settlements(series: SeriesRows) -> list[CatalogFinding]:
    """Find missing settlements, jittered stamps and changed intervals."""
    ts = series.ts
    jitter = np.abs(series.columns["ts_source"] - ts)
    jittered = np.flatnonzero(jitter)
    largest = jitter.max() / 1e6 if len(jitter) else 0.0
    words = f"stamps up to {largest:g} ms off the minute; snapped, originals kept"
    found = series.found_at(INFO, "jitter", jittered, words)
    gaps = np.diff(ts)
    close = np.flatnonzero(gaps < SHORTEST_FUNDING_NS) + 1
    found += series.found_at(WRONG, "frequent", close, "settlements less than 1 h after another")
    for index in np.flatnonzero(gaps > LONGEST_FUNDING_NS):
        words = f"no settlement for {gaps[index] / HOUR_NS:g} h"
        found.append(series.found(WRONG, "gap", 1, ts[index], ts[index + 1], words))
    # One longer distance among shorter ones is a hole; a run of them is another interval.
    alone = (gaps[1:-1] > gaps[:-2]) & (gaps[1:-1] > gaps[2:])
    for index in np.flatnonzero(alone & (gaps[1:-1] <= LONGEST_FUNDING_NS)) + 1:
        words = f"{gaps[index] / HOUR_NS:g} h between settlements that are closer before and after"
        found.append(series.found(WRONG, "gap", 1, ts[index], ts[index + 1], words))
    lengths = sorted({int(gap) for gap in gaps[gaps <= LONGEST_FUNDING_NS]})
    if len(lengths) > 1:
        hours = ", ".join(f"{length / HOUR_NS:g}" for length in lengths)
        words = f"settlements {hours} h apart"
        found.append(series.found(INFO, "interval", len(ts), ts[0], ts[-1], words))
    return found
