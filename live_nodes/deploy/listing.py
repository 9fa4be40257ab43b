"""List a node's releases as rows, and as a table for the terminal."""

from __future__ import annotations

from typing import Any

import msgspec
from rich.table import Table

from actors.records.journal_files import NAME
from actors.records.journal_reading import read
from config.durations import DAY_NS
from config.errors import DeskError
from live_nodes.deploy.rules import OWNER, STATE, CanaryState
from live_nodes.local.releases import Releases
from live_nodes.local.timefmt import moment_text


def rows(releases: Releases) -> list[dict[str, Any]]:
    """Return the releases, the oldest first, as plain values; times are UNIX nanoseconds (UTC).

    `moves` are those to the release, `canary` how far it is as one.
    """
    stages, moves = releases.stages(), releases.moves()
    found = []
    for number in releases.numbers():
        release, state = releases.release(number, whole=False), stages[number]
        try:
            releases.release(number)
        except DeskError as error:
            state = f"{state}, broken: {error}"
        found.append(
            {
                **msgspec.to_builtins(release),
                "state": state,
                "moves": [msgspec.to_builtins(move) for move in moves if move.number == number],
                "canary": _canary(releases) if stages[number] == "canary" else None,
            }
        )
    return found


def _canary(releases: Releases) -> dict[str, Any] | None:
    state, move = releases.folder.parent, releases.current()
    if move is None or not (state / NAME).exists():
        return None
    with read(state) as journal:
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
        measured = ", ".join(
            f"{gate['name']} {'-' if gate['measured'] is None else format(gate['measured'], '.3g')}"
            for gate in row["gates"]
            if gate["key"]
        )
        canary, state = row["canary"], row["state"]
        if canary is not None:
            state += f", day {canary['days']:.1f} of {canary['of']}"
            state += f", {canary['pct']:+.2f} % after {canary['day']}" if canary["day"] else ""
        why = "; ".join(f"{move['kind']}: {move['why']}" for move in row["moves"])
        made = moment_text(row["made"])
        table.add_row(str(row["number"]), state, made, row["by"], row["study"], measured, why)
    return table
