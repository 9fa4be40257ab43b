"""Helpers for readers of ticks (trades, quotes, books, tickers): stream files, gather rows."""

from __future__ import annotations

import gzip
import io
import zipfile
import zlib
from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import chain
from pathlib import Path
from typing import IO, Any, NamedTuple, cast

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.csv
from numpy.typing import NDArray

from catalog.providers.base import Import, ImportOptions
from catalog.providers.files import find, is_shadow, stamps_ns
from catalog.providers.symbols import PRODUCT_WORDS, hinted, resolve, symbol_in_name
from catalog.series import KINDS, SNAPSHOT
from catalog.storage.manifest import source_file
from config.durations import SECOND_NS
from config.errors import InputError

PART_ROWS = 1_000_000
BLOCK_BYTES = 1 << 26
"""A part of a CSV file, decoded at once."""
MS, US = 10**6, 10**3
EARLIEST_NS, LATEST_NS = 1_262_304_000 * SECOND_NS, 4 * 10**18
"""2010 and 2096: other times of a stream are in another unit than its venue's."""
FORMATS = {
    ".csv": "tardis_csv, trade_archives, csv_quotes or ohlcv_table",
    ".data": "bybit_stream",
    ".jsonl": "bybit_stream or binance_stream",
}
"""Formats that read what a .zip holds."""
_DAMAGED = (EOFError, zlib.error, zipfile.BadZipFile, gzip.BadGzipFile)

Rows = NDArray[np.int64]
Levels = Sequence[tuple[float, float]]
"""Price and size of each level; size 0 removes it."""


class Source(NamedTuple):
    """One text of a file: its place in errors, its own path for hints in names, its bytes."""

    where: str
    path: Path
    stream: io.BufferedReader


def sources(path: Path, suffixes: tuple[str, ...]) -> Iterator[Source]:
    """Open a file, unpacked: plain, .gz, or what a .zip holds with one of the suffixes.

    Raises AnotherKind when a .zip holds none of them.
    """
    try:
        if path.suffix != ".zip":
            with _open(path) as stream:
                yield _source(str(path), path, stream)
            return
        with zipfile.ZipFile(path) as archive:
            names = [name for name in archive.namelist() if not is_shadow(name)]
            fit = [name for name in names if name.endswith(suffixes)]
            if not fit:
                held = ", ".join(names[:3]) + (" …" if len(names) > 3 else "")
                ends = {Path(name).suffix for name in names}
                right = " or ".join(words for end, words in FORMATS.items() if end in ends)
                raise AnotherKind(
                    f"{path}: no {' or '.join(suffixes)} in it but {held or 'nothing'}"
                    + (f": import it as {right}" if right else "")
                )
            for name in fit:
                with archive.open(name) as stream:
                    inner = path.parent / Path(name).name
                    yield _source(f"{path}:{name}", inner, stream)
    except _DAMAGED as error:
        raise InputError(f"{path}: the archive is damaged or cut short: {error}") from error


class AnotherKind(InputError):
    """The file is not of this format, or of instruments that the catalog doesn't keep."""


def each(
    paths: Sequence[Path],
    suffixes: tuple[str, ...],
    read_one: Callable[[Path, Source], Iterator[Import]],
) -> Iterator[Import]:
    """Read each text; those of a folder that are of another kind are left out with a warning.

    So is a file that has the same content as one before. Raises InputError when none is left.
    """
    left_out: list[str] = []
    last: Import | None = None
    packed = (*suffixes, *(f"{suffix}.gz" for suffix in suffixes), ".zip")
    files = find(paths, packed)
    sizes = Counter(path.stat().st_size for path in files)
    by_hash: dict[str, Path] = {}
    for path in files:
        if sizes[path.stat().st_size] > 1:
            digest = source_file(path).sha256
            if digest in by_hash:
                left_out.append(f"{path}: the same as {by_hash[digest]}")
                continue
            by_hash[digest] = path
        opened: Iterator[Source] = sources(path, suffixes)
        while True:
            begun = False
            try:
                if (source := next(opened, None)) is None:
                    break
                for last in read_one(path, source):
                    begun = True
                    yield last
            except AnotherKind as error:
                if begun or path in paths:
                    raise
                left_out.append(str(error))
    if last is None:
        raise InputError("\n".join(left_out))
    if left_out:
        yield replace(
            last,
            instruments=[],
            tables={},
            files=[],
            warnings=[f"{words}; left out" for words in left_out],
        )


