"""The drill's documents: the guard as it is, everything else the drill's own."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from config.errors import InputError
from config.validate import checked
from live_nodes.drill.documents import exchange_yaml, instruments_of, node_yaml, scene_of
from live_nodes.local.practice_process import Endpoint
from tests.live_nodes.documents import BTC, ETH, GUARDED, daily, drilled

ENDPOINT = Endpoint.of(1, 18_080, 18_081)


def test_the_drills_node_has_one_guard_and_alerts_nobody(tmp_path: Path) -> None:
    peak = daily("actors.guards.max_drawdown:MaxDrawdown", limit_pct=0.07)
    actors = {"daily": daily(), "peak": peak}
    resolved = drilled(tmp_path, actors, alerts="ALERT_ADDRESSES", limits={"leverage": 3})
    scene = scene_of(resolved.document, "peak")
    text = node_yaml(resolved, scene, ENDPOINT, tmp_path / "state", tmp_path / "orders", {})
    file = tmp_path / "drill.yaml"
    file.write_text(text, encoding="utf-8")
    made = checked(file).document
    assert list(made.actors) == ["peak"]
    assert made.actors["peak"].params["limit_pct"] == 0.07
    assert made.alerts is None
    assert made.environment == "practice"
    assert made.venue_urls.http == ENDPOINT.http
    assert list(made.strategies) == ["drill"]
    assert float(made.limits.leverage) == 3
    assert made.risk.exit_grace == 1


def test_instruments_that_a_guard_names_come_first_then_the_usual_coins(tmp_path: Path) -> None:
    setup = checked(GUARDED).document
    legs = [["LTCUSDT-LINEAR.BYBIT", "LINKUSDT-LINEAR.BYBIT"]]
    assert instruments_of(setup, {"legs": legs})[:2] == tuple(legs[0])
    assert instruments_of(setup, {})[:2] == (BTC, ETH)
    patterns = drilled(tmp_path, {"daily": daily()}, universe={"instruments": ["*-LINEAR.BYBIT"]})
    assert instruments_of(patterns.document, {})[0] == BTC


def test_a_universe_of_one_instrument_is_too_small(tmp_path: Path) -> None:
    resolved = drilled(
        tmp_path, {"daily": daily()}, universe={"instruments": ["BTC*-LINEAR.BYBIT"]}
    )
    with pytest.raises(InputError, match="a drill needs two instruments"):
        instruments_of(resolved.document, {})


def test_the_exchange_has_the_drills_instruments_and_the_expected_fees(tmp_path: Path) -> None:
    resolved = checked(GUARDED)
    made = yaml.safe_load(exchange_yaml(resolved, scene_of(resolved.document, "unhedged")))
    assert {"LTCUSDT", "LINKUSDT"} <= set(made["market"]["symbols"])
    assert made["accounts"]["main"]["fees"]["linear"] == {"maker": 0.0002, "taker": 0.00055}
