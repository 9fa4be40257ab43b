"""`perpdesk screen`: a document's strategies over whole panels, in seconds."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from rich.table import Table

    from backtests.screening.run import Screened
    from config.documents import Backtest


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("screen")(screen)


def screen(
    file: Annotated[Path, typer.Argument(help="A backtest document (kind: backtest).")],
    overrides: Annotated[
        list[str] | None, typer.Option("--set", help="Change one value: --set venue.leverage=2")
    ] = None,
    weights: Annotated[
        Path | None, typer.Option(help="Write every decision's scores and weights to this Parquet.")
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print figures and daily rows as JSON on stdout.")
    ] = False,
) -> None:
    """Run a document's strategies over whole panels, without an engine: seconds, not minutes.

    Decisions are exactly the backtest's; fills are at the signal's close, without lots and funding.

    Example: perpdesk screen backtests/runs/xs_reversal_demo.yaml --weights weights.parquet
    """
    from rich.console import Console

    from backtests.screening.run import screen_document
    from config.documents import Backtest
    from config.errors import InputError
    from config.validate import checked

    document = checked(file, overrides or ()).document
    if not isinstance(document, Backtest):
        raise InputError(f"{file}: kind is {document.kind}, but screen runs kind: backtest")
    found = screen_document(document)
    if weights is not None:
        _write(found, weights)
    if as_json:
        print(json.dumps(_as_dict(document, found), sort_keys=True))
        return
    Console().print(_table(document, found))
    print("Fills at the signal's close; no lots, minimums, bands or funding.", file=sys.stderr)


def _write(found: list[Screened], path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    tables = []
    for item in found:
        table = item.table()
        tables.append(table.add_column(0, "strategy", pa.array([item.key] * table.num_rows)))
    pq.write_table(pa.concat_tables(tables), path, compression="zstd")


def _as_dict(document: Backtest, found: list[Screened]) -> dict[str, Any]:
    return {
        "name": document.name,
        "strategies": {
            item.key: {
                "figures": item.figures(),
                "periods": [
                    {"ts": int(ts), "gross": float(g), "net": float(n), "turnover": float(t)}
                    for ts, g, n, t in zip(
                        item.ts[1:],
                        item.earned.gross,
                        item.earned.net,
                        item.earned.turnover,
                        strict=True,
                    )
                ],
            }
            for item in found
        },
    }


def _table(document: Backtest, found: list[Screened]) -> Table:
    from rich.table import Table

    table = Table(title=f"{document.name}, screened")
    table.add_column("figure")
    for item in found:
        table.add_column(item.key, justify="right")
    figures = [item.figures() for item in found]
    for name in figures[0]:
        values = [each[name] for each in figures]
        table.add_row(
            name.replace("_", " "),
            *(
                "-" if v is None else f"{v:,}" if isinstance(v, int) else f"{v:,.4f}"
                for v in values
            ),
        )
    return table
