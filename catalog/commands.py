"""`perpdesk catalog …`: make, fill, look at and check a catalog."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from catalog.demo.parameters import DemoParams
from config.catalogs import folder_only
from config.commands import LISTS, JsonOption, SetOption
from config.durations import STORED

if TYPE_CHECKING:
    from catalog.providers.base import Import

DEMO_CATALOG = Path("catalog/data/demo")
DEMO_BOOKS = Path("catalog/data/demo_books")
DEMO_BASIS = Path("catalog/data/demo_basis")
PLANTED = "planted.json"
DEMO = DemoParams()


def _folder(catalog: Path) -> Path:
    folder_only(catalog)
    return catalog


Folder = Annotated[Path, typer.Option("--catalog", help="The catalog's folder.", callback=_folder)]
Symbols = Annotated[
    str | None,
    typer.Option(metavar="A,B,…", help="Only these: BTCUSDT, BTCUSDT-SPOT.BYBIT, or *USDT."),
]


def register(app: typer.Typer) -> None:
    """Mount `perpdesk catalog` and its commands."""
    group = typer.Typer(
        help="Market history on disk: make, import, pull, look, check.", no_args_is_help=True
    )
    commands: dict[str, Callable[..., None]] = {
        "demo": make_demo,
        "import": import_files,
        "pull": pull_ingest,
        "resample": resample_candles,
        "ls": ls,
        "check": check,
        "rebuild": rebuild_cache,
    }
    for name, command in commands.items():
        group.command(name)(command)
    app.add_typer(group, name="catalog")
    LISTS["formats"] = _formats


def _formats() -> list[tuple[str, str]]:
    import sys
    from inspect import getdoc

    from catalog.providers.base import formats

    modules = {name: sys.modules[read.__module__] for name, read in formats().items()}
    return [(name, (getdoc(module) or "").partition("\n")[0]) for name, module in modules.items()]


def make_demo(
    catalog: Annotated[
        Path | None,
        typer.Option(
            help=f"The catalog's folder, else {DEMO_CATALOG}, {DEMO_BOOKS} with --books, "
            f"{DEMO_BASIS} with --basis."
        ),
    ] = None,
    seed: Annotated[int, typer.Option(help="Another seed, another market.")] = DEMO.seed,
    days: Annotated[int, typer.Option(help="Length in days.", min=30)] = DEMO.days,
    perps: Annotated[int, typer.Option(help="Number of perpetuals.", min=4)] = DEMO.perps,
    reversal: Annotated[float, typer.Option(help="Planted one-day reversal.")] = DEMO.reversal,
    momentum: Annotated[float, typer.Option(help="Planted 20-day momentum.")] = DEMO.momentum,
    books: Annotated[bool, typer.Option("--books", help="Invent order books and trades.")] = False,
    basis: Annotated[
        bool, typer.Option("--basis", help="Invent quotes of a spot pair and its perpetual.")
    ] = False,
    hours: Annotated[
        float | None,
        typer.Option(help="Length in hours, else 2 of --books, 120 of --basis."),
    ] = None,
    json: JsonOption = False,
) -> None:
    """Invent a market: perps and spot, hourly and daily, mark prices and funding.

    With --books: hours of order books and trades of three perpetuals and two spot pairs, with
    candles of a minute, tickers and funding; planted.json in the folder tells what is planted.
    With --basis: quotes each second of BTC spot and perpetual, whose difference comes back to zero
    by a known law.

    Example: perpdesk catalog demo --catalog catalog/data/demo
    """
    from dataclasses import replace

    import msgspec

    from catalog import show
    from catalog.demo import basis as demo_basis
    from catalog.providers import demo
    from catalog.storage.writer import CatalogWriter
    from config.errors import InputError

    params = DemoParams(seed=seed, days=days, perps=perps, reversal=reversal, momentum=momentum)
    if books or basis:
        if books and basis:
            raise InputError("--books and --basis are two markets: give one of them")
        if params != replace(DEMO, seed=seed):
            kind = "--books" if books else "--basis"
            raise InputError(f"--days, --perps, --reversal and --momentum are not of {kind}")
    elif hours is not None:
        raise InputError("--hours is of --books and --basis")
    given: dict[str, Any] = {"seed": seed} | ({} if hours is None else {"hours": hours})
    planted: list[dict[str, Any]] = []
    parts: Iterator[Import]
    if books:
        from catalog.providers import demo_books  # Loading numba takes half a second.

        place, (parts, planted) = DEMO_BOOKS, demo_books.generate(demo_books.BookParams(**given))
    elif basis:
        place, parts = DEMO_BASIS, map(demo_basis.generate, [demo_basis.BasisParams(**given)])
    else:
        place, parts = DEMO_CATALOG, map(demo.generate, [params])
    catalog = catalog or place
    with show.counting("Inventing the demo market") as step, CatalogWriter(catalog) as writer:
        for number, part in enumerate(parts):
            if not number:
                _refuse_others(catalog, part)
            writer.add(part)
            step(part.source)
    if books:
        labels = msgspec.json.format(msgspec.json.encode(planted), indent=1)
        (catalog / PLANTED).write_bytes(labels)
    show.written(catalog, writer, json)


def _refuse_others(catalog: Path, market: Import) -> None:
    """Refuse a catalog that holds other data than this invented market."""
    from catalog.storage.store import Catalog
    from config.errors import InputError

    if (catalog / "CURRENT").exists():
        there = {(p.source, p.note) for p in Catalog(catalog).provenance}
        if there != {(market.source, market.note)}:
            raise InputError(
                f"{catalog} holds other data already ({', '.join(sorted(p[0] for p in there))}); "
                "choose another --catalog, or remove that folder first"
            )


def import_files(
    format_: Annotated[str, typer.Argument(metavar="FORMAT", help="ohlcv_table, freqtrade …")],
    paths: Annotated[list[Path], typer.Argument(metavar="PATH…", help="Files or folders.")],
    catalog: Folder,
    interval: Annotated[str | None, typer.Option(help="Of the candles, if unclear.")] = None,
    product: Annotated[str | None, typer.Option(help="linear or spot, if unclear.")] = None,
    source_venue: Annotated[str | None, typer.Option(help="Whose prices they are.")] = None,
    note: Annotated[str, typer.Option(help="For the provenance.")] = "",
    stamp: Annotated[str, typer.Option(help="What a candle's date is: open or close.")] = "open",
    kind: Annotated[str | None, typer.Option(help="bars, mark or funding, if unclear.")] = None,
    symbols: Symbols = None,
    columns: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.yaml", help="Names of a table's columns: `volume: Amount`, a line each."
        ),
    ] = None,
    json: JsonOption = False,
) -> None:
    """Import files; importing again changes nothing, a longer range extends.

    ohlcv_table reads CSV, JSON and Parquet of most sources (CryptoDataDownload, TradingView, ccxt,
    Binance's archive, funding of Bybit and Binance), freqtrade its data folder, bybit_json saved
    answers of Bybit v5. bybit_stream, binance_stream, tardis_csv, trade_archives and csv_quotes
    read books, trades, quotes and tickers.

    Example: perpdesk catalog import freqtrade user_data/data/bybit --catalog catalog/data/bybit
    """
    from catalog import show
    from catalog.providers.base import ImportOptions, read_files
    from catalog.providers.files import read_mapping
    from catalog.series import KINDS
    from catalog.storage.writer import CatalogWriter

    options = ImportOptions(
        interval=_one_of("--interval", interval, tuple(STORED)) if interval else None,
        product=_one_of("--product", product.upper(), ("LINEAR", "SPOT")) if product else None,
        source_venue=source_venue,
        note=note,
        stamp=_one_of("--stamp", stamp, ("open", "close")),
        kind=_one_of("--kind", kind, tuple(KINDS)) if kind else None,
        symbols=_wanted(symbols),
        columns=read_mapping(columns) if columns else {},
    )
    with CatalogWriter(catalog) as writer, show.counting("Importing") as step:
        for part in read_files(format_, paths, options):
            writer.add(part)
            step(part.files[-1].name if part.files else part.source)
    show.written(catalog, writer, json)


def _wanted(symbols: str | None) -> tuple[str, ...]:
    from catalog.providers.symbols import resolve

    words = [word.strip().upper() for word in (symbols or "").split(",")]
    return tuple(resolve(w, None, None)[0] if "/" in w else w for w in words if w)


def resample_candles(
    interval: Annotated[str, typer.Argument(metavar="INTERVAL", help="To make: 1d, 4h …")],
    catalog: Folder,
    symbols: Symbols = None,
    json: JsonOption = False,
) -> None:
    """Make longer candles and mark prices from shorter ones, aligned to midnight UTC.

    Recorded trades and tickers make them too, with funding. A candle of which a part is missing is
    left out; candles that are there already stay.

    Example: perpdesk catalog resample 1d --catalog catalog/data/bybit
    """
    from catalog import show
    from catalog.resampling import resample

    with show.working(f"Making {interval} candles"):
        writer = resample(catalog, interval, _wanted(symbols))
    show.written(catalog, writer, json)


def pull_ingest(
    file: Annotated[Path, typer.Argument(metavar="INGEST.yaml", help="A document of kind ingest.")],
    settings: SetOption = None,
    json: JsonOption = False,
) -> None:
    """Pull instruments, candles, mark prices and funding from Bybit; stop and go on at will.

    Example: perpdesk catalog pull catalog/ingests/bybit_majors.yaml
    """
    from catalog import show
    from catalog.pull import pull
    from config.documents import Ingest
    from config.validate import checked

    ingest = checked(file, settings or (), Ingest).document
    with show.pieces("Pulling") as progress:
        writer = pull(ingest, progress)
    show.written(Path(ingest.catalog), writer, json)


def _one_of(name: str, value: str, allowed: tuple[str, ...]) -> str:
    from config.errors import InputError

    if value not in allowed:
        raise InputError(f"{name} must be {' or '.join(allowed).lower()}, was {value!r}")
    return value


def ls(catalog: Folder = DEMO_CATALOG, json: JsonOption = False) -> None:
    """Show what is there, from when to when, and where it came from.

    Example: perpdesk catalog ls --catalog catalog/data/demo
    """
    from catalog import show
    from catalog.storage.store import Catalog

    show.listing(Catalog(catalog), json)


def check(
    catalog: Folder = DEMO_CATALOG,
    every: Annotated[bool, typer.Option("--all", help="Show all findings, not 50.")] = False,
    json: JsonOption = False,
) -> None:
    """Look for gaps, impossible or stale candles, odd funding, broken books; exit 1 if wrong.

    Example: perpdesk catalog check --catalog catalog/data/demo
    """
    from catalog import show
    from catalog.findings import WRONG
    from catalog.storage.store import Catalog
    from catalog.verify import verify

    opened = Catalog(catalog)
    with show.counting("Checking") as step:
        found = verify(opened, step)
    show.findings(opened, found, every, json)
    if any(finding.severity == WRONG for finding in found):
        raise typer.Exit(1)


def rebuild_cache(catalog: Folder = DEMO_CATALOG, json: JsonOption = False) -> None:
    """Make the engine's own files anew from the raw ones.

    Example: perpdesk catalog rebuild --catalog catalog/data/demo
    """
    from catalog import show
    from catalog.storage.writer import rebuild

    with show.working("Rebuilding the engine's files"):
        series = rebuild(catalog)
    show.result({"catalog": str(catalog), "series": series}, json, f"{series} series rebuilt.")
