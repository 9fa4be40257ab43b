"""A recording's spool holds whole lines, whatever happens."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from config.errors import DeskError
from live_nodes.local.spool import Spool, product_of


def test_lines_go_to_one_file_a_product_until_it_is_cut(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    spool.add("LINEAR", b"1 {}\n")
    spool.add("SPOT", b"2 {}\n")
    spool.sync(spool.flush())
    spool.add("LINEAR", b"3 {}\n")
    assert spool.closed() == []
    spool.cut()
    assert {product_of(p): p.read_bytes() for p in spool.closed()} == {
        "LINEAR": b"1 {}\n3 {}\n",
        "SPOT": b"2 {}\n",
    }
    spool.add("LINEAR", b"4 {}\n")
    spool.cut()
    assert [path.read_bytes() for path in spool.closed()][-1] == b"4 {}\n"


@pytest.mark.parametrize(
    ("left", "kept", "last"),
    [
        (b"7 {}\n8 {}\n9 {", b"7 {}\n8 {}\n", 8),
        (b"7 {}\n" + bytes(4096), b"7 {}\n", 7),
        (b"7 " + b"x" * 200_000 + b"\n8 " + b"y" * 100_000, b"7 " + b"x" * 200_000 + b"\n", 7),
        (b"7 {}\n", b"7 {}\n", 7),
        (b"7 {", None, 0),
    ],
)
def test_a_killed_recordings_last_line_is_cut_off(
    tmp_path: Path, left: bytes, kept: bytes | None, last: int
) -> None:
    file = tmp_path / "1-LINEAR.jsonl"
    file.write_bytes(left)
    assert Spool(tmp_path).leftovers() == last
    assert (file.read_bytes() if file.exists() else None) == kept


def test_a_full_disk_takes_whole_lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spool, write, room = Spool(tmp_path), os.write, [12]

    def little(descriptor: int, content: bytes) -> int:
        if not room[0]:
            raise OSError(28, "No space left on device")
        done = write(descriptor, content[: room[0]])
        room[0] -= done
        return done

    monkeypatch.setattr(os, "write", little)
    spool.add("LINEAR", b"1 {}\n")
    spool.flush()
    spool.add("LINEAR", b"2 {}\n")
    spool.add("LINEAR", b"3 {}\n")
    with pytest.raises(DeskError, match=r"No space left on device"):
        spool.flush()
    (file,) = tmp_path.glob("*.jsonl")
    assert file.read_bytes() == b"1 {}\n2 {}\n"


def test_one_recording_at_a_time(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    with pytest.raises(DeskError, match="another recording"):
        Spool(tmp_path)
    spool.close()
    Spool(tmp_path).close()
