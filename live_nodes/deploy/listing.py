"""List a node's releases as rows, and as a table for the terminal."""

from __future__ import annotations

from typing import Any

import msgspec
from rich.table import Table

from actors.records.journal_files import NAME
from actors.records.journal_reading import read
from backtests.report.formats import value
from config.durations import DAY_NS
from config.errors import DeskError
from live_nodes.deploy.rules import OWNER, STATE, CanaryState
from live_nodes.local.releases import Move, Releases
from live_nodes.local.timefmt import moment_text


def rows(releases: Releases) -> list[dict[str, Any]]:
    """Return the releases, the oldest first, as plain values; times are UNIX nanoseconds (UTC).

    `moves` are those to the release, `canary` how far it is as one.
    """
    moves, stages, found = releases.moves(), releases.stages(), []
    for number in releases.numbers():
        stage, broken = stages[number], ""
        try:
            releases.document(number)
        except DeskError as error:
            broken = f", broken: {error}"
        mine = [move for move in moves if move.number == number]
        found.append(
            {
                **msgspec.to_builtins(releases.release(number)),
                "state": stage + broken,
                "moves": msgspec.to_builtins(mine),
                "canary": _canary(releases, mine[-1]) if stage == "canary" else None,
            }
        )
    return found


def _canary(releases: Releases, move: Move) -> dict[str, Any] | None:
    if not (releases.state / NAME).exists():
        return None
    with read(releases.state) as journal:
        kept = journal.load_state(OWNER, STATE)
    found = None if kept is None else msgspec.json.decode(kept, type=CanaryState)
    if found is None or found.move != move.ts:
        return None
    return {"days": found.lived / DAY_NS, "of": move.days, "day": found.day, "pct": found.pct}


def table_of(found: list[dict[str, Any]]) -> Table:
    """Return the rows for the terminal."""
    table = Table()
    for heading in ("", "state", "made", "by", "study", "measured", "why"):
        table.add_column(heading, overflow="fold")
    for row in found:
        canary, state = row["canary"], row["state"]
        if canary is not None:
            state += f", day {canary['days']:.1f} of {canary['of']}"
            state += f", {canary['pct']:+.2f} % after {canary['day']}" if canary["day"] else ""
        gates = [f"{one['name']} {value(one['measured'])}" for one in row["gates"] if one["key"]]
        why = [f"{move['kind']}: {move['why']}" for move in row["moves"]]
        made, measured = moment_text(row["made"]), ", ".join(gates)
        table.add_row(
            str(row["number"]), state, made, row["by"], row["study"], measured, "; ".join(why)
        )
    return table
