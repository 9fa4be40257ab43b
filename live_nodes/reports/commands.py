"""`perpdesk report`: of a result folder, of a node's day, or of any time of a node."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Annotated

import typer

from config.commands import JsonOption, SetOption


def report(
    source: Annotated[
        Path, typer.Argument(metavar="RESULT|NODE", help="A result folder, or a node document.")
    ],
    since: Annotated[
        str | None, typer.Option("--from", help="Of a node: from this UTC day or time on.")
    ] = None,
    until: Annotated[
        str | None, typer.Option("--to", help="Of a node: until this UTC time (default: now).")
    ] = None,
    day: Annotated[
        str | None,
        typer.Option(help="Of a node: the daily report of this UTC day, or of yesterday."),
    ] = None,
    sends: Annotated[
        bool, typer.Option("--send/--no-send", help="Send the summary of --day to the alerts.")
    ] = True,
    out: Annotated[
        Path | None, typer.Option(help="Result folder of --from (default: in the node's state).")
    ] = None,
    at: Annotated[
        str | None,
        typer.Option(
            help='Of a result: picture around this UTC time instead ("2025-03-03 07:30:20"): the '
            "book, trades, own orders and fills of a run on books or quotes."
        ),
    ] = None,
    window: Annotated[str, typer.Option(help="How much the picture shows: 30s, 5m.")] = "60s",
    symbol: Annotated[
        str, typer.Option(help="Its instrument (default: that of most own fills).")
    ] = "",
    settings: SetOption = None,
    as_json: JsonOption = False,
) -> None:
    """Render the report of a result again, or make that of a node's live trading.

    Of a node, --from makes the backtest's report of live trading from the journal, as a result
    folder that `perpdesk compare` takes, too. --day makes the page of a day in reports/ of its
    state, once, and sends its summary to where alerts go. Both compare fees, funding and transfers
    with the venue's transaction log, to the cent.

    Example: perpdesk report live_nodes/nodes/xs_reversal_practice.yaml --from 2026-03-01
    """
    from config.errors import DeskError, InputError

    if source.is_dir():
        if since or until or day or out:
            raise InputError(f"{source}: is a result; --from, --to, --day and --out are of a node")
        from backtests.commands import report as of_result
        from backtests.report.guards import LIVE
        from backtests.results.result import read

        if read(source).summary["how_filled"]["mode"] == LIVE:
            raise InputError(f"{source}: is live trading; make it anew of its node, with --from")
        return of_result(source, at, window, symbol, as_json)
    if (since is None) == (day is None):
        raise InputError("of a node: give --day yesterday, or --from and maybe --to")
    from live_nodes.reports import daily

    if day is not None:
        if until or out:
            raise InputError("--to and --out are of --from; --day writes reports/DAY.html")
        made = daily.day_report(source, settings or (), daily.day_of(day), sends=sends)
    else:
        assert since is not None
        begin = daily.moment_of("--from", since)
        end = None if until is None else daily.moment_of("--to", until)
        if end is None and begin >= time.time_ns():
            raise InputError("--from: must be before now (UTC)")
        if end is not None and begin >= end:
            raise InputError("--to: must be after --from")
        made = daily.range_report(source, settings or (), begin, end, out)
    if as_json:
        page = None if made.page is None else str(made.page)
        print(json.dumps({"report": page, "text": made.text, "sound": made.sound}))
    else:
        print("\n".join(filter(None, (made.text, str(made.page or "")))))
    if made.unsent:
        raise DeskError(f"the summary did not get to {', '.join(made.unsent)}")
