"""Put rows of ticks in order: times that go back, numbers without ids, repeats, missing ids."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from catalog.providers.ticks import MS, Batch, Rows
from config.durations import SECOND_NS
from config.errors import InputError

JITTER_NS = 100 * MS
"""The clocks of an exchange's machines differ by milliseconds: within so much a file's order is the
better one. A row that is further back is in the wrong place."""
BOOK_LAG_NS = 10 * SECOND_NS
"""A book that was asked for may have the time of the answer, its next changes an older one.
A row may be so much older than the end of the part of a file before, which can be anywhere."""


class RunningNumbers:
    """Numbers the rows of each instrument within their time, for sources without an id.

    The number starts again with each time, so that it is the same in every file with the row. A
    file that goes from new to old, as `direction` sees, counts down. A row that goes against the
    file's direction by up to `JITTER_NS` takes the time of the one before; with a longer step the
    rows of its part are sorted by their time, and those that come again are left out.
    """

    def __init__(self, where: str, what: str) -> None:
        self._where, self._what = where, what
        self._carried, self._sorted = _StepsBack(), _StepsBack()
        self._again = 0
        self._sign = 0
        self._places: dict[str, tuple[int, int]] = {}

    def direction(self, ts: Rows, rows_of: Mapping[str, Rows]) -> int:
        """Return 1, or -1 where most steps of the file's first part that has any go back."""
        if rows_of and not self._sign:
            moved = sum(int(np.sign(np.diff(ts[rows])).sum()) for rows in rows_of.values())
            self._sign = -1 if moved < 0 else 1
        return self._sign or 1

    def number(self, instrument: str, ts: Rows, lines: Rows) -> list[Rows]:
        """Return the times and numbers of an instrument's next messages, which keep their order.

        Raises InputError with the line where one goes back by more than `BOOK_LAG_NS`.
        """
        own = ts * (self._sign or 1)
        latest, steps = self._latest(instrument, own, BOOK_LAG_NS)
        self._refuse(steps, steps > BOOK_LAG_NS, lines, "messages of a book can't be sorted")
        self._carried.add(steps, steps > 0, lines)
        return self._numbers(instrument, latest)

    def sort(
        self, instrument: str, ts: Rows, lines: Rows, values: Sequence[NDArray]
    ) -> tuple[Rows, list[Rows]]:
        """Return the places of an instrument's next rows in order, and their times and numbers.

        After a long step back, rows that come again with the same ``values``, if any are given, are
        left out. A row of the time of the part before takes the time of its end; raises InputError
        with the line of one that is further back than `BOOK_LAG_NS`.
        """
        own = ts * (self._sign or 1)
        latest, steps = self._latest(instrument, own, JITTER_NS)
        far = steps > JITTER_NS
        self._carried.add(steps, (steps > 0) & ~far, lines)
        places = np.arange(len(ts))
        ended, _ = self._places.get(instrument, (int(own.min()), 0))
        if far.any():
            words = "the part of the file before is read already"
            self._refuse(steps, ended - latest > BOOK_LAG_NS, lines, words)
            self._carried.add(steps, far & (latest < ended), lines)
            self._sorted.add(steps, far & (latest >= ended), lines)
            places = np.argsort(latest, kind="stable")
            if values:
                again = _again(latest, values, np.cumsum(far))
                self._again += int(again.sum())
                places = places[~again[places]]
        return places, self._numbers(instrument, np.maximum(latest[places], ended))

    def _latest(self, instrument: str, ts: Rows, most: int) -> tuple[Rows, Rows]:
        """Return the latest time up to each row, which a longer step back sets, and the steps."""
        latest = begun = self._places.get(instrument, (int(ts[0]), 0))[0]
        found = np.maximum(np.maximum.accumulate(ts), begun)
        if (found - ts > most).any():
            for row, own in enumerate(ts.tolist()):
                latest = own if own > latest or latest - own > most else latest
                found[row] = latest
        return found, np.maximum(np.append(begun, found[:-1]) - ts, 0)

    def _refuse(self, steps: Rows, wrong: NDArray[np.bool_], lines: Rows, why: str) -> None:
        if wrong.any():
            row = int(np.argmax(wrong))
            raise InputError(
                f"{self._where}: line {lines[row]}: the time goes back by {_seconds(steps[row])}, "
                f"and {why}: sort the file by its time, and leave out rows whose time is wrong"
            )

    def _numbers(self, instrument: str, ts: Rows) -> list[Rows]:
        last, after = self._places.get(instrument, (None, 0))
        begins = np.diff(ts, prepend=ts[0] if last is None else last) > 0
        places = np.arange(len(ts))
        began = np.maximum.accumulate(np.where(begins, places, -1))
        numbers = np.where(began < 0, places + after, places - began)
        self._places[instrument] = (int(ts[-1]), int(numbers[-1]) + 1)
        sign = self._sign or 1
        return [ts * sign, numbers * sign]

    def warnings(self) -> list[str]:
        """Say which rows go back in time, by how much, and what became of them."""
        words = [
            f"{back.count:,} {self._what} {what} (first at line {back.line}, by up to "
            f"{_seconds(back.longest)})"
            for back, what in (
                (self._carried, "whose time goes back take that of the one before"),
                (self._sorted, "far behind the one before: sorted by time"),
            )
            if back.count
        ]
        if self._again:
            words.append(f"{self._again:,} {self._what} that come again left out")
        return [f"{self._where}: {text}" for text in words]


