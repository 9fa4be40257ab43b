"""Checks of ticks, slice by slice: crossed books, lost messages, silence, trades off the book."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from types import MappingProxyType
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from catalog.findings import INFO, WRONG, CatalogFinding, SeriesRows, Stamps
from catalog.inference import NOISE, TICK_AMOUNTS
from catalog.instruments import InstrumentInfo
from catalog.recordings import TICKS, Hole
from catalog.series import AFTER_LOSS, SNAPSHOT
from catalog.storage.manifest import SeriesKey
from catalog.tops import StoredBook, Tops
from config.durations import DAY_NS, MINUTE_NS, SECOND_NS

SILENT_NS = MINUTE_NS
SILENT_TIMES = 50
"""A silence lasts a minute and so many times the usual distance of messages, or longer."""
CONSECUTIVE_SHARE = 0.9
"""A book's ids are consecutive where so many steps from one message to the next are 1. Those of
other kinds may have gaps by the exchanges' own word: Bybit's `seq` and `cs` count all symbols."""
FEW = 20
"""With fewer messages in a slice, the ids are judged as in the slice before."""
OUTSIDE = 0.001
"""Trades a thousandth beyond the book of the seconds around them are outside; a large order that
eats through levels, or a clock that differs by some milliseconds, is not."""
MANY_OUTSIDE = 0.01


def check_ticks(
    keys: Iterable[SeriesKey],
    read: Callable[[SeriesKey], Iterator[pa.Table]],
    facts: dict[str, InstrumentInfo],
    holes: Mapping[str, Sequence[Hole]] = MappingProxyType({}),
    numbered: Collection[str] = (),
) -> list[CatalogFinding]:
    """Check days of ticks; ``read`` gives a day's rows in slices of whole messages.

    ``holes`` of recordings, by instrument, say why it was silent. The ids of trades of instruments
    in ``numbered`` are consecutive by their venue's word.
    """
    found: list[CatalogFinding] = []
    days = sorted(keys, key=lambda key: (key.instrument, key.day, TICKS.index(key.kind)))
    for instrument, own in groupby(days, lambda key: key.instrument):
        info, noted = facts.get(instrument), holes.get(instrument, ())
        of_trades = {"trades"} if instrument in numbered else set()
        checks = {
            kind: TickChecks(kind, instrument, info, noted, kind in {"book", *of_trades})
            for kind in TICKS
        }
        for _, kinds in groupby(own, lambda key: key.day):
            tops: SecondTops | None = None
            for key in kinds:
                seconds = SecondTops()
                for rows in read(key):
                    checks[key.kind].add(rows, seconds, tops)
                if key.kind in ("book", "quotes"):
                    tops = tops or seconds
        for check in checks.values():
            found += check.found()
    return found


class SecondTops:
    """Lowest bid and highest ask in each second of one UTC day; NaN where not known."""

    def __init__(self) -> None:
        self._low, self._high = np.full((2, DAY_NS // SECOND_NS), np.nan)

    def add(self, tops: Tops) -> None:
        """Add messages of the day, in order."""
        seconds = tops.ts % DAY_NS // SECOND_NS
        begins = np.flatnonzero(np.r_[True, np.diff(seconds) != 0])
        own = seconds[begins]
        self._low[own] = np.fmin(self._low[own], np.fmin.reduceat(tops.bid, begins))
        self._high[own] = np.fmax(self._high[own], np.fmax.reduceat(tops.ask, begins))

    def around(self, ts: Stamps) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return the lowest bid and the highest ask in the second of a stamp, or beside it."""
        seconds = ts % DAY_NS // SECOND_NS
        near = [np.clip(seconds + step, 0, len(self._low) - 1) for step in (-1, 0, 1)]
        return (
            np.fmin.reduce([self._low[n] for n in near]),
            np.fmax.reduce([self._high[n] for n in near]),
        )


