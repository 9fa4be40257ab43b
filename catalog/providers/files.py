"""Helpers for readers of files: find files and columns, read stamps, numbers and intervals."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from catalog.findings import SHORTEST_FUNDING_NS
from catalog.instruments import split_symbol
from config.durations import DAY_NS, MINUTE_NS, STORED, minute_text, second_text
from config.errors import InputError, did_you_mean
from config.reading import Tree, read_file

VENUES = ("bybit", "binance", "okx", "bitget", "gateio", "kraken", "coinbase", "kucoin", "ftx")

COLUMNS: dict[str, tuple[str, ...]] = {
    "time": (
        *("unix", "unixtimestamp", "opentime", "starttime", "startat", "timestamp", "datetime"),
        *("date", "day", "start", "ts", "time", "fundingratetimestamp", "calctime", "fundingtime"),
        *("", "indexlevel0"),
    ),
    "symbol": ("symbol", "pair", "instrument", "ticker", "market", "contract"),
    "open": ("open", "openprice", "o"),
    "high": ("high", "highprice", "h"),
    "low": ("low", "lowprice", "l"),
    "close": ("close", "closeprice", "c"),
    "volume": ("volume", "vol", "basevolume", "basevol", "volumebase", "volumefrom", "v"),
    "turnover": (
        *("turnover", "quotevolume", "quoteassetvolume", "quotevol", "volumequote", "volumeto"),
        *("turnoverapprox", "qv"),
    ),
    "rate": ("fundingrate", "lastfundingrate", "rate"),
}
"""Names of each column in files, most telling first, without capitals, spaces, ``_`` and signs.
The volume may also be named after its coin: ``Volume BTC``, ``Volume USDT``."""
LABELS = {"time": "the date"}
CLOSE_TIMES = ("closetime", "endtime", "closeat", "endat", "end", "datetimeend", "timeclose")
_DAYS, _CLOCKS = ("date", "day"), ("time", "hour", "clock", "timestamp")

MOST_SHOWN = 200
"""Characters of a file's names of columns that an error shows."""

SPARSEST = 10
"""Candles whose nearest are as many of their intervals apart are of another interval."""
STRETCH = 10
"""So many candles in a row that are evenly several intervals apart are of another interval."""
CHANCE = 1e-6
"""Unless as many gaps as the file has elsewhere make that likelier."""

# Ranges of UNIX stamps in each unit: 2001-09-09 to 2096-10-02. They don't overlap.
_UNITS = tuple((10**power, 10 ** (18 - power)) for power in (9, 12, 15, 18))
_EARLIEST, _LATEST = 10**18, 4 * 10**18


def find(paths: Sequence[Path], suffixes: tuple[str, ...]) -> list[Path]:
    """List the given files, and those in given folders that end in one of the suffixes.

    Raises InputError when a path is missing, or nothing is found.
    """
    found: list[Path] = []
    for path in paths:
        if path.is_dir():
            below = sorted(p for p in path.rglob("*") if p.is_file())
            found += [p for p in below if p.name.endswith(suffixes) and not is_shadow(p.name)]
        elif path.exists():
            found.append(path)
        else:
            raise InputError(f"{path}: no such file or folder")
    if not found:
        places = ", ".join(str(path) for path in paths)
        raise InputError(f"{places}: no file that ends in {' or '.join(suffixes)}")
    return found


def is_shadow(name: str) -> bool:
    """Whether a Mac keeps a file's attributes in it, as in ``__MACOSX/._BTCUSDT.csv`` of a .zip."""
    return Path(name).name.startswith("._")


def venue_of(path: Path) -> str:
    """Guess the venue from the file's own name, else from its folders; else "unknown"."""
    words = re.split(r"[^a-z]+", path.name.lower())
    for venue in VENUES:
        if venue in words:
            return venue
    folders = [part.lower() for part in path.resolve().parts[:-1]]
    return next((part for part in reversed(folders) if part in VENUES), "unknown")