class _StepsBack:
    """Rows that go back in time: their count, the line of the first, the longest step."""

    def __init__(self) -> None:
        self.count = self.line = self.longest = 0

    def add(self, steps: Rows, rows: NDArray[np.bool_], lines: Rows) -> None:
        if rows.any():
            self.count += int(rows.sum())
            self.line = self.line or int(lines[np.argmax(rows)])
            self.longest = max(self.longest, int(steps[rows].max()))


def _seconds(ns: int) -> str:
    return f"{ns / SECOND_NS:,.6f}".rstrip("0").rstrip(".") + " s"


def _again(ts: Rows, values: Sequence[NDArray], run: Rows) -> NDArray[np.bool_]:
    """Return which rows are the same as one of an earlier run; within a run rows may repeat."""
    import pandas as pd

    columns = pd.DataFrame(dict(enumerate([ts, *values])))
    first = pd.Series(run).groupby([columns[name] for name in columns]).transform("min")
    return np.asarray(first) < run


class Repeats:
    """Finds rows with an id that are in a file twice: in one part, or across the end of one."""

    def __init__(self, where: str, what: str, name: str | None) -> None:
        self._where, self._what, self._name = where, what, name
        self._tail: pa.Table | None = None
        self.count = 0

    def fresh(self, batch: Batch) -> NDArray[np.bool_]:
        """Return which rows differ in any column from all before them, or have no id."""
        if self._name is None:
            return np.ones(batch.table.num_rows, np.bool_)
        import pandas as pd

        tail = batch.table.schema.empty_table() if self._tail is None else self._tail
        table = pa.concat_tables([tail, batch.table])
        values = pd.DataFrame(
            {
                name: column.combine_chunks().dictionary_encode().indices.to_numpy()
                if column.type == pa.string()
                else column.to_numpy()
                for name, column in zip(table.column_names, table.columns, strict=True)
                if name != self._name
            }
        )
        # Few are alike without their ids, which are long.
        alike = np.flatnonzero(values.duplicated(keep=False))
        ids = table.column(self._name).take(pa.array(alike)).to_pandas()
        named = values.iloc[alike].assign(id=ids.to_numpy())
        again = np.zeros(table.num_rows, np.bool_)
        again[alike] = named.duplicated() & (named["id"] != "")
        again = again[tail.num_rows :]
        # A slice would keep the whole part in memory.
        last = np.arange(max(0, table.num_rows - REPEATS_APART), table.num_rows)
        self._tail = table.take(pa.array(last))
        self.count += int(again.sum())
        return ~again

    def warnings(self) -> list[str]:
        """Say how many rows come again."""
        words = f"{self.count:,} {self._what} that come again, with the same {self._name}, left out"
        return [f"{self._where}: {words}"] * (self.count > 0)


REPEATS_APART = 10_000
"""Rows of the part before that a row may repeat."""


class MissingIds:
    """Counts the trades that are not there, of sources whose ids are consecutive by definition."""

    def __init__(self, where: str) -> None:
        self._where = where
        self._last: dict[str, int] = {}
        self._found: dict[str, list[int]] = {}

    def add(self, instrument: str, ids: Rows, lines: Rows) -> None:
        """See the ids of an instrument's next rows."""
        known, rows = np.unique(ids, return_index=True)
        last = self._last.get(instrument, int(known[0]) - 1)
        steps = np.diff(known, prepend=last)
        for place in np.flatnonzero(steps > 1):
            self._last[instrument] = int(known[place] - steps[place])
            self.see(instrument, int(known[place]), int(lines[rows[place]]))
        self._last[instrument] = max(last, int(known[-1]))

    def see(self, instrument: str, number: int, line: int) -> None:
        """See one id."""
        last = self._last.get(instrument, number - 1)
        self._last[instrument] = max(last, number)
        if number > last + 1:
            found = self._found.setdefault(instrument, [0, last + 1, number - 1, line])
            found[0] += number - last - 1

    def warnings(self) -> list[str]:
        """Say how many are missing of each instrument, and the first of them."""
        return [
            f"{self._where}: {count:,} trades of {instrument} are missing by their ids (first "
            f"before line {line}: {first} to {last})"
            for instrument, (count, first, last, line) in self._found.items()
        ]
