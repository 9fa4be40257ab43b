"""A run's result as a folder of plain files: write, check and read it.

``summary.json`` the figures · ``config.yaml`` the resolved document, which reruns to the same ·
``provenance.json`` where the data come from · one Parquet file a table of
`backtests.results.tables` · ``report.html`` for people.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import yaml

from backtests.results.figures import Flows, RunBooks, booked, cells, column, figures
from backtests.results.tables import SCHEMAS, conform
from config.errors import DeskError, InputError, writing

CENT = Decimal("0.01")
TABLES = ("orders", "fills", "positions", "equity", "decisions", "funding", "verdicts", "prices")
PAIR_TABLES = ("pair_events", "pair_curves")
"""Tables of a run that trades pairs."""
AS_THEY_ARE = (
    *("name", "start_ns", "end_ns", "config_hash", "data_hash", "engine_version", "elapsed_s"),
    *("how_filled", "interruptions", "warnings", "targets", "stress", "ablations", "ladder"),
)
"""What `summary.json` has of a record without a change."""


@dataclass(frozen=True, kw_only=True)
class RunRecord(RunBooks):
    """Everything that a run leaves, before it is written.

    Runs with the same hashes and engine version have the same figures. `stress`, `ablations` and
    `ladder` (of latency, queue and fees) are None or have a row a further run, the run as specified
    first: ``name`` and its `figures`.
    """

    name: str
    config_yaml: str
    config_hash: str
    data_hash: str
    engine_version: str
    started: float
    """Wall time of the run's start, UNIX seconds (UTC)."""
    start_ns: int
    end_ns: int
    """The window, UNIX nanoseconds (UTC), end exclusive."""
    provenance: list[dict[str, Any]]
    """The catalog's records of the imports that the run read."""
    targets: dict[str, float]
    """Of ``sharpe``, ``max_drawdown``, ``calmar`` and ``win_rate``."""
    stress: list[dict[str, Any]] | None = None
    ablations: list[dict[str, Any]] | None = None
    ladder: list[dict[str, Any]] | None = None
    guard_costs: pa.Table | None = None
    """What each guard cost or saved (`tables.SCHEMAS`)."""


@dataclass(frozen=True)
class Result:
    """A result folder; its tables are read when needed."""

    path: Path
    summary: dict[str, Any]
    provenance: list[dict[str, Any]]
    config_yaml: str

    @cached_property
    def document(self) -> dict[str, Any]:
        """The resolved document, as plain values."""
        return yaml.safe_load(self.config_yaml) or {}

    def has(self, name: str) -> bool:
        """Whether the folder has the table: some are of some runs only."""
        return (self.path / f"{name}.parquet").is_file()

    def table(self, name: str) -> pa.Table:
        """Return one of the tables of `backtests.results.tables`.

        Raises InputError when its file is missing or damaged.
        """
        file = self.path / f"{name}.parquet"
        try:
            return pq.read_table(file, schema=SCHEMAS[name])
        except (OSError, pa.ArrowException) as error:
            raise _unreadable(file, error) from error


def summarise(record: RunRecord) -> dict[str, Any]:
    """Return the contents of `summary.json`."""
    return {
        **{name: getattr(record, name) for name in AS_THEY_ARE},
        "start": _iso(record.start_ns),
        "end": _iso(record.end_ns),
        **figures(record, record.start_ns, record.end_ns),
        "verdicts": verdicts_by_guard(record.tables["verdicts"]),
        "refused_orders": record.tables["orders"].column("status").to_pylist().count("DENIED"),
        "started": _iso(int(record.started * 1e9)),
        "guard_costs": None if record.guard_costs is None else _costs(record.guard_costs),
        # What only an account at a venue has.
        **({"flows": [[ts, str(amount)] for ts, amount in record.flows]} if record.flows else {}),
        **({"beside": float(record.beside)} if abs(record.beside) >= CENT else {}),
    }


def flows_of(summary: dict[str, Any]) -> Flows:
    """Return the deposits and withdrawals of a result; a backtest has none."""
    return [(ts, Decimal(amount)) for ts, amount in summary.get("flows", ())]


def check(record: RunRecord) -> None:
    """Check that the books close.

    Raises DeskError when ``ending = starting + gross - fees + funding`` does not hold to the cent,
    or when a table does not add up to its total; the message has both numbers. Of an account at a
    venue, what was paid in and what is `RunBooks.beside` count too.
    """
    start = record.starting_equity + record.paid_in + record.beside
    end, tables = record.ending_equity, record.tables
    curve = column(tables["equity"], "equity")
    last = Decimal(repr(float(curve[-1]))) if len(curve) else start
    made = start + record.gross_pnl - record.fees + record.funding
    fees, slips = (booked(tables["fills"], name) for name in ("fee", "slippage"))
    settled, net = booked(tables["funding"], "amount"), booked(tables["positions"], "net")
    pairs = {
        "ending equity and starting equity + gross - fees + funding": (end, made),
        "fees and the sum of the fills' fees": (record.fees, fees),
        "slippage and the sum of the fills' slippage": (record.slippage, slips),
        "funding and the sum of its settlements": (record.funding, settled),
        "net profit and the sum of the positions' net": (end - start, net),
        "ending equity and the last of the curve": (end, last),
    }
    wrong = [
        f"{what}: {said} is not {found}"
        for what, (said, found) in pairs.items()
        if abs(said - found) >= CENT
    ]
    if wrong:
        raise DeskError(f"{record.name}: the books do not close to the cent: " + "; ".join(wrong))


