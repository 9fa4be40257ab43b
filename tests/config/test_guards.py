"""Guards in documents: what `validate` says of them before any engine starts."""

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


def test_guards_that_fit_are_well_two_of_one_class_too(tmp_path):
    softer = DAILY | {"params": {"limit_pct": 0.02, "action": "shrink"}}
    guards = {"daily": DAILY, "softer": softer, "caps": clusters(BTC, "ETH*")}
    assert said(tmp_path, guards) == []


@pytest.mark.parametrize(
    ("traded", "names", "words"),
    [
        (
            {"instruments": [BTC, ETH]},
            (BTC, "ETHUSD-LINEAR.BYBIT"),
            f"instruments[1]: ETHUSD-LINEAR.BYBIT is not in the universe (did you mean {ETH}?)",
        ),
        (
            {"instruments": [BTC, ETH]},
            ("BTC*", "DOGE*"),
            "instruments[1]: no instrument of the universe matches DOGE*",
        ),
        ({"instruments": ["*-LINEAR.BYBIT"]}, ("DOGE*", BTC), ""),
        (
            {"instruments": ["*-LINEAR.BYBIT"]},
            ("*-SPOT.BYBIT",),
            "instruments[0]: no instrument of the universe matches *-SPOT.BYBIT",
        ),
        (
            {"instruments": ["*-LINEAR.BYBIT"], "exclude": [BTC]},
            (BTC,),
            f"instruments[0]: {BTC} is not in the universe",
        ),
    ],
)
def test_a_guards_instruments_must_be_traded_even_when_it_is_off(tmp_path, traded, names, words):
    for enabled in (True, False):
        lines = said(tmp_path, {"caps": clusters(*names) | {"enabled": enabled}}, universe=traded)
        found = [line.split("clusters.majors.")[1] for line in lines]
        assert [line.startswith(words) for line in found] == [True] * bool(words)


def test_the_operators_key_is_taken(tmp_path):
    [line] = said(tmp_path, {"operator": DAILY})
    assert line.startswith("11:3: actors.operator: is the kill switch's own name")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"limit_pc": 0.1}, "params.limit_pc: unknown parameter (did you mean limit_pct?)"),
        ({"release": "soon"}, "must look like manual, next_day, recovered, 30m, was 'soon'"),
        ({"r_pct": 0.01}, "params.r_pct: is of use only with limit_r"),
    ],
)
def test_a_parameter_that_is_wrong_is_named(tmp_path, changes, words):
    lines = said(tmp_path, {"daily": DAILY | {"params": {"limit_pct": 0.03} | changes}})
    assert any(words in line for line in lines), lines