def read_mapping(path: Path) -> dict[str, str]:
    """Read the columns of a file from YAML such as ``{time: Start, volume: Amount}``.

    Raises InputError with every problem's line.
    """
    problems: list = []
    tree = read_file(path, problems)
    cells = tree.value if tree is not None else None
    if not problems and not isinstance(cells, dict):
        raise InputError(f"{path}: not a mapping such as `volume: Amount`")
    found = {}
    for key, cell in cells.items() if isinstance(cells, dict) else ():
        assert isinstance(cell, Tree)
        if key not in COLUMNS:
            words = f"not one of {', '.join(COLUMNS)}"
            problems.append(cell.place.problem(key, words, did_you_mean(key, COLUMNS)))
        elif not isinstance(cell.value, str):
            problems.append(cell.place.problem(key, "must be the name of a column"))
        else:
            found[key] = cell.value
    if problems:
        raise InputError("\n".join(map(str, problems)))
    return found


class Columns:
    """Columns of one table by what they are, under any of the names in `COLUMNS`.

    ``mapping`` gives the user's own names. Raises InputError with the place and all names.
    """

    def __init__(
        self,
        table: pa.Table,
        where: str,
        mapping: dict[str, str] | None = None,
        stamp: str = "open",
    ) -> None:
        self.table, self.where, self.mapping = table, where, mapping or {}
        self.stamp = stamp
        self._by_name: dict[str, list[int]] = {}
        for index, name in enumerate(table.column_names):
            self._by_name.setdefault(_bare(name), []).append(index)

    def find(self, what: str, *more: str) -> pa.ChunkedArray | None:
        """Return a column, also under more names, or None."""
        if what in self.mapping:
            name = self.mapping[what]
            found = self._one(name)
            if found is None:
                raise InputError(f"{self.where}: no column {name!r} for {what}; {self._there()}")
            return found
        names = (*COLUMNS[what], *more)
        return next((c for name in names if (c := self._one(name)) is not None), None)

    def need(self, what: str, *more: str) -> pa.ChunkedArray:
        """Return a column; raise InputError when there is none."""
        found = self.find(what, *more)
        if found is None:
            names = ", ".join(filter(None, (*more, *COLUMNS[what])))
            raise InputError(
                f"{self.where}: no column for {LABELS.get(what, what)} (one of {names}); "
                f"{self._there()} (--columns FILE.yaml names others)"
            )
        return found

    def has(self, name: str) -> bool:
        """Whether there is a column of this bare name."""
        return name in self._by_name

    def numbers(self, what: str, *more: str) -> NDArray[np.float64]:
        """Return a column as floats; raise InputError with the row of a value that is none."""
        return floats(self.need(what, *more), what, self.where)

    def amounts(self, what: str, *more: str) -> NDArray[np.float64]:
        """Return a column of prices or volumes; raise InputError with the row of a negative one."""
        found = self.numbers(what, *more)
        if len(found) and found.min() < 0:
            row = int(np.argmax(found < 0))
            raise InputError(
                f"{self.where}: row {row + 1}: column {what}: {found[row]:.15g} is negative; "
                "prices and volumes are not"
            )
        return found

    def stamps(self) -> NDArray[np.int64]:
        """Return the rows' UNIX nanoseconds, from one column or from a date and a clock time."""
        if self.stamp == "close":
            column = self.find("time") if "time" in self.mapping else self._close_time()
            if column is not None:
                return stamps_ns(column, self.where)
        elif _bare(self.mapping.get("time", "")) in CLOSE_TIMES or (
            self.find("time") is None and self._close_time() is not None
        ):
            raise InputError(
                f"{self.where}: no column for the date of a candle's open; {self._there()}: say "
                "--stamp close to take the time of its close"
            )
        if "time" not in self.mapping:
            for clock in _CLOCKS:
                times = self._one(clock)
                day = next((c for d in _DAYS if (c := self._one(d)) is not None), None)
                if times is not None and day is not None and _are_clocks(times):
                    return self._joined(day, times, clock)
        return stamps_ns(self.need("time"), self.where)

    def _close_time(self) -> pa.ChunkedArray | None:
        return next((c for name in CLOSE_TIMES if (c := self._one(name)) is not None), None)

    def _joined(self, day: pa.ChunkedArray, times: pa.ChunkedArray, clock: str) -> NDArray:
        days = stamps_ns(day, self.where)
        wrong = np.flatnonzero(days % DAY_NS)
        if len(wrong):
            raise InputError(
                f"{self.where}: row {wrong[0] + 1}: both the date and column {clock} have a time "
                "of day; say which counts with --columns (time: NAME)"
            )
        return days + _clock_ns(times, clock, self.where)

    def _one(self, name: str) -> pa.ChunkedArray | None:
        found = self._by_name.get(_bare(name), [])
        if len(found) > 1:
            names = ", ".join(repr(self.table.column_names[index]) for index in found)
            raise InputError(f"{self.where}: columns {names} are one and the same by name")
        return self.table.column(found[0]) if found else None

    def _there(self) -> str:
        return there_is(self.table.column_names)