def _open(path: Path) -> IO[bytes]:
    return cast(IO[bytes], gzip.open(path)) if path.suffix == ".gz" else path.open("rb")


def _source(where: str, path: Path, stream: Any) -> Source:
    return Source(where, path, io.BufferedReader(_Unpacked(where, stream), 1 << 20))


class _Unpacked(io.RawIOBase):
    """Bytes of a file; raises InputError where its archive is damaged or ends too early."""

    def __init__(self, where: str, stream: Any) -> None:
        self._where, self._stream, self._lines = where, stream, 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        try:
            found: bytes = self._stream.read1(len(buffer))
        except _DAMAGED as error:
            raise InputError(
                f"{self._where}: the archive is damaged or cut short after line {self._lines} "
                f"({error}); fetch it again"
            ) from error
        self._lines += found.count(b"\n")
        buffer[: len(found)] = found
        return len(found)


def product_hint(path: Path, source: Source) -> str | None:
    """Return the product that the names of a text, of its archive or of a folder say."""
    return hinted(source.path, PRODUCT_WORDS) or hinted(path, PRODUCT_WORDS)


def lines(source: Source) -> Iterator[tuple[int, bytes]]:
    """Read the lines with their numbers, without empty ones."""
    for number, line in enumerate(source.stream, start=1):
        if not line.isspace():
            yield number, line


def _stamped(line: bytes) -> tuple[int, bytes]:
    """Split a line's receive time off, in any UNIX unit; 0 without one. Raises ValueError."""
    if not line[:1].isdigit():
        return 0, line
    stamp, _, rest = line.partition(b" ")
    return int(stamp) * 10 ** (19 - len(stamp)), rest


def _cut_short(error: Exception, line: bytes) -> bool:
    """Whether a line is not whole because its recording ended there."""
    whole = isinstance(error, msgspec.ValidationError) or line.endswith(b"\n")
    return isinstance(error, msgspec.DecodeError) and not whole


class Symbols:
    """Instrument ids of a file's symbols; ``assumed`` are those of an unknown product."""

    def __init__(self, options: ImportOptions, hint: str | None) -> None:
        self.assumed: list[str] = []
        self._options, self._hint = options, hint
        self._ids: dict[str, str] = {}

    def id(self, symbol: str) -> str:
        """Return the instrument's id, empty if --symbols leaves it out; raise ValueError."""
        if symbol not in self._ids:
            self._ids[symbol] = ""
            try:
                found, assumed = resolve(symbol, self._options.product, self._hint)
            except ValueError:
                if self._options.wants(symbol):
                    raise
                return ""
            if self._options.wants(symbol, found):
                self._ids[symbol] = found
                self.assumed += [found] * assumed
        return self._ids[symbol]

    def rows(self, batch: Batch, column: str | None, source: Source) -> dict[str, Rows]:
        """Return the rows of each instrument, by a column of symbols, else by the file's name.

        Raises InputError with the line; AnotherKind when the catalog keeps none of them.
        """
        if column is not None:
            rows_of = rows_by_text(batch.table.column(column))
        else:
            try:
                rows_of = {symbol_in_name(source.path.name): np.arange(batch.table.num_rows)}
            except ValueError as error:
                raise InputError(f"{source.where}: {error}") from error
        found, refused = {}, ""
        for text, rows in rows_of.items():
            try:
                if instrument := self.id(text):
                    found[instrument] = rows
            except ValueError as error:
                refused = refused or batch.place(int(rows[0]), str(error))
        if refused:
            raise InputError(refused) if found else AnotherKind(refused)
        return found


