"""The return since a release began, beside the Monte Carlo band of its study."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from live_nodes.local.releases import STUDY, Move, Releases
from live_nodes.reports.expectation import expectation
from tests.live_nodes.reports.journals import DAY, HOUR, Days, two_days

NEXT = DAY + 24 * HOUR


def released(folder: Path, *moves: tuple[int, int, float], **band: Any) -> None:
    """Release 0 without a study and 1 with one; moves are release, hour and size."""
    releases = Releases(folder)
    study = {"study": "s", "accepted": True, "parameters": {}, "gates": [], "provenance": {}}
    text = json.dumps(study | {"monte_carlo": {"band": band}}).encode()
    with releases.locked():
        for files in ({}, {STUDY: text}):
            releases.write(files, reason="r", before=None, config="", source="")
        made = {"by": "me", "why": "w", "kind": "deploy"}
        releases.move(
            *(Move(number=n, ts=DAY + hour * HOUR, size=size, **made) for n, hour, size in moves)
        )


@pytest.mark.parametrize(
    ("upper", "words"), [(4.0, "inside"), (3.0, "OUTSIDE"), (None, "not compared: ")]
)
def test_a_canary_counts_at_full_size_from_its_own_beginning(
    tmp_path: Path, upper: float | None, words: str
) -> None:
    two_days(tmp_path)
    # Before, release 1 has run at full size, and 0 between.
    released(
        tmp_path, (1, 9, 1.0), (0, 10, 1.0), (1, 25, 0.025),
        lower_pct=[-1.0], upper_pct=[upper],
    )  # fmt: skip
    found = expectation(tmp_path, NEXT + 24 * HOUR)
    assert found is not None
    assert (found.number, found.since, found.day) == (1, NEXT + HOUR, 1)
    # 9.58 of 12,009.90, the deposit among it, at a fortieth of the size: from the last equity on.
    assert found.pct == pytest.approx(40 * 100 * 9.58 / 12_009.9)
    assert found.words.startswith(words)


def test_it_is_compared_at_the_end_of_a_day_like_the_band(tmp_path: Path) -> None:
    """+1 % after a day, and +3 % a while later: the band of the first day is not of that."""
    days = Days(tmp_path)
    for hour, cash in ((0, "1000"), (24, "1010"), (40, "1030"), (48, "1015")):
        days.snapshot(DAY + hour * HOUR, cash, {})
    days.journal.close()
    released(tmp_path, (1, 0, 1.0), lower_pct=[-2.0, -4.0], upper_pct=[2.0, 4.0])
    seen = [expectation(tmp_path, DAY + hour * HOUR) for hour in (24, 41, 48)]
    assert [(f.day, round(f.pct, 6), f.words) for f in seen if f] == [
        (1, 1.0, "inside"), (1, 1.0, "inside"), (2, 1.5, "inside"),
    ]  # fmt: skip


def test_without_a_study_or_a_release_nothing_is_expected(tmp_path: Path) -> None:
    two_days(tmp_path)
    assert expectation(tmp_path, NEXT) is None
    released(tmp_path, (0, 9, 1.0))
    assert expectation(tmp_path, NEXT) is None