def there_is(names: Sequence[str]) -> str:
    """Say which columns a file has, in at most about 200 printable characters.

    The line may be none of names but, of JSON, the whole file.
    """
    words = "".join(filter(str.isprintable, ", ".join(map(str.strip, names))))
    return f"there is {words[:MOST_SHOWN]}" + "…" * (len(words) > MOST_SHOWN)


def volume_names(symbols: Sequence[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return names of volume and turnover after the coins of the only symbol: ``Volume BTC``."""
    if len(symbols) != 1:
        return (), ()
    base, quote = split_symbol(symbols[0])
    return (f"volume{base}".lower(),), (f"volume{quote}".lower(),)


def _bare(name: str) -> str:
    return re.sub(r"[\W_]+", "", name.lower())


def _are_clocks(times: pa.ChunkedArray) -> bool:
    first = str(times[0].as_py()) if len(times) else ""
    return bool(re.fullmatch(r"\d{1,2}:\d{2}(:\d{2}(\.\d+)?)?|\d{6}", first))


def _clock_ns(times: pa.ChunkedArray, name: str, where: str) -> NDArray[np.int64]:
    found = np.zeros(len(times), np.int64)
    for row, text in enumerate(map(str, times.to_pylist())):
        match = re.fullmatch(r"(\d{1,2}):?(\d{2})(?::?(\d{2})(?:\.0+)?)?", text)
        clock = [int(part or 0) for part in match.groups()] if match else [24, 0, 0]
        if clock[0] > 23 or clock[1] > 59 or clock[2] > 59:
            raise InputError(f"{where}: row {row + 1}: column {name}: {text!r} is no time of day")
        found[row] = (clock[0] * 3600 + clock[1] * 60 + clock[2]) * 10**9
    return found


def stamps_ns(values: pa.ChunkedArray, where: str) -> NDArray[np.int64]:
    """Convert dates to UNIX nanoseconds; dates without a zone are UTC.

    Reads timestamps, dates, texts such as 2025-01-31 12:00, 20250131 or 2025-01-31 05-PM, and
    numbers in s, ms, us or ns, each row by its size. Raises InputError with the row of the first
    that is none, or is not of 2001 to 2096.
    """
    if values.null_count:
        row = pc.index(pc.is_null(values), True).as_py() + 1
        raise InputError(f"{where}: row {row}: the date is empty")
    kind = values.type
    if pa.types.is_timestamp(kind) or pa.types.is_date(kind):
        found = values.cast(pa.timestamp("ns")).cast(pa.int64()).to_numpy()
    elif pa.types.is_floating(kind):
        found = _by_size(values.to_numpy())
    elif pa.types.is_integer(kind) or pa.types.is_string(kind) or pa.types.is_large_string(kind):
        found = _from_texts(values.cast(pa.string()), where)
    else:
        raise InputError(f"{where}: row 1: {values[0].as_py()!r} is no date")
    wrong = np.flatnonzero((found < _EARLIEST) | (found > _LATEST))
    if len(wrong):
        row = int(wrong[0])
        raise InputError(
            f"{where}: row {row + 1}: {values[row].as_py()!r} is no date of 2001 to 2096 such as "
            "2025-01-31 00:00:00, 20250131 or UNIX s, ms, us, ns"
        )
    return found


def _from_texts(values: pa.ChunkedArray, where: str) -> NDArray[np.int64]:
    bare = pc.replace_substring_regex(values, r" ?(UTC|GMT)$", "")
    dated = pc.replace_substring_regex(
        bare, r"^((?:19|20)\d\d)[./]?(\d\d)[./]?(\d\d)($|[T ])", r"\1-\2-\3\4"
    )
    whole = pc.match_substring_regex(dated, r"^\d+$").to_numpy()
    decimal = pc.match_substring_regex(dated, r"^\d+\.\d+$").to_numpy()
    found = np.zeros(len(values), np.int64)
    try:
        found[whole] = _by_size(dated.filter(pa.array(whole)).cast(pa.int64()).to_numpy())
    except pa.ArrowInvalid:
        return found  # A number too long for a stamp: its row is refused as no date.
    found[decimal] = _by_size(dated.filter(pa.array(decimal)).cast(pa.float64()).to_numpy())
    rest = ~(whole | decimal)
    if rest.any():
        found[rest] = _parse_dates(dated.filter(pa.array(rest)), np.flatnonzero(rest), where)
    return found


def _by_size(numbers: NDArray) -> NDArray[np.int64]:
    found = np.zeros(len(numbers), np.int64)
    for least, factor in _UNITS:
        own = (numbers >= least) & (numbers <= least * 4)
        if numbers.dtype.kind == "f":
            found[own] = np.rint(numbers[own] * (factor / 1e3)).astype(np.int64) * 1000
        else:
            found[own] = numbers[own].astype(np.int64) * factor
    return found


def _parse_dates(values: pa.ChunkedArray, rows: NDArray, where: str) -> NDArray[np.int64]:
    import pandas as pd

    texts = values.to_pandas()
    parsed = pd.to_datetime(texts, utc=True, errors="coerce", format="ISO8601")
    if parsed.isna().any():  # CryptoDataDownload's older files: 2020-01-31 05-PM.
        hours = pd.to_datetime(texts, utc=True, errors="coerce", format="%Y-%m-%d %I-%p")
        parsed = parsed.fillna(hours)
    if parsed.isna().any():
        row = int(np.flatnonzero(parsed.isna())[0])
        raise InputError(
            f"{where}: row {rows[row] + 1}: {texts[row]!r} is no date like 2025-01-31 00:00:00"
        )
    return parsed.astype("datetime64[ns, UTC]").astype("int64").to_numpy()


def floats(
    values: pa.ChunkedArray, name: str, where: str, empty: bool = False
) -> NDArray[np.float64]:
    """Convert a column to floats; raise InputError with row and column of what is no number.

    A text with a % is a hundredth. ``empty`` lets cells be empty: they become NaN.
    """
    try:
        numbers = values.cast(pa.float64())
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        rows = enumerate(values.to_pylist(), start=1)
        numbers = pa.chunked_array([[_number(v, r, name, where) for r, v in rows]])
    found = numbers.cast(pa.float64()).fill_null(np.nan).to_numpy()
    wrong = np.flatnonzero(~np.isfinite(found))
    if len(wrong) and not empty:
        row = int(wrong[0])
        value = values[row].as_py()
        words = "is empty" if value is None else f"{value!r} is no number"
        raise InputError(f"{where}: row {row + 1}: column {name}: {words}")
    return found


def _number(value: object, row: int, name: str, where: str) -> float | None:
    if value is None:
        return None
    try:
        text = str(value)
        return float(text[:-1]) / 100 if text.endswith("%") else float(text)
    except ValueError:
        comma = " (write 1000.5: no comma)" if "," in str(value) else ""
        raise InputError(
            f"{where}: row {row}: column {name}: {value!r} is no number{comma}"
        ) from None


def infer_interval(
    stamps: NDArray[np.int64], where: str, said: str | None = None, others: str = ""
) -> str:
    """Return the interval of candles: what is said, else what their distances tell.

    Gaps may be anywhere: where all distances are multiples of the shortest, it is the interval;
    else the commonest is.

    Raises InputError for an interval that the catalog doesn't have, fewer than two candles, stamps
    that mostly come twice, or candles of another interval than the one that is said.
    """
    unique = np.unique(stamps)
    gaps = np.diff(unique)
    if len(unique) * 3 <= len(stamps) * 2:
        raise InputError(
            f"{where}: most rows share their date with others: is the time of day, or the venue, "
            f"in another column{others}? (--columns FILE.yaml names columns)"
        )
    names = {length: name for name, length in STORED.items()}
    shortest, shared = (int(gaps.min()), int(np.gcd.reduce(gaps))) if len(gaps) else (0, 0)
    if said is not None:
        length = STORED[said]
        # Sparse candles may have no neighbours; those of months are 28 days apart.
        sparse = shared == length and shortest < SPARSEST * length
        if len(gaps) and shortest != length and not sparse:
            _refuse_jitter(stamps, gaps, said, where)
            raise InputError(
                f"{where}: its candles are {shortest / 1e9:g} s apart, not {said}; say the right "
                "--interval (`perpdesk catalog resample` makes longer ones)"
            )
        return said
    if len(gaps):
        lengths, counts = np.unique(gaps, return_counts=True)
        length = shortest if shared == shortest else int(lengths[np.argmax(counts)])
        if length in names:
            return names[length]
        _refuse_jitter(stamps, gaps, min(STORED, key=lambda n: abs(STORED[n] - length)), where)
        problem = (
            f"are {length / 1e9:g} s apart, which is none of {', '.join(STORED)}; if many are "
            "missing, say --interval"
        )
    else:
        problem = "are too few to tell the interval; say --interval"
    raise InputError(f"{where}: its candles {problem}")


def _refuse_jitter(stamps: NDArray[np.int64], gaps: NDArray, interval: str, where: str) -> None:
    """Refuse candles that are an interval apart but for moments, with the first off its grid."""
    length = STORED[interval]

    def off(values: NDArray[np.int64]) -> NDArray[np.int64]:
        return np.abs((values + length // 2) % length - length // 2)

    if gaps.min() > length // 2 and 0 < off(gaps).max() <= length // 10:
        first = second_text(stamps[np.argmax(off(stamps) > 0)])
        raise InputError(
            f"{where}: its candle of {first} is not on the grid of {interval}: its dates are off "
            f"it by up to {off(stamps).max() / 1e9:g} s; round them to whole {interval}"
        )


def refuse_longer(
    stamps: NDArray[np.int64],
    rows: NDArray[np.int64],
    interval: str,
    where: str,
    warnings: list[str] | None = None,
    stamp: str = "open",
) -> None:
    """Refuse longer candles among those of an interval: their closes would come too early.

    A stretch is found by its even distances, which follow a candle's open and precede its close
    (``stamp``). ``rows`` are those of one instrument, counted from 0.
    Raises InputError with the row, or adds to ``warnings`` where the user insists on the interval.
    """
    times, length = np.unique(stamps[rows]), STORED[interval]
    gaps = np.diff(times)
    starts = np.flatnonzero(np.diff(gaps, prepend=0))
    counts = np.diff(np.append(starts, len(gaps)))
    even = (gaps[starts] > length) & (gaps[starts] % length == 0) & (counts >= STRETCH - 1)
    others = gaps[~np.repeat(even, counts)] > length
    chance = len(gaps) * (others.sum() / max(len(others), 1)) ** counts
    longer = np.flatnonzero(even & (chance < CHANCE))
    if len(longer):
        start, closes = starts[longer[0]], stamp == "close"
        first, count = times[start + closes], counts[longer[0]] + (not closes)
        row = int(rows[np.argmax(stamps[rows] == first)]) + 1
        names = {length: name for name, length in STORED.items()}
        apart = names.get(int(gaps[start]), f"{gaps[start] / 1e9:g} s")
        words = (
            f"{where}: row {row}: from {minute_text(first)} on {count:,} candles are "
            f"{apart} apart, not {interval}"
        )
        if warnings is None:
            raise InputError(
                f"{words}: import longer ones from a file of their own, with their --interval "
                "(`perpdesk catalog resample` makes as long ones of the others); if only candles "
                f"are missing, say --interval {interval}"
            )
        warnings.append(f"{words}; taken for {interval} with gaps, as --interval says")


def refuse_frequent(stamps: NDArray[np.int64], rows: NDArray[np.int64], where: str) -> None:
    """Refuse funding more often than hourly: rates repeated for every candle, each paid in full.

    ``rows`` are those of one instrument, counted from 0. Raises InputError with the row.
    """
    minutes = (stamps[rows] + MINUTE_NS // 2) // MINUTE_NS * MINUTE_NS
    order = np.argsort(minutes, kind="stable")
    gaps = np.diff(minutes[order])
    close = np.flatnonzero((gaps > 0) & (gaps < SHORTEST_FUNDING_NS))
    if len(close):
        row, gap = int(rows[order[close[0] + 1]]), int(gaps[close[0]])
        raise InputError(
            f"{where}: row {row + 1}: a settlement {gap / MINUTE_NS:g} minutes after another: "
            "funding is settled every 1 to 8 h; keep only the rows at settlements, not one for "
            "every candle"
        )
