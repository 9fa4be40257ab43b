"""The drill's documents, and the drill in the backtest world: guards that do not act are found."""

from __future__ import annotations

import importlib
import io
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import yaml
from rich.console import Console
from typer.testing import CliRunner

from actors.desk.build import guards_of
from config.errors import DeskError, InputError
from config.load import load
from config.validate import checked
from live_nodes.drill.documents import exchange_yaml, instruments_of, node_yaml, scene_of
from live_nodes.drill.node_process import PRELOAD
from live_nodes.drill.rows import DrillRow, compare, rendered
from live_nodes.drill.run import drill
from live_nodes.local.practice_process import Endpoint
from perpdesk import build_app
from tests.live_nodes.documents import BTC, ETH, GUARDED, daily, drilled, drilled_file, guard

ROOT = Path(__file__).parents[3]
SHIPPED = [
    file
    for folder in ("config/setups", "backtests/runs", "live_nodes/nodes")
    for file in sorted((ROOT / folder).glob("*.yaml"))
]
KEYS = [*guards_of(checked(GUARDED).document), "operator"]


def backtest(resolved: Any, key: str = "") -> DrillRow:
    """Drill one guard, or the document's only one, in the backtest world alone."""
    chosen = key or next(iter(guards_of(resolved.document)))
    [row] = drill(resolved, worlds=("backtest",), guards=(chosen,))
    return row


@pytest.mark.parametrize("key", KEYS)
def test_each_guard_of_the_guarded_node_passes(key: str) -> None:
    row = backtest(checked(GUARDED), key)
    assert row.passed, row.why
    assert row.seen == row.expected
    assert row.refused >= 3
    assert row.kept == "yes"
    assert row.released


@pytest.mark.parametrize(
    ("document", "key", "note"),
    [
        ("config/setups/basis_arbitrage.yaml", "trades", ""),
        ("config/setups/basis_arbitrage.yaml", "losses", ""),
        ("backtests/runs/basis_demo.yaml", "daily", "ETHUSDT-LINEAR.BYBIT beside the universe"),
        ("config/setups/basis_arbitrage.yaml", "cooldown", "after_loss 5s: the document's 500ms"),
        ("config/setups/pairs_aggressive.yaml", "mismatch", ""),
        ("config/setups/scalper.yaml", "spread", ""),
    ],
)
def test_a_drill_knows_what_a_shipped_document_asks_of_it(
    document: str, key: str, note: str
) -> None:
    """200 trades a day, pauses of 500 ms, one perpetual, three differences, spreads of 2 ticks."""
    row = backtest(checked(ROOT / document), key)
    assert row.passed, row.why
    assert note in row.note
    assert bool(note) is bool(row.note)


@pytest.mark.slow
@pytest.mark.parametrize("document", SHIPPED, ids=lambda file: file.name)
def test_every_guard_of_a_shipped_document_passes(document: Path) -> None:
    rows = drill(checked(document), worlds=("backtest",))
    assert {row.guard: row.why for row in rows if not row.passed} == {}


def test_a_drill_names_a_guard_that_cannot_bind_on_the_documents_schedule() -> None:
    assert "can't bind on this schedule: its pauses" in backtest(checked(GUARDED), "cooldown").note
    assert not backtest(checked(GUARDED), "daily").note


def test_a_flatten_is_carried_out_by_the_desk_where_the_strategy_does_not(tmp_path: Path) -> None:
    row = backtest(drilled(tmp_path, {"daily": daily()}))
    assert (row.passed, row.seen, row.scope, row.limit) == (True, "flatten", "desk", 0.02)
    # Just beyond: 1 % above the limit, and what opening the position cost.
    assert row.measured == pytest.approx(0.0213, abs=0.0005)
    # A second of grace for the strategy, which ignores it, and one until the closer's fill.
    assert row.flat_s == pytest.approx(2.1, abs=0.2)
    assert row.verdict_s == pytest.approx(0.1, abs=0.01)


@pytest.mark.parametrize(
    ("last", "stages", "seen", "released"),
    [
        ([{"at": 0.06, "size": "flatten"}], ["shrink 0.5 at 3 %"], "flatten", "release refused"),
        # A shrink alone is seen by what the gate lets pass.
        ([], [], "shrink 0.5", "recovered"),
    ],
)
def test_each_tier_must_shrink_before_the_last_closes_everything(
    tmp_path: Path, last: list[Any], stages: list[str], seen: str, released: str
) -> None:
    tiers = guard("drawdown_tiers:DrawdownTiers", tiers=[{"at": 0.03, "size": 0.5}, *last])
    row = backtest(drilled(tmp_path, {"tiers": tiers}))
    assert row.passed, row.why
    assert (row.stages, row.seen) == (stages, seen)
    assert row.released.startswith(released)


@pytest.mark.parametrize(("limit_bps", "drilled_as_it_is"), [(400, True), (5_000, False)])
def test_slippage_is_drilled_at_limits_that_no_market_order_reaches(
    tmp_path: Path, limit_bps: int, drilled_as_it_is: bool
) -> None:
    slips = guard("slippage_breaches:SlippageBreaches", limit_bps=limit_bps)
    row = backtest(drilled(tmp_path, {"slips": slips}))
    assert row.passed, row.why
    assert ("limit_bps 500" in row.note) is not drilled_as_it_is


def test_the_same_document_gives_the_same_row_again(tmp_path: Path) -> None:
    resolved = drilled(tmp_path, {"daily": daily()})
    first, second = (asdict(backtest(resolved)) | {"took_s": 0} for _ in range(2))
    assert first == second