def write(
    record: RunRecord, out_dir: Path, render: Callable[[Result], str] | None = None
) -> Result:
    """Check the record, write it as a folder in one step (all or nothing), and read it back.

    An older result in ``out_dir`` is replaced; ``render`` makes ``report.html``.

    Raises DeskError when the books do not close, InputError when ``out_dir`` holds something other
    than a result, or can't be written.
    """
    given = TABLES + tuple(name for name in (*PAIR_TABLES, "fill_mids") if name in record.tables)
    tables = {name: conform(name, record.tables[name]) for name in given}
    tables["benchmarks"] = conform("benchmarks", record.benchmarks)
    if record.guard_costs is not None:
        tables["guard_costs"] = conform("guard_costs", record.guard_costs)
    check(record)
    out_dir = Path(out_dir)
    claim(out_dir)
    out_dir.parent.mkdir(parents=True, exist_ok=True)
    # Beside the target, so that the rename stays in one file system.
    staged = out_dir.with_name(f".{out_dir.name}.{os.getpid()}.tmp")
    shutil.rmtree(staged, ignore_errors=True)
    try:
        with writing(out_dir):
            staged.mkdir()
            (staged / "config.yaml").write_text(record.config_yaml, encoding="utf-8")
            _write_json(staged / "provenance.json", record.provenance)
            _write_json(staged / "summary.json", summarise(record))
            for name, contents in tables.items():
                pq.write_table(contents, staged / f"{name}.parquet", compression="zstd")
            if render is not None:
                page = render(read(staged))
                (staged / "report.html").write_text(page, encoding="utf-8")
            _put(staged, out_dir)
    finally:
        shutil.rmtree(staged, ignore_errors=True)
    return read(out_dir)


def claim(out_dir: Path, overwrite: bool = True) -> None:
    """Check, before any work, that a result may be written there.

    Without `overwrite`, an older result is refused too.

    Raises InputError when the place is a file, can't be written to, or is a folder without a result
    in it.
    """
    if not out_dir.exists():
        _try_to_write_in(out_dir.absolute().parent, out_dir)
        return
    if not out_dir.is_dir():
        raise InputError(f"{out_dir}: a file stands there; give a folder that does not exist yet")
    if any(out_dir.iterdir()) and not (out_dir / "summary.json").is_file():
        raise InputError(
            f"{out_dir}: the folder holds other files than a result; give one that does not exist "
            "yet, or an older result to replace"
        )
    if any(out_dir.iterdir()) and not overwrite:
        raise InputError(f"{out_dir}: holds a result already; --overwrite replaces it")


def _try_to_write_in(folder: Path, out_dir: Path) -> None:
    """Make and remove a folder in the nearest existing one: permission bits alone prove nothing."""
    while not os.path.lexists(folder):
        folder = folder.parent
    try:
        os.rmdir(tempfile.mkdtemp(prefix=".perpdesk-", dir=folder))
    except OSError as error:
        raise InputError(f"{out_dir}: cannot be written: {folder}: {error.strerror}") from error


def read(path: Path) -> Result:
    """Read a result folder.

    Raises InputError when the folder is none, or of an earlier version.
    """
    path = Path(path)
    if not (path / "summary.json").is_file():
        raise InputError(
            f"{path}: no result here (summary.json is missing); `perpdesk backtest FILE --out "
            f"{path}` makes one"
        )
    summary = _read_json(path / "summary.json")
    if not {*AS_THEY_ARE} <= {*summary} or "mode" not in summary["how_filled"]:
        raise _unreadable(path / "summary.json", DeskError("an earlier version wrote it"))
    return Result(
        path=path,
        summary=summary,
        provenance=_read_json(path / "provenance.json"),
        config_yaml=_read_text(path / "config.yaml"),
    )


def _put(staged: Path, out_dir: Path) -> None:
    """Move the finished folder into place; delete an older result only after that."""
    old = out_dir.with_name(f".{out_dir.name}.{os.getpid()}.old")
    try:
        if out_dir.exists():
            os.replace(out_dir, old)
        os.replace(staged, out_dir)
    except BaseException:
        if old.exists() and not out_dir.exists():
            os.replace(old, out_dir)
        raise
    shutil.rmtree(old, ignore_errors=True)


def _write_json(path: Path, value: Any) -> None:
    text = json.dumps(value, indent=2, sort_keys=True, allow_nan=False, ensure_ascii=False)
    path.write_text(text + "\n", encoding="utf-8")


def _read_json(path: Path) -> Any:
    try:
        return json.loads(_read_text(path))
    except ValueError as error:
        raise _unreadable(path, error) from error


def _read_text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: Exception) -> InputError:
    reason = error.strerror if isinstance(error, OSError) and error.strerror else error
    return InputError(
        f"{path}: cannot be read: {reason}; "
        f"`perpdesk backtest {path.parent / 'config.yaml'}` makes the result anew"
    )


def verdicts_by_guard(verdicts: pa.Table) -> dict[str, int]:
    """Count the verdicts of each guard, without those that take one back."""
    asked = Counter(
        guard for guard, action in cells(verdicts, "guard", "action") if action != "none"
    )
    return dict(sorted(asked.items()))


def _costs(costs: pa.Table) -> list[dict[str, Any]]:
    return [
        {**row, "saved": float(row["saved"]), "ending_equity": float(row["ending_equity"])}
        for row in costs.to_pylist()
    ]


def _iso(ns: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(ns // 1_000_000_000))
