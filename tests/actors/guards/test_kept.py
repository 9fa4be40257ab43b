"""What guards kept in journals before each had a file of its own is read as it was written.

The lines of ``kept_before.jsonl`` are what the release of October 2026 kept, byte for byte.
"""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from actors.desk.guard_state import Kept
from actors.guards.core.guard import Guard
from config.components import resolve, shipped

LINES = (Path(__file__).parent / "kept_before.jsonl").read_text(encoding="utf-8").splitlines()
FILES = {use.partition(":")[0].rpartition(".")[2]: use for use in shipped()}


@pytest.mark.parametrize("line", LINES, ids=lambda line: line.partition(" ")[0])
def test_a_guard_takes_up_what_an_older_one_kept(line: str) -> None:
    name, _, kept = line.partition(" ")
    cls = resolve(FILES[name])
    assert issubclass(cls, Guard)
    found = msgspec.json.decode(kept, type=Kept)
    state = msgspec.json.decode(found.state, type=cls.State)
    again = Kept(msgspec.Raw(msgspec.json.encode(state)), found.latches)
    assert msgspec.json.decode(msgspec.json.encode(again)) == msgspec.json.decode(kept)