class TickChecks:
    """Checks of one series, which sees its rows slice by slice; `found` sums them up."""

    def __init__(
        self,
        kind: str,
        instrument: str,
        info: InstrumentInfo | None,
        holes: Sequence[Hole],
        numbered: bool,
    ) -> None:
        self._kind = kind
        self._holes, self._numbered = holes, numbered
        self._instrument = instrument
        self._info = info
        self._book = StoredBook()
        self._before: tuple[int, int] | None = None
        self._consecutive = False
        self._silences: list[CatalogFinding] = []
        self._compared = self._outside = 0
        self._found: dict[tuple[str, str, str], CatalogFinding] = {}

    def add(self, rows: pa.Table, seconds: SecondTops, book: SecondTops | None) -> None:
        """Check the next rows; tops of a book or of quotes go into ``seconds``."""
        columns = {name: rows.column(name).to_numpy() for name in rows.column_names}
        series = self._series(columns.pop("ts"), columns)
        self._keep(series, WRONG, "impossible", self._bad(series), "rows with a bad price or size")
        self._off_tick(series)
        begins = np.r_[True, (np.diff(series.ts) != 0) | (np.diff(columns["seq"]) != 0)]
        self._ids(series, np.flatnonzero(begins))
        unknown = np.zeros(0, dtype=bool)
        if self._kind == "book":
            known, tops = self._book.known, self._book.replay(rows)
            unknown = np.isnan(tops.bid) & np.isnan(tops.ask) & (not known)
        elif self._kind == "quotes":
            tops = Tops(series.ts, columns["bid"], columns["ask"])
        else:
            self._off_book(series, book)
            return
        seconds.add(tops)
        messages = self._series(tops.ts)
        early = "messages before the first snapshot: the book is not known"
        self._keep(messages, WRONG, "no_snapshot", unknown, early)
        words = "messages after which the best bid is not below the best ask"
        self._keep(messages, WRONG, "crossed", tops.bid >= tops.ask, words)

    def found(self) -> list[CatalogFinding]:
        """Return the findings of all rows so far."""
        if self._outside:
            severity = WRONG if self._outside > MANY_OUTSIDE * self._compared else INFO
            key = next(key for key in self._found if key[1] == "outside")
            self._found[key] = msgspec.structs.replace(self._found[key], severity=severity)
        return [*self._found.values(), *self._silences]

    def _series(self, ts: Stamps, columns: dict[str, Any] | None = None) -> SeriesRows:
        name, instrument = self._kind, self._instrument
        return SeriesRows(name=name, instrument=instrument, ts=ts, columns=columns or {})

    def _keep(
        self, series: SeriesRows, severity: str, check: str, mask: NDArray[np.bool_], words: str
    ) -> None:
        for found in series.found_at(severity, check, np.flatnonzero(mask), words):
            before = self._found.setdefault((severity, check, words), found)
            if before is not found:
                self._found[severity, check, words] = msgspec.structs.replace(
                    before, count=before.count + found.count, last=found.last
                )

    def _bad(self, series: SeriesRows) -> NDArray[np.bool_]:
        columns, bad = series.columns, np.zeros(len(series.ts), dtype=bool)
        prices, sizes = TICK_AMOUNTS.get(self._kind, (("last", "mark", "index"), ()))
        for name in prices:
            bad |= columns[name] <= 0
        for name in sizes:
            bad |= columns[name] <= 0 if self._kind == "trades" else columns[name] < 0
        return bad

    def _off_tick(self, series: SeriesRows) -> None:
        if self._info is None or self._kind not in TICK_AMOUNTS:
            return
        precisions = (self._info.price_precision, self._info.size_precision)
        for what, names, decimals in zip(
            ("prices", "sizes"), TICK_AMOUNTS[self._kind], precisions, strict=True
        ):
            off = np.zeros(len(series.ts), dtype=bool)
            for values in (series.columns[name] for name in names):
                off |= np.abs(np.round(values, decimals) - values) > NOISE * values
            words = f"{what} with more than {decimals} decimals; the engine sees them rounded"
            self._keep(series, INFO, "off_tick", off, words)

    def _ids(self, series: SeriesRows, begins: NDArray[np.int64]) -> None:
        """Compare each message's time and id with those of the message before."""
        ts, seq = series.ts[begins], series.columns["seq"][begins]
        flags = series.columns["flags"][begins] if self._kind == "book" else np.zeros(len(ts), int)
        before = self._before or (ts[0], seq[0] - 1)
        waits, steps = np.diff(ts, prepend=before[0]), np.diff(seq, prepend=before[1])
        self._before = (int(ts[-1]), int(seq[-1]))
        messages = self._series(ts)
        lost = (flags & AFTER_LOSS) != 0
        self._keep(messages, WRONG, "lost", lost, "losses of messages that the source tells of")
        if self._numbered and len(ts) >= FEW:
            self._consecutive = bool((steps == 1).mean() >= CONSECUTIVE_SHARE)
        if self._consecutive and self._kind == "trades":
            words = "gaps in the ids of trades: they are missing, or were not of the book"
            self._keep(messages, INFO, "sequence", steps > 1, words)
        elif self._consecutive:
            whole = (flags & SNAPSHOT) != 0
            words = "gaps in the source's ids: messages are missing"
            self._keep(messages, WRONG, "sequence", (steps > 1) & ~whole, words)
            words = "gaps in the source's ids that end in a snapshot of the whole book"
            self._keep(messages, INFO, "sequence", (steps > 1) & whole, words)
            words = "messages whose time is not in the order of the source's ids"
            self._keep(messages, WRONG, "time_back", (steps < 0) & ~whole, words)
        usual = (waits.sum() - waits) / max(1, len(waits) - 1)
        silent = (waits >= SILENT_NS) & (waits > SILENT_TIMES * usual)
        for index in np.flatnonzero(silent):
            words = f"silence of {waits[index] / MINUTE_NS:.3g} min"
            last, first = int(ts[index]), int(ts[index] - waits[index])
            noted = (min(hole.ended, last) - max(hole.began, first) for hole in self._holes)
            if waits[index] - sum(max(0, length) for length in noted) < SILENT_NS:
                continue
            severity = INFO if self._kind == "trades" else WRONG
            self._silences.append(messages.found(severity, "silent", 1, first, last, words))

    def _off_book(self, series: SeriesRows, book: SecondTops | None) -> None:
        if book is None or self._kind != "trades":
            return
        low, high = book.around(series.ts)
        price = series.columns["price"]
        off = (price < low * (1 - OUTSIDE)) | (price > high * (1 + OUTSIDE))
        self._compared += int((~np.isnan(low) & ~np.isnan(high)).sum())
        self._outside += int(off.sum())
        words = f"trades over {OUTSIDE:.1%} outside the book: another market, or clocks apart?"
        self._keep(series, INFO, "outside", off, words)
