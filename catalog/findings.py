"""What can be wrong with one series: pure checks over arrays, each giving `Finding`s."""

from __future__ import annotations

import msgspec
import numpy as np
from numpy.typing import NDArray

from config.durations import INTERVALS

WRONG, INFO = "wrong", "info"
HOUR_NS = 3_600_000_000_000
STALE_NS = 2 * HOUR_NS
STALE_CANDLES = 3
LONGEST_FUNDING_NS = 8 * HOUR_NS
LARGEST_RATE = 0.2
UNFINISHED_SHARE = 0.02
NEIGHBOURS = 20

Stamps = NDArray[np.int64]
Floats = NDArray[np.float64]


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One thing found in one series.

    Parameters
    ----------
    severity : str
        ``wrong`` fails the check, ``info`` is explained and does not.
    check : str
        Name of the check: gap, duplicate, impossible, stale, jitter …
    series, instrument : str
        Such as ``bars/1h`` and ``BTCUSDT-LINEAR.BYBIT``; the instrument is empty where the finding
        sums up many.
    count : int
        Rows concerned (missing ones for a gap).
    first, last : int
        Range of ts, UNIX nanoseconds (UTC); 0 where there is none.
    words : str
        What it is.
    """

    severity: str
    check: str
    series: str
    instrument: str
    count: int
    first: int
    last: int
    words: str


class Series(msgspec.Struct, frozen=True, kw_only=True):
    """Which series is looked at."""

    name: str
    instrument: str

    def found(
        self, severity: str, check: str, count: int, first: int, last: int, words: str
    ) -> Finding:
        """Make a finding about this series."""
        return Finding(
            severity=severity,
            check=check,
            series=self.name,
            instrument=self.instrument,
            count=int(count),
            first=int(first),
            last=int(last),
            words=words,
        )


def order(series: Series, ts: Stamps) -> list[Finding]:
    """Find stamps that come twice or run backwards."""
    bad = np.flatnonzero(np.diff(ts) <= 0)
    if not len(bad):
        return []
    words = "stamps that come twice or run backwards"
    return [series.found(WRONG, "duplicate", len(bad), ts[bad[0]], ts[bad[-1] + 1], words)]


def grid(series: Series, ts: Stamps, interval: str) -> list[Finding]:
    """Find candles that close off the interval's grid, and gaps of whole candles."""
    length = INTERVALS[interval]
    found = []
    off = np.flatnonzero(ts % length != 0)
    if len(off):
        words = f"closes that are no multiple of {interval}"
        found.append(series.found(WRONG, "off_grid", len(off), ts[off[0]], ts[off[-1]], words))
    gaps = np.diff(ts)
    for index in np.flatnonzero(gaps > length):
        missing = int(gaps[index] // length) - 1
        if missing:
            words = f"{missing} candle{'s' if missing > 1 else ''} missing"
            first, last = ts[index] + length, ts[index + 1] - length
            found.append(series.found(WRONG, "gap", missing, first, last, words))
    return found


def impossible(series: Series, ts: Stamps, candles: dict[str, Floats]) -> list[Finding]:
    """Find candles that cannot be: low above high, a price outside or not above 0, volume < 0."""
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
        rows = np.flatnonzero(mask)
        if len(rows):
            span = (ts[rows[0]], ts[rows[-1]])
            found.append(series.found(WRONG, "impossible", len(rows), *span, words))
    return found


def stale(series: Series, ts: Stamps, candles: dict[str, Floats], interval: str) -> list[Finding]:
    """Find stretches (2 hours and 3 candles at least) in which no price moved and nothing traded.

    Mark prices have no volume: there, not moving is enough.
    """
    close = candles["close"]
    still = (candles["high"] == candles["low"]) & (candles["open"] == close)
    still[1:] &= close[1:] == close[:-1]
    if "volume" in candles:
        still &= candles["volume"] == 0
    edges = np.diff(np.concatenate(([0], still.astype(np.int8), [0])))
    starts, stops = np.flatnonzero(edges == 1), np.flatnonzero(edges == -1)
    least = max(STALE_CANDLES, STALE_NS // INTERVALS[interval])
    found = []
    for start, stop in zip(starts.tolist(), stops.tolist(), strict=True):
        count = stop - start
        if count >= least:
            words = f"no move in {count} candles"
            found.append(series.found(WRONG, "stale", count, ts[start], ts[stop - 1], words))
    return found


def unfinished(
    series: Series, ts: Stamps, candles: dict[str, Floats], imported_ns: int
) -> list[Finding]:
    """Find a last candle that closes after its import, or that looks cut short by its volume."""
    last = int(ts[-1])
    if last > imported_ns:
        words = "the last candle was not over yet when it was imported"
        return [series.found(WRONG, "unfinished", 1, last, last, words)]
    volume = candles.get("volume")
    if volume is None or len(volume) <= NEIGHBOURS:
        return []
    usual = float(np.median(volume[-NEIGHBOURS - 1 : -1]))
    if volume[-1] >= UNFINISHED_SHARE * usual:
        return []
    words = f"the last candle has under {UNFINISHED_SHARE:.0%} of the usual volume: cut short?"
    return [series.found(INFO, "unfinished", 1, last, last, words)]


def off_tick(
    series: Series, ts: Stamps, candles: dict[str, Floats], decimals: int
) -> list[Finding]:
    """Find prices with more decimals than the instrument has: the engine sees them rounded."""
    mask = np.zeros(len(ts), dtype=bool)
    for name in ("open", "high", "low", "close"):
        mask |= np.abs(np.round(candles[name], decimals) - candles[name]) > 1e-12 * candles[name]
    rows = np.flatnonzero(mask)
    if not len(rows):
        return []
    words = f"prices with more than {decimals} decimals; the engine sees them rounded"
    return [series.found(INFO, "off_tick", len(rows), ts[rows[0]], ts[rows[-1]], words)]


def settlements(series: Series, ts: Stamps, source: Stamps, rate: Floats) -> list[Finding]:
    """Find missing settlements and absurd rates; tell of jittered stamps and changed intervals."""
    found = []
    jitter = np.abs(source - ts)
    jittered = np.flatnonzero(jitter)
    if len(jittered):
        words = f"stamps up to {jitter.max() / 1e6:g} ms off the minute; snapped, originals kept"
        span = (ts[jittered[0]], ts[jittered[-1]])
        found.append(series.found(INFO, "jitter", len(jittered), *span, words))
    absurd = np.flatnonzero(~(np.abs(rate) <= LARGEST_RATE))
    if len(absurd):
        words = f"rates beyond {LARGEST_RATE:.0%} a settlement"
        span = (ts[absurd[0]], ts[absurd[-1]])
        found.append(series.found(WRONG, "impossible", len(absurd), *span, words))
    gaps = np.diff(ts)
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
