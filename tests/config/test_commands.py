"""The commands, as a user calls them."""

import json
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from config.commands import register
from config.errors import DocumentErrors, InputError
from config.load import load
from config.validate import validate, validate_with_files

DEMO = "backtests/runs/xs_reversal_demo.yaml"
PAPER = "live_nodes/nodes/xs_reversal_paper.yaml"
NODE = "live_nodes/nodes/xs_reversal_practice.yaml"
SCALPER = "live_nodes/nodes/scalper_practice.yaml"
BROKEN = "tests/config/broken/01_unknown_key.yaml"

app = typer.Typer()
register(app)
run = CliRunner()


def test_validate_says_well_of_what_is_well():
    result = run.invoke(app, ["validate", "config/setups/xs_reversal.yaml"])
    assert result.exit_code == 0
    assert result.stdout == (
        "config/setups/xs_reversal.yaml: well\nconfig/setups/xs_reversal.yaml: not checked: "
        "whether the universe's instruments exist: the setup names no catalog\n"
    )


def test_validate_names_what_it_could_not_check():
    settings = ["--set", "catalog=nonexist"]
    result = run.invoke(app, ["validate", DEMO, *settings])
    assert isinstance(result.exception, DocumentErrors)
    assert "--set: catalog: there is no catalog in nonexist" in str(result.exception)
    assert "so instruments and times are not checked" in str(result.exception)


@pytest.mark.parametrize(
    ("use", "params", "named"),
    [
        ("daily_loss:DailyLoss", {"release": "recovered"}, "end at midnight"),
        ("daily_loss:DailyLoss", {"release": "next_day"}, ""),
        ("daily_loss:DailyLoss", {"release": "30m", "action": "halt_entries"}, "within 30m"),
        ("daily_loss:DailyLoss", {"release": "30m", "action": "flatten"}, ""),
        ("max_drawdown:MaxDrawdown", {"release": "recovered"}, ""),
        ("cooldown:Cooldown", {}, "last 5s"),
        ("cooldown:Cooldown", {"after_loss": "30h"}, ""),
        ("trades_per_day:TradesPerDay", {"limit": 1}, "has 1 of its decisions"),
        ("funding_window:FundingWindow", {}, "outside of which"),
        ("funding_window:FundingWindow", {"after": "6m"}, ""),
    ],
)
def test_validate_names_a_guard_that_cannot_bind_on_the_schedule(tmp_path, use, params, named):
    limit = {"limit_pct": 0.1} if "loss:" in use or "down:Max" in use else {}
    component = {"use": f"actors.guards.{use}", "params": params | limit}
    reversal = {"use": "strategies.xs_reversal:XSReversal", "params": {"at": "00:05"}}
    document = {"kind": "setup", "name": "x", "universe": {"instruments": ["*-LINEAR.BYBIT"]}}
    document |= {"strategies": {"rev": reversal}, "actors": {"g": component}}
    file = tmp_path / "x.yaml"
    file.write_text(json.dumps(document), encoding="utf-8")
    assert validate(file) == []
    remark = "\n".join(validate_with_files(file)[2])
    assert remark.startswith("actors.g: can't bind") is bool(named)
    assert named in remark
    assert run.invoke(app, ["validate", str(file)]).stdout.count("can't bind") == bool(named)


def test_validate_names_a_node_without_guards():
    lines = run.invoke(app, ["validate", NODE, "--set", "actors.daily.enabled=false"]).stdout
    assert "no guard is enabled" not in lines
    keys = load(NODE).document.actors
    off = [word for key in keys for word in ("--set", f"actors.{key}.enabled=false")]
    assert f"{NODE}: no guard is enabled" in run.invoke(app, ["validate", NODE, *off]).stdout


def test_validate_checks_the_practice_market_that_a_node_names(tmp_path):
    market = tmp_path / "market.yaml"

    def check() -> list[str]:
        result = run.invoke(app, ["validate", NODE, "--set", f"practice.market={market}"])
        assert isinstance(result.exception, DocumentErrors)
        return [str(problem) for problem in result.exception.problems]

    assert check() == [f"--set: practice.market: there is no file {market}"]
    market.write_text("kind: exchange\nname: x\nacounts: {}\n", encoding="utf-8")
    assert any(line.startswith(f"{market}:3:1: acounts: unknown key") for line in check())


def test_validate_raises_the_problems_of_all_files_at_once():
    result = run.invoke(app, ["validate", PAPER, BROKEN, "tests/config/broken/13_syntax.yaml"])
    assert isinstance(result.exception, DocumentErrors)
    assert len(result.exception.problems) == 3


