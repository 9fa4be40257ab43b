import json

import numpy as np
import pyarrow.parquet as pq
import pytest
import typer
from typer.testing import CliRunner

from backtests import commands
from config.errors import DocumentErrors, InputError

SECOND = "tests.backtests.given_weights:GivenWeights"


@pytest.fixture
def app():
    made = typer.Typer()
    made.callback()(lambda: None)
    commands.register(made)
    return made


def call(app, *words):
    return CliRunner().invoke(app, ["screen", *map(str, words)], catch_exceptions=False)


def figures(app, file):
    said = json.loads(call(app, file, "--json").stdout)
    return said["strategies"]["reversal"]["figures"]


def shown(got):
    """Return the rows of the table that is printed, by label."""
    rows = [line.split("│")[1:3] for line in got.stdout.splitlines() if line.startswith("│")]
    return {label.strip(): value.strip() for label, value in rows}


def test_json_holds_figures_and_a_row_a_period(app, write_run):
    got = call(app, write_run(), "--json")
    said = json.loads(got.stdout)["strategies"]["reversal"]
    assert got.exit_code == 0
    assert said["figures"]["decisions"] == said["figures"]["days"] == len(said["periods"]) == 59
    first = said["periods"][0]
    assert set(first) == {"ts", "gross", "net", "turnover"}
    # Two on each side, capped at a fifth each, for 0.055 % and 2 basis points of slippage.
    assert first["turnover"] == pytest.approx(0.8)
    assert first["gross"] - first["net"] == pytest.approx(0.8 * 0.00075)


def test_a_repeated_screen_gives_the_same_bytes(app, write_run):
    file = write_run()
    assert call(app, file, "--json").stdout == call(app, file, "--json").stdout


def test_the_table_shows_the_figures(app, write_run):
    found, table = figures(app, write_run()), shown(call(app, write_run()))
    expected = {
        "return": f"{found['return_pct']:.2f}%",
        "costs (of equity, summed)": f"{found['cost_pct']:.2f}%",
        "yearly growth": f"{100 * found['cagr']:.2f}%",
        "volatility": f"{100 * found['volatility']:.2f}%",
        "max drawdown": f"{100 * found['max_drawdown']:.2f}%",
        "Sharpe before costs": f"{found['gross_sharpe']:.2f}",
        "days": "59",
    }
    assert expected == {label: table[label] for label in expected}


def test_a_window_without_a_whole_candle_has_no_figures(app, write_run):
    # The only close inside decides; the next one is outside.
    file = write_run(window={"start": "2023-02-01T12:00", "end": "2023-02-02T12:00"})
    got = call(app, file)
    table = shown(got)
    assert (table.pop("days"), table.pop("decisions")) == ("0", "1")
    assert set(table.values()) == {"–"}
    assert "reversal: no whole 1d candle after a decision fits into the window" in got.stderr
    assert figures(app, file)["return_pct"] is None


def test_weights_are_written_with_the_reasons(app, write_run, tmp_path):
    use = "strategies.xs_reversal:XSReversal"
    choosy = {"reversal": {"use": use, "params": {"top_n": 5, "max_weight": 0.5}}}
    out = tmp_path / "weights.parquet"
    call(app, write_run(strategies=choosy), "--json", "--weights", out)
    rows = pq.read_table(out).to_pandas()
    assert set(rows.strategy) == {"reversal"}
    assert rows.groupby("ts").weight.apply(lambda w: w.abs().sum()).between(0.99, 1.01).all()
    assert "left out: not among the 5 with the most turnover" in set(rows.reason)


def test_a_wrong_document_is_refused_with_its_line(app, write_run):
    params = {"lookback": 0}
    file = write_run(
        strategies={"reversal": {"use": "strategies.xs_reversal:XSReversal", "params": params}}
    )
    with pytest.raises(DocumentErrors, match=r"small\.yaml:\d+:\d+: .*lookback"):
        call(app, file)


def test_a_strategy_that_ranks_nothing_is_refused(app, write_run, tmp_path):
    params = {"file": str(tmp_path / "none.npz")}
    np.savez(params["file"], ts=np.array([0]), ids=np.array(["A"]), weights=np.zeros((1, 1)))
    file = write_run(allow=["tests"], strategies={"given": {"use": SECOND, "params": params}})
    with pytest.raises(InputError, match=r"GivenWeights is no PanelRebalancer"):
        call(app, file)