class _Series:
    """Rows of one series; a message of many rows is kept as one."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.keys = array("q")
        self.values = array("d")
        self.last = (0, -(2**62))
        self.resumed = False
        """Whether the last row is of the file before."""

    def table(self, where: str) -> pa.Table:
        width = 6 if self.kind == "book" else 4
        ts, seq, recv, line, *more = np.array(self.keys).reshape(-1, width).T
        names = KINDS[self.kind].given.names[3:]
        counted = np.ones(len(ts), np.int64)
        if self.kind == "book":
            flags, bids = more
            pairs = np.array(self.values).reshape(-1, 2)
            counted, flags = flags >> 2, flags & 3
            within = np.arange(len(pairs)) - np.repeat(np.cumsum(counted) - counted, counted)
            side = np.where(within < np.repeat(bids, counted), 1, -1)
            columns = [np.repeat(flags, counted), side, *pairs.T]
        else:
            columns = list(np.array(self.values).reshape(-1, len(names)).T)
        found = dict(zip(names, columns, strict=True))
        for name in (n for n in PRICES_AND_SIZES if n in found):
            wrong = _impossible(name, found[name])
            if wrong.any():
                row = int(np.argmax(wrong))
                number = np.repeat(line, counted)[row]
                raise InputError(f"{where}: line {number}: {name} {found[name][row]:.15g}")
        keys = [np.repeat(column, counted) for column in (ts, seq, recv)]
        return tick_table(self.kind, [*keys, *columns])


PRICES_AND_SIZES = ("price", "size", "bid", "ask", "bid_size", "ask_size")


def _impossible(name: str, values: NDArray[np.float64]) -> NDArray[np.bool_]:
    above = values >= 0 if "size" in name else values > 0
    return ~(above & np.isfinite(values))


def tick_table(kind: str, columns: Sequence[Any]) -> pa.Table:
    """Make a table of a kind from columns in its schema's order."""
    schema = KINDS[kind].given
    typed = [pa.array(c).cast(f.type) for c, f in zip(columns, schema, strict=True)]
    return pa.table(typed, schema=schema)