def test_validate_speaks_json():
    result = run.invoke(app, ["validate", "--json", BROKEN])
    assert result.exit_code == 2
    answer = json.loads(result.stdout)
    assert answer["ok"] is False
    place = {"file": BROKEN, "line": 5, "col": 3, "path": "venue.levrage"}
    words = {"message": "unknown key", "suggestion": "leverage"}
    assert answer["problems"][0] == place | words


def test_explain_shows_values_and_their_places():
    result = run.invoke(app, ["explain", DEMO, "venue.slippage", "--set", "venue.slippage.bps=3"])
    assert [line.split() for line in result.stdout.splitlines()] == [
        ["venue.slippage.model:", '"fixed_bps"', "#", "config/presets/bybit_venue.yaml:9:21"],
        ["venue.slippage.bps:", "3", "#", "--set"],
    ]


def test_explain_shows_defaults_of_parameters(write):
    text = 'kind: setup\nname: x\nstrategies: {a: {use: "strategies.xs_reversal:XSReversal"}}\n'
    path = "strategies.a.params.lookback"
    result = run.invoke(app, ["explain", str(write("x.yaml", text)), path, "--json"])
    assert json.loads(result.stdout) == [
        {"path": path, "value": 1, "file": "default", "line": 0, "col": 0}
    ]


@pytest.mark.parametrize(
    ("file", "settings", "most"),
    [
        # 5 is no 5 %; the whole book is 1 of equity.
        (DEMO, ["strategies.reversal.params.max_weight=5"], "1 x equity, 100,000 USDT on 100,000"),
        (
            DEMO,
            [
                "strategies.reversal.params.max_weight=5",
                "strategies.reversal.params.gross_leverage=8",
                "strategies.reversal.params.allocation=0.5",
                "venue.starting_balance=2000",
            ],
            "2.5 x equity, 5,000 USDT on 2,000",
        ),
        (
            SCALPER,
            ["strategies.scalper.params.max_weight=2.5"],
            "2.5 x equity, 25,000 USDT on 10,000",
        ),
        # The gate lets no more through.
        (SCALPER, ["strategies.scalper.params.max_weight=5"], "3 x equity, 30,000 USDT on 10,000"),
        (
            SCALPER,
            ["environment=paper", "account.balance=500"],
            "0.3 x equity, 150 USDT on 500",
        ),
    ],
)
def test_explain_says_how_large_a_position_a_max_weight_allows(file, settings, most):
    words = [word for setting in settings for word in ("--set", setting)]
    done = run.invoke(app, ["explain", file, *words])
    [line] = [line for line in done.stdout.splitlines() if ".params.max_weight:" in line]
    assert line.endswith(f"; one position: at most {most}")
    key = line.partition(":")[0]
    [row] = json.loads(run.invoke(app, ["explain", file, key, *words, "--json"]).stdout)
    assert row["note"] == f"one position: at most {most}"


def test_explain_of_a_path_that_is_not_there_suggests_one():
    result = run.invoke(app, ["explain", DEMO, "venue.leverag"])
    assert isinstance(result.exception, InputError)
    assert "did you mean venue.leverage?" in str(result.exception)


def test_diff_shows_values_and_not_spelling(write):
    text = f"extends: {Path.cwd() / DEMO}\nkind: backtest\nname: a\n"
    venue = "venue: {leverage: 5.0, slippage: {model: base_plus_size}}\n"
    left, right = str(write("left.yaml", text)), str(write("right.yaml", text + venue))
    assert run.invoke(app, ["diff", left, left]).stdout == "No difference.\n"
    assert run.invoke(app, ["diff", left, right]).stdout.splitlines() == [
        'venue.slippage.model: "fixed_bps" -> "base_plus_size"',
        "venue.slippage.bps: 2 -> (none)",
        "venue.slippage.base: (none) -> 0.0005",
        "venue.slippage.per: (none) -> 10000",
        "venue.slippage.cap: (none) -> 0.01",
    ]
    rows = json.loads(run.invoke(app, ["diff", left, right, "--json"]).stdout)
    bps = {"path": "venue.slippage.bps", "left": 2, "right": None, "missing": ["right"]}
    assert rows[1] == bps


def test_schema_prints_what_is_shipped():
    result = run.invoke(app, ["schema", "backtest"])
    assert result.stdout == Path("config/schemas/backtest.json").read_text("utf-8")
    assert isinstance(run.invoke(app, ["schema", "backtset"]).exception, InputError)


@pytest.mark.parametrize("command", ["validate", "explain", "diff", "schema"])
def test_help_has_an_example(command):
    assert f"Example: perpdesk {command}" in run.invoke(app, [command, "--help"]).stdout
