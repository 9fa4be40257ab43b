"""What a drill tells its strategy: what to hold, what to trade and when, what to go on trying."""

from __future__ import annotations

from pathlib import Path

import msgspec

from actors.guards.core.drill import Trade
from live_nodes.local.files import replace_file


class Insist(msgspec.Struct, frozen=True, kw_only=True):
    """Entries that are tried again and again, whatever the verdicts say.

    Parameters
    ----------
    instrument, quantity : str
        Instrument id, and signed base coin.
    every : float
        Seconds between two tries.
    """

    instrument: str
    quantity: str
    every: float = 0.25


class Instruction(msgspec.Struct, frozen=True, kw_only=True):
    """All that the strategy is to do from now on; the next one takes its place.

    Parameters
    ----------
    number : int
        Counts them; one that was heard before is not done again.
    hold : dict of str to str
        Positions to bring about at once with market orders: signed base coin by instrument id.
    trades : tuple of Trade
        Orders at their times.
    insist : Insist or None
        What it goes on trying.
    """

    number: int
    hold: dict[str, str] = msgspec.field(default_factory=dict)
    trades: tuple[Trade, ...] = ()
    insist: Insist | None = None


_READ = msgspec.json.Decoder(Instruction)


def write(file: Path, instruction: Instruction) -> None:
    """Write an instruction so that its reader sees all of it or none."""
    replace_file(file, msgspec.json.encode(instruction))


def read(file: Path) -> Instruction | None:
    """Return the instruction of a file, None while there is none."""
    try:
        return _READ.decode(file.read_bytes())
    except FileNotFoundError:
        return None