class TickParts:
    """Gathers messages and hands them on as parts of about a million rows, none split."""

    def __init__(self, source: str, venue: str, options: ImportOptions) -> None:
        self._part = partial(options.part, source, venue)
        self._series: dict[tuple[str, str], _Series] = {}
        self._ready: list[tuple[str, str, pa.Table]] = []
        self._rows = 0
        self.where, self.line = "", 0
        """Place of the message that is added next."""
        self.notes: dict[str, list[int]] = {}
        """What was left out or put right: how often, and the line of the first."""
        self._held_flags: dict[str, int] = {}
        """By instrument: those of book messages without levels, which have no row to stand in."""

    def note(self, words: str) -> None:
        """Count something to warn of at the end of the file."""
        self.notes.setdefault(words, [0, self.line])[0] += 1

    def row(
        self, kind: str, instrument: str, key: tuple[int, int], recv: int, values: Iterable[float]
    ) -> None:
        """Add one row of another kind than book; ``key`` is its time and sequence.

        ``recv`` is the time of receipt, 0 where unknown.
        """
        series = self._begin(kind, instrument, key)
        series.keys.extend((*key, recv or key[0], self.line))
        series.values.extend(values)
        self._rows += 1

    def book(
        self,
        instrument: str,
        key: tuple[int, int],
        recv: int,
        flags: int,
        bids: Levels,
        asks: Levels,
    ) -> None:
        """Add one message of a book; one that is before the last takes the last's time.

        A whole book keeps its own time where a file, or a copy within one, begins earlier than what
        was read before: they merge. After a restart of the source ids begin at 1.
        """
        flags |= self._held_flags.pop(instrument, 0)
        count = len(bids) + len(asks)
        if not count:
            self._held_flags[instrument] = flags
            return
        series = self._series.get(("book", instrument))
        ts, seq = series.last if series is not None else (0, -(2**62))
        overlaps = series is not None and (series.resumed or 1 < key[1] < seq)
        if key <= (ts, seq) and not (overlaps and flags & SNAPSHOT and key[0] < ts):
            if key[0] < ts:
                self.note("book messages whose time goes back take that of the one before")
            key = (ts + (key[1] <= seq), key[1])
        series = self._begin("book", instrument, key)
        series.keys.extend((*key, recv or key[0], self.line, count << 2 | flags, len(bids)))
        series.values.extend(chain.from_iterable(bids))
        series.values.extend(chain.from_iterable(asks))
        self._rows += count

    def _begin(self, kind: str, instrument: str, key: tuple[int, int]) -> _Series:
        if not EARLIEST_NS <= key[0] <= LATEST_NS:
            raise ValueError(
                f"the time {key[0] / MS:.0f} is no UNIX time in milliseconds of 2010 to 2096"
            )
        series = self._series.get((kind, instrument))
        if series is None:
            series = self._series[kind, instrument] = _Series(kind)
        # All rows of one key must be in one part: a later part replaces those of an earlier one.
        if self._rows >= PART_ROWS and key != series.last and series.keys:
            self._ready.append((kind, instrument, series.table(self.where)))
            self._rows -= self._ready[-1][2].num_rows
            self._series[kind, instrument] = series = _Series(kind)
        series.last, series.resumed = key, False
        return series

    def ready(self, path: Path) -> Iterator[Import]:
        """Hand on the parts that are full."""
        while self._ready:
            kind, instrument, table = self._ready.pop(0)
            yield self._part(path, tables={(kind, "", instrument): table})

    def rest(self, path: Path, symbols: Symbols, more: Iterable[str] = ()) -> Iterator[Import]:
        """Hand on the rest of a file, with what to warn of."""
        yield from self.ready(path)
        warnings = [
            f"{self.where}: {count:,} {words} (first at line {line})"
            for words, (count, line) in self.notes.items()
        ]
        warnings += more
        self.notes.clear()
        tables = {
            (kind, "", instrument): series.table(self.where)
            for (kind, instrument), series in self._series.items()
            if series.keys
        }
        for key, series in self._series.items():
            fresh = self._series[key] = _Series(key[0])
            fresh.last, fresh.resumed = series.last, True
        self._rows = 0
        yield self._part(path, tables=tables, warnings=warnings, assumed=[*symbols.assumed])


class StreamReader:
    """Reads recordings of a venue's messages, one a line; books go on from file to file."""

    def __init__(self, options: ImportOptions, source: str, venue: str) -> None:
        self._options = options
        self._rows = TickParts(source, venue, options)
        self._known = False
        """Whether the file has a message that is kept."""

    def _message(self, received: int, text: bytes) -> None:
        """Add a message; raise ValueError or what msgspec raises where it is none."""
        raise NotImplementedError

    def _messages(self, path: Path, source: Source, who: str, kept: str) -> Iterator[Import]:
        """Add a file's messages, and hand on the parts that are full."""
        rows, self._known = self._rows, False
        rows.where = source.where
        for rows.line, line in lines(source):
            try:
                self._message(*_stamped(line))
            except (msgspec.MsgspecError, ValueError) as error:
                if _cut_short(error, line):
                    rows.note("line cut short; left out")
                    break
                kind = InputError if self._known else AnotherKind
                place = f"{source.where}: line {rows.line}"
                raise kind(f"{place}: not what {who} sends: {error}") from error
            yield from rows.ready(path)
        if not self._known:
            rows.notes.clear()
            raise AnotherKind(f"{source.where}: no {kept} of {who}")


