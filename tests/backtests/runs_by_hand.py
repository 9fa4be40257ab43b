"""Runs that books are kept by hand for: documents, markets, and what each run left.

The runs are made by the command line, so nothing of ``backtests`` is imported.
"""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import yaml
from typer.testing import CliRunner

from catalog.providers.base import Import
from catalog.providers.demo import DemoParams, generate
from catalog.storage.writer import CatalogWriter
from perpdesk import build_app
from tests.backtests.books_by_hand import Books, Slip, keep
from tests.backtests.raw_truth import HOUR, Raw, read_raw

OPENING = Decimal(100_000)
MARKET = DemoParams(days=80, perps=14, listed_share=0.15, delisted_share=0.15)
"""Of fourteen perps two are listed and two delisted between day 12 and day 68."""


def flat(bps: str) -> Slip:
    return lambda notional: Decimal(bps) / 10_000


def sized(base: str, per: str, cap: str) -> Slip:
    return lambda notional: Decimal(base) + min(notional / Decimal(per), Decimal(cap))


@dataclass(frozen=True)
class Case:
    """A run and what the oracle has to know of its document."""

    catalog: str
    venue: dict[str, Any]
    slip: Slip
    fee: Decimal = Decimal("0.00055")
    window: tuple[str, str] = ("2023-01-06", "2023-03-20")
    slice_days: int = 30


CASES = {
    "two basis points": Case("demo", {}, flat("2")),
    "no slippage, no fees": Case(
        "demo",
        {
            "slippage": {"model": "none"},
            "fees": {"linear": {"maker": 0, "taker": 0}, "spot": {"maker": 0, "taker": 0}},
        },
        flat("0"),
        fee=Decimal(0),
    ),
    "harsh slippage at its cap": Case(
        "demo", {"slippage": {"model": "base_plus_size"}}, sized("0.0005", "10000", "0.01")
    ),
    "slippage that grows with size": Case(
        "demo",
        {"slippage": {"model": "base_plus_size", "per": 3_000_000}},
        sized("0.0005", "3000000", "0.01"),
    ),
    "ticks and lots of all sizes": Case(
        "uneven",
        {"slippage": {"model": "base_plus_size", "base": 0.0001, "per": 10_000_000}},
        sized("0.0001", "10000000", "0.01"),
    ),
    "from noon to half past midnight, in weeks": Case(
        "uneven",
        {"slippage": {"model": "fixed_bps", "bps": 7.5}},
        flat("7.5"),
        window=("2023-01-05T12:00:00Z", "2023-03-18T00:30:00Z"),
        slice_days=7,
    ),
    "data with holes": Case("holes", {}, flat("2"), slice_days=9),
}


@dataclass(frozen=True)
class Run:
    case: Case
    market: dict[str, Raw]
    summary: dict[str, Any]
    rows: dict[str, list[dict[str, Any]]]
    decisions: list[dict[str, Any]]
    books: Books

    @property
    def start(self) -> int:
        return int(self.summary["start_ns"])

    @property
    def end(self) -> int:
        return int(self.summary["end_ns"])


def write_catalogs(folder: Path) -> dict[str, Path]:
    """Write the demo market, the same with steps that are no powers of ten, and one with holes."""
    made = generate(MARKET)
    markets = {"demo": made, "uneven": uneven(made), "holes": with_holes(made)}
    for name, market in markets.items():
        with CatalogWriter(folder / name) as writer:
            writer.add(market)
    return {name: folder / name for name in markets}


def uneven(market: Import) -> Import:
    """Return the market on ticks of 1, 5, 2 or 25 and lots of 1, 2 or 5 times the old ones."""
    ticks = {info.id: (1, 5, 2, 25)[n % 4] for n, info in enumerate(market.instruments)}
    lots = {info.id: (1, 2, 5)[n % 3] for n, info in enumerate(market.instruments)}
    infos = [
        msgspec.structs.replace(
            info,
            tick=format(Decimal(info.tick) * ticks[info.id], "f"),
            lot=format(Decimal(info.lot) * lots[info.id], "f"),
            min_qty=format(Decimal(info.min_qty) * lots[info.id], "f"),
        )
        for info in market.instruments
    ]
    steps = {info.id: Decimal(info.tick) for info in infos}

    def on_ticks(table: pa.Table, step: Decimal) -> pa.Table:
        for name in ("open", "high", "low", "close"):
            counts = np.maximum(np.rint(table.column(name).to_numpy() / float(step)), 1.0)
            values = [float(int(count) * step) for count in counts]
            table = table.set_column(table.column_names.index(name), name, pa.array(values))
        return table

    return dataclasses.replace(
        market,
        instruments=infos,
        tables={
            key: table if key[0] == "funding" else on_ticks(table, steps[key[2]])
            for key, table in market.tables.items()
        },
    )


def with_holes(market: Import) -> Import:
    """Return the market without one hour in twenty, and silent once for one to three days."""
    random = np.random.default_rng(5)
    tables = dict(market.tables)
    for info in market.instruments:
        hours = market.tables["bars", "1h", info.id].column("ts").to_numpy()
        begins = int(random.choice(hours[len(hours) // 4 : len(hours) // 2]))
        silent = begins, begins + int(random.integers(24, 72)) * HOUR
        for kind, size, share in (("bars", "1h", 0.05), ("mark", "1h", 0.05), ("bars", "1d", 0.0)):
            if (kind, size, info.id) not in tables:  # Spot pairs have no marks.
                continue
            table = tables[kind, size, info.id]
            ts = table.column("ts").to_numpy()
            keep_row = (random.random(len(ts)) >= share) & ((ts < silent[0]) | (ts > silent[1]))
            tables[kind, size, info.id] = table.filter(pa.array(keep_row))
    return dataclasses.replace(market, tables=tables)


def make(case: Case, catalog: Path, folder: Path) -> Run:
    """Run everyone long or short, so that each delisting finds a position."""
    document = {
        "kind": "backtest",
        "name": "by-hand",
        "catalog": str(catalog),
        "window": dict(zip(("start", "end"), case.window, strict=True)),
        "slice_days": case.slice_days,
        "venue": {"starting_balance": int(OPENING), **case.venue},
        "strategies": {
            "reversal": {"use": "strategies.xs_reversal:XSReversal", "params": {"fraction": 0.5}}
        },
    }
    file = folder / "run.yaml"
    file.write_text(yaml.safe_dump(document), encoding="utf-8")
    out = folder / "out"
    told = CliRunner().invoke(build_app(), ["backtest", str(file), "--out", str(out)])
    assert told.exit_code == 0, told.output
    rows = {
        name: pq.read_table(out / f"{name}.parquet").to_pylist()
        for name in ("orders", "fills", "funding", "positions", "equity", "decisions")
    }
    market = read_raw(catalog)
    summary = json.loads((out / "summary.json").read_text(encoding="utf-8"))
    decisions = [json.loads(row["payload"]) for row in rows["decisions"]]
    books = keep(market, decisions, case.slip, summary["start_ns"], summary["end_ns"])
    return Run(case, market, summary, rows, decisions, books)
