"""Read saved Bybit v5 answers: klines, mark klines, funding history and instruments-info.

A file holds one answer (``{"retCode": 0, "result": …}``), a list of them, or one a line (.jsonl). A
kline answer has no interval: it is inferred, or given with --interval. A five-column kline is a
mark price unless the file's name has index or premium. An unfinished newest candle is dropped: the
answer's own time is before its close.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from catalog.instruments import InstrumentInfo, instrument_id
from catalog.providers.base import Import, ImportOptions
from catalog.providers.files import find, infer_interval
from catalog.providers.symbols import contract_refused
from catalog.providers.tables import decode
from catalog.providers.ticks import sources
from catalog.series import BARS, FUNDING, KINDS, MARKS
from config.durations import interval_ns
from config.errors import InputError

SUFFIXES = (".json", ".jsonl", ".json.gz", ".jsonl.gz")
MS = 1_000_000


def read(paths: Sequence[Path], options: ImportOptions) -> Iterator[Import]:
    """Read each file as one part; raise InputError with file, line (of .jsonl) and field."""
    for path in find(paths, SUFFIXES):
        for where, answer in _answers(path):
            yield _part(where, answer, path, options)


def _answers(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    text = "".join(decode(stream.read(), where) for where, _, stream in sources(path, SUFFIXES))
    lines = text.splitlines() if ".jsonl" in path.name else [text]
    for number, line in enumerate(lines, start=1):
        where = f"{path}:{number}" if len(lines) > 1 else str(path)
        if not line.strip():
            continue
        try:
            found = json.loads(line)
        except json.JSONDecodeError as error:
            raise InputError(f"{where}: not JSON: {error}") from error
        for answer in found if isinstance(found, list) else [found]:
            yield where, answer


def _part(where: str, answer: dict[str, Any], path: Path, options: ImportOptions) -> Import:
    if not isinstance(answer, dict) or "result" not in answer:
        raise InputError(f"{where}: not a Bybit v5 answer: no field result")
    if answer.get("retCode") != 0:
        raise InputError(f"{where}: an error answer, retCode {answer.get('retCode')}")
    result = answer["result"]
    rows = result.get("list", [])
    category = str(result.get("category") or _guess_category(rows, options)).upper()
    if category not in ("LINEAR", "SPOT"):
        raise InputError(f"{where}: category {category.lower()}, only linear and spot are kept")
    part = options.part("Bybit v5 answers", "bybit", path)
    if not rows:
        return part
    if isinstance(rows[0], list):
        _candles(part, where, answer, category, options)
    elif "fundingRate" in rows[0]:
        _funding(part, where, category, rows)
    elif "lotSizeFilter" in rows[0]:
        infos = _each(where, rows, lambda row: info_of(row, category))
        part.instruments.extend(info for info in infos if info is not None)
    else:
        raise InputError(f"{where}: neither klines, funding nor instruments")
    return part


def _each[Made](where: str, rows: list[Any], convert: Callable[[Any], Made]) -> Iterator[Made]:
    for number, row in enumerate(rows, start=1):
        try:
            yield convert(row)
        except (KeyError, ValueError, TypeError, IndexError) as error:
            raise InputError(
                f"{where}: row {number}: not what Bybit v5 sends: {error!r}"
            ) from error


def _instrument(where: str, symbol: str, category: str) -> str:
    refused = contract_refused(symbol)
    if refused or not symbol:
        raise InputError(f"{where}: {refused or 'no field symbol'}")
    return instrument_id(symbol, category)


def _guess_category(rows: list[Any], options: ImportOptions) -> str:
    # Only spot instruments have a base precision.
    spot = (
        rows and isinstance(rows[0], dict) and "basePrecision" in rows[0].get("lotSizeFilter", {})
    )
    return "SPOT" if spot else options.product or "LINEAR"


def _funding(part: Import, where: str, category: str, rows: list[dict[str, str]]) -> None:
    def settlement(row: dict[str, str]) -> tuple[str, int, float]:
        stamp = int(row["fundingRateTimestamp"]) * MS
        return row["symbol"], stamp, float(row["fundingRate"])

    by_symbol: dict[str, list[tuple[int, float]]] = {}
    for symbol, stamp, rate in _each(where, rows, settlement):
        by_symbol.setdefault(symbol, []).append((stamp, rate))
    for symbol, pairs in by_symbol.items():
        stamps, rates = zip(*pairs, strict=True)
        table = pa.table([pa.array(stamps), pa.array(rates)], schema=FUNDING)
        part.tables["funding", "", _instrument(where, symbol, category)] = table


def _candles(
    part: Import, where: str, answer: dict[str, Any], category: str, options: ImportOptions
) -> None:
    (path,), rows = part.files, answer["result"]["list"]
    width, name = len(rows[0]), path.name.lower()
    if width == 5 and ("index" in name or "premium" in name):
        raise InputError(f"{path}: index and premium klines are not kept, only last and mark")
    kind = {len(BARS): "bars", len(MARKS): "mark"}.get(width)

    def candle(row: list[str]) -> list[float]:
        if kind is None or len(row) != width:
            raise ValueError(f"{len(row)} columns")
        return [int(row[0]), *map(float, row[1:])]

    numbers = np.array(list(_each(where, rows, candle)))
    opens = np.array([int(row[0]) for row in rows], dtype=np.int64) * MS
    interval = infer_interval(opens, where, options.interval)
    closes = opens + interval_ns(interval)
    done = np.ones(len(rows), bool)
    if isinstance(answer.get("time"), int):
        done = closes <= answer["time"] * MS
    columns = [pa.array(closes[done]), *(pa.array(c) for c in numbers[done, 1:].T)]
    assert kind is not None
    symbol = str(answer["result"].get("symbol") or "")
    key = (kind, interval, _instrument(where, symbol, category))
    part.tables[key] = pa.table(columns, schema=KINDS[kind].given)


def info_of(row: dict[str, Any], category: str) -> InstrumentInfo | None:
    """Read a row of instruments-info of a category, ``LINEAR`` or ``SPOT``; None for dated futures.

    The maintenance margin is half of the initial one at the highest leverage: Bybit's first risk
    tier, which instruments-info lacks. Raises KeyError or ValueError when the row is not Bybit v5.
    """
    lots, prices = row["lotSizeFilter"], row["priceFilter"]
    shared: dict[str, Any] = {
        "id": instrument_id(row["symbol"], category),
        "symbol": row["symbol"],
        "product": category,
        "base": row["baseCoin"],
        "quote": row["quoteCoin"],
        "tick": prices["tickSize"],
        "min_qty": lots["minOrderQty"],
        "source": "bybit instruments-info",
    }
    if category == "SPOT":
        return InstrumentInfo(
            **shared,
            settle=row["quoteCoin"],
            lot=lots["basePrecision"],
            min_notional=lots["minOrderAmt"],
            max_qty=lots.get("maxLimitOrderQty") or lots.get("maxOrderQty"),
            max_leverage="1",
            maintenance_margin="0",
            funding_minutes=0,
        )
    if row["contractType"] != "LinearPerpetual":
        return None
    leverage = row["leverageFilter"]["maxLeverage"]
    ends = int(row.get("deliveryTime") or 0)
    return InstrumentInfo(
        **shared,
        settle=row["settleCoin"],
        lot=lots["qtyStep"],
        min_notional=lots.get("minNotionalValue") or "5",
        max_qty=lots["maxOrderQty"],
        max_leverage=leverage,
        maintenance_margin=f"{(Decimal('0.5') / Decimal(leverage)).normalize():f}",
        funding_minutes=int(row["fundingInterval"]),
        listed_ns=int(row["launchTime"]) * MS,
        delisted_ns=ends * MS if ends else None,
    )