class Batch(NamedTuple):
    """Rows of a CSV file, and the line of the first."""

    table: pa.Table
    line: int
    where: str

    def floats(self, name: str, empty: bool = False) -> NDArray[np.float64]:
        """Return a column of prices or sizes; raise InputError with the line of a wrong one."""
        column = self.table.column(name)
        found = column.to_numpy() if not column.null_count else column.fill_null(np.nan).to_numpy()
        wrong = _impossible("size" if any(w in name for w in SIZES) else "price", found)
        if empty:
            wrong &= ~np.isnan(found)
        if wrong.any():
            raise self.error(int(np.argmax(wrong)), f"{name} {found[wrong][0]:.15g}")
        return found

    def choices(self, name: str, codes: Mapping[str, int]) -> NDArray[np.int8]:
        """Return a column of words as codes; raise InputError with the line of another word."""
        coded = self.table.column(name).combine_chunks().dictionary_encode()
        words = [str(word).lower() for word in coded.dictionary.to_pylist()]
        column = coded.indices.fill_null(-1).to_numpy()
        table = np.array([codes.get(word, -128) for word in words] + [-128], np.int8)
        found = table[column]
        if (found == -128).any():
            row = int(np.argmax(found == -128))
            raise self.error(row, f"{name} {self.table.column(name)[row].as_py()!r}")
        return found

    def stamps(self, name: str) -> NDArray[np.int64]:
        """Return a column of UNIX stamps, or of dates, as nanoseconds; raise InputError."""
        return stamps_ns(self.table.column(name), f"{self.where}: from line {self.line} on")

    def error(self, row: int, words: str) -> InputError:
        """Return the error of a row."""
        return InputError(self.place(row, words))

    def place(self, row: int, words: str) -> str:
        """Return words about a row, with its place before them."""
        return f"{self.where}: line {self.line + row}: {words}"


SIZES = ("size", "amount", "qty", "quantity", "volume")


def header(source: Source) -> list[str]:
    """Return the cells of the first line, which stays unread; raise AnotherKind for Parquet."""
    first = source.stream.peek(1 << 16).partition(b"\n")[0]
    if first.startswith(b"PAR1"):
        raise AnotherKind(
            f"{source.where}: a Parquet file, not CSV: save its rows as CSV (tables of candles, "
            "mark prices and funding are read by ohlcv_table as they are)"
        )
    return first.decode("utf-8-sig", "replace").strip().split(",")


def batches(
    source: Source, names: Sequence[str], kinds: Mapping[str, pa.DataType], titled: bool = True
) -> Iterator[Batch]:
    """Decode a CSV file part by part; ``kinds`` are the columns wanted and their types.

    Raises InputError with the line of a cell that is none of its column's type.
    """
    skipped = int(titled)
    try:
        reader = pyarrow.csv.open_csv(
            source.stream,
            read_options=pyarrow.csv.ReadOptions(
                column_names=list(names),
                skip_rows=skipped,
                block_size=BLOCK_BYTES,
                use_threads=False,
            ),
            convert_options=pyarrow.csv.ConvertOptions(
                column_types=dict(kinds), include_columns=list(kinds)
            ),
        )
        line = 1 + skipped
        for batch in reader:
            if batch.num_rows:
                yield Batch(pa.Table.from_batches([batch]), line, source.where)
            line += batch.num_rows
    except pa.ArrowInvalid as error:
        words = str(error).replace("Row #", "line ").splitlines()[0]
        raise InputError(f"{source.where}: {words}") from error


def rows_by_text(column: pa.ChunkedArray) -> dict[str, Rows]:
    """Return the rows of each text of a column; those of empty cells have the empty text."""
    coded = column.combine_chunks().dictionary_encode()
    words = [*coded.dictionary.to_pylist(), ""]
    codes = coded.indices.fill_null(len(words) - 1).to_numpy()
    order = np.argsort(codes, kind="stable")
    groups = np.split(order, np.flatnonzero(np.diff(codes[order])) + 1)
    return {words[codes[rows[0]]]: rows for rows in groups if len(rows)}
