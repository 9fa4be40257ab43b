"""Guards in documents: what `validate` says of them before any engine starts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from config.validate import validate

BTC, ETH = "BTCUSDT-LINEAR.BYBIT", "ETHUSDT-LINEAR.BYBIT"
DAILY = {"use": "actors.guards.daily_loss:DailyLoss", "params": {"limit_pct": 0.03}}


def said(tmp_path: Path, actors: dict[str, Any], **changes: Any) -> list[str]:
    """Return what is wrong with a setup of these guards, without the folder."""
    document: dict[str, Any] = {
        "kind": "setup",
        "name": "guarded",
        "universe": {"instruments": [BTC, ETH]},
        "strategies": {"rev": {"use": "strategies.xs_reversal:XSReversal"}},
        "actors": actors,
    } | changes
    file = tmp_path / "guarded.yaml"
    file.write_text(yaml.safe_dump(document, sort_keys=False), encoding="utf-8")
    return [str(problem).removeprefix(f"{file}:") for problem in validate(file)]


def clusters(*names: str) -> dict[str, Any]:
    cluster = {"instruments": list(names), "cap": 0.5}
    return {
        "use": "actors.guards.cluster_caps:ClusterCaps",
        "params": {"clusters": {"majors": cluster}},
    }


def test_a_guard_that_fits_is_well(tmp_path: Path) -> None:
    assert said(tmp_path, {"daily": DAILY, "caps": clusters(BTC, "ETH*")}) == []


def test_two_guards_of_one_class_are_well(tmp_path: Path) -> None:
    softer = {
        "use": "actors.guards.daily_loss:DailyLoss",
        "params": {"limit_pct": 0.02, "action": "shrink"},
    }
    assert said(tmp_path, {"daily": DAILY, "softer": softer}) == []


def test_the_operators_key_is_taken(tmp_path: Path) -> None:
    [line] = said(tmp_path, {"operator": DAILY})
    assert line.startswith("11:3: actors.operator: is the kill switch's own name")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"limit_pct": 3}, "params.limit_pct: expected a number <= 1.0, was 3"),
        ({"limit_pc": 0.1}, "params.limit_pc: unknown parameter (did you mean limit_pct?)"),
        ({"action": "flaten"}, "was 'flaten' (did you mean flatten?)"),
        (
            {"release": "tomorrow"},
            "must look like manual, next_day, recovered, 30m, was 'tomorrow'",
        ),
        ({"r_pct": 0.01}, "params.r_pct: is of use only with limit_r"),
    ],
)
def test_a_parameter_that_is_wrong_is_named(
    tmp_path: Path, changes: dict[str, Any], words: str
) -> None:
    params = {"limit_pct": 0.03} | changes
    lines = said(tmp_path, {"daily": DAILY | {"params": params}})
    assert any(words in line for line in lines), lines


def test_a_guard_under_strategies_is_told_where_it_belongs(tmp_path: Path) -> None:
    lines = said(tmp_path, {}, strategies={"daily": DAILY})
    assert "belongs under actors, not under strategies" in lines[0]


def test_a_misspelt_class_gets_the_nearest_one(tmp_path: Path) -> None:
    [line] = said(tmp_path, {"daily": DAILY | {"use": "actors.guards.daily_loss:DailyLos"}})
    assert line.endswith("(did you mean actors.guards.daily_loss:DailyLoss?)")


def test_an_instrument_that_is_not_traded_is_named_by_its_line(tmp_path: Path) -> None:
    [line] = said(tmp_path, {"caps": clusters(BTC, "ETHUSD-LINEAR.BYBIT")})
    path = "actors.caps.params.clusters.majors.instruments[1]"
    words = f"ETHUSD-LINEAR.BYBIT is not in the universe (did you mean {ETH}?)"
    assert line.endswith(f"{path}: {words}")


def test_a_pattern_that_matches_nothing_traded_is_named(tmp_path: Path) -> None:
    [line] = said(tmp_path, {"caps": clusters("BTC*", "DOGE*")})
    assert line.endswith("instruments[1]: no instrument of the universe matches DOGE*")


def test_a_pattern_counts_where_the_universe_is_one_too(tmp_path: Path) -> None:
    universe = {"instruments": ["*-LINEAR.BYBIT"]}
    assert said(tmp_path, {"caps": clusters("DOGE*", BTC)}, universe=universe) == []
    [line] = said(tmp_path, {"caps": clusters("*-SPOT.BYBIT")}, universe=universe)
    assert "no instrument of the universe matches *-SPOT.BYBIT" in line


def test_what_is_excluded_is_not_traded(tmp_path: Path) -> None:
    universe = {"instruments": ["*-LINEAR.BYBIT"], "exclude": [BTC]}
    [line] = said(tmp_path, {"caps": clusters(BTC)}, universe=universe)
    assert f"{BTC} is not in the universe" in line


def test_a_guard_that_is_switched_off_is_checked_all_the_same(tmp_path: Path) -> None:
    [line] = said(tmp_path, {"caps": clusters("DOGE*") | {"enabled": False}})
    assert "DOGE*" in line