def test_a_guard_that_does_not_say_how_to_breach_it_is_named(tmp_path: Path) -> None:
    unknown = daily("tests.live_nodes.odd_guards:Unknown")
    resolved = drilled(tmp_path, {"daily": daily(), "mine": unknown})
    with pytest.raises(DeskError, match=r"nothing says how to drill mine \(Unknown\)") as caught:
        drill(resolved, worlds=("backtest",))
    assert caught.value.exit_code == 1


def test_a_key_that_is_no_guard_is_an_error_with_the_nearest(tmp_path: Path) -> None:
    resolved = drilled(tmp_path, {"daily": daily()})
    with pytest.raises(InputError, match=r"no enabled guard dayly \(did you mean daily\?\)"):
        drill(resolved, guards=("dayly",))


def test_a_guard_that_is_switched_off_is_not_drilled(tmp_path: Path) -> None:
    actors = {"daily": daily(), "other": daily() | {"enabled": False}}
    rows = drill(drilled(tmp_path, actors), worlds=("backtest",))
    assert [row.guard for row in rows] == ["daily", "operator"]


def test_the_kill_switch_closes_both_sides_and_is_released_by_hand(tmp_path: Path) -> None:
    row = backtest(drilled(tmp_path, {"daily": daily()}), "operator")
    assert (row.passed, row.seen, row.released) == (True, "flatten", "by hand")


def test_a_document_without_guards_has_nothing_to_drill(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no guard is enabled"):
        drill(drilled(tmp_path, {}))


def test_worlds_that_differ_fail_both_rows() -> None:
    one = DrillRow("daily", "", "backtest", seen="flatten", limit=0.02, passed=True)
    other = DrillRow("daily", "", "practice", seen="flatten", limit=0.03, passed=True)
    alone = DrillRow("peak", "", "backtest", seen="flatten", passed=True)
    compare([one, other, alone])
    assert [row.passed for row in (one, other, alone)] == [False, False, True]
    assert one.why == "the worlds differ: limit is 0.02 in backtest and 0.03 in practice"


def test_the_drills_table_holds_at_sixty_columns() -> None:
    row = DrillRow("consecutive_loss", "", "backtest", breach="x" * 90, seen="halt_entries")
    row.scope, row.verdict_s, row.flat_s = "instrument:BTCUSDT-LINEAR.BYBIT", 12.34, 20.0
    console = Console(width=60, record=True, file=io.StringIO())
    console.print(rendered([row], 1.0, 60))
    page = console.export_text()
    assert max(map(len, page.splitlines())) <= 60
    for words in ("consecutive_loss", "backtest", "12.3 s", "FAILS", "A wider terminal also"):
        assert words in page


def test_the_command_prints_rows_as_json_and_succeeds(tmp_path: Path) -> None:
    file = str(drilled_file(tmp_path, {"daily": daily()}))
    arguments = ["risk", "drill", file, "--world", "backtest", "--guard", "daily", "--json"]
    result = CliRunner().invoke(build_app(), arguments)
    assert result.exit_code == 0, result.output
    reply = json.loads(result.stdout)
    assert reply["passed"]
    [row] = reply["rows"]
    assert (row["guard"], row["world"], row["seen"]) == ("daily", "backtest", "flatten")


def test_the_command_shows_the_failure_and_fails(tmp_path: Path) -> None:
    blind = daily("tests.live_nodes.odd_guards:Blind")
    file = str(drilled_file(tmp_path, {"daily": blind}))
    arguments = ["risk", "drill", file, "--world", "backtest", "--guard", "daily"]
    result = CliRunner().invoke(build_app(), arguments)
    assert result.exit_code == 1
    words = " ".join(result.stdout.split())
    assert "daily in backtest: no flatten on desk within 20 s of the breach" in words
    assert "0 of 1 rows pass" in result.stdout


def test_a_backtest_document_is_drilled_as_well(tmp_path: Path) -> None:
    document = {
        "kind": "backtest",
        "name": "tested",
        "allow": ["tests"],
        "catalog": "nowhere",
        "window": {"start": "2024-01-01", "end": "2024-02-01"},
        "universe": {"instruments": ["BTCUSDT-LINEAR.BYBIT", "ETHUSDT-LINEAR.BYBIT"]},
        "strategies": {"steady": {"use": "tests.live_nodes.desk_strategies:Steady"}},
        "actors": {"daily": daily()},
        "venue": {"leverage": 2},
    }
    file = tmp_path / "backtest.yaml"
    file.write_text(yaml.safe_dump(document), encoding="utf-8")
    row = backtest(load(str(file)))
    assert row.passed, row.why


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
    coins = checked("live_nodes/nodes/spot_perp_practice.yaml").document
    assert instruments_of(coins, {})[:2] == (BTC, ETH)


def test_a_universe_of_one_perpetual_is_drilled_with_another(tmp_path: Path) -> None:
    resolved = drilled(
        tmp_path, {"daily": daily()}, universe={"instruments": ["ETH*-LINEAR.BYBIT"]}
    )
    assert instruments_of(resolved.document, {}) == (ETH, BTC)


def test_the_exchange_has_the_drills_instruments_and_the_expected_fees(tmp_path: Path) -> None:
    resolved = checked(GUARDED)
    made = yaml.safe_load(exchange_yaml(resolved, scene_of(resolved.document, "unhedged")))
    assert {"LTCUSDT", "LINKUSDT"} <= set(made["market"]["symbols"])
    assert made["accounts"]["main"]["fees"]["linear"] == {"maker": 0.0002, "taker": 0.00055}


@pytest.mark.parametrize("name", PRELOAD)
def test_what_nodes_are_forked_with_can_be_imported(name: str) -> None:
    # The fork server passes over a module that is not there, and each node imports it anew.
    importlib.import_module(name)
