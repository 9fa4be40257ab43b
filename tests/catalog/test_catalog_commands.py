"""The catalog's commands: what they print, what they leave, how they exit."""

import json
import re
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import typer
from typer.testing import CliRunner, Result

from catalog import show
from catalog.commands import register
from catalog.storage.store import Catalog
from config.errors import InputError
from tests.catalog.market import BTC, HOUR, START, candles, write

app = typer.Typer()
register(app)


def run(*words: str | Path) -> Result:
    """Run a command line."""
    return CliRunner().invoke(app, ["catalog", *map(str, words)])


def a_table(path: Path, count: int = 50) -> Path:
    """A Parquet file of hourly BTC candles, stamped by their opens."""
    table = candles(count)
    opens = table.column("ts").to_numpy() - HOUR
    pq.write_table(table.drop_columns(["ts"]).append_column("date", [opens]), path)
    return path


def test_every_command_shows_an_example():
    for name in ("demo", "import", "pull", "resample", "ls", "check", "rebuild"):
        shown = run(name, "--help")
        assert shown.exit_code == 0
        assert f"Example: perpdesk catalog {name}" in shown.output.replace("\n", " ")


def test_a_small_demo_market_is_made_looked_at_checked_and_rebuilt(tmp_path, monkeypatch):
    made = run("demo", "--catalog", tmp_path, "--days", "30", "--perps", "6", "--json")
    assert made.exit_code == 0
    assert json.loads(made.stdout)["changed"] is True

    listed = json.loads(run("ls", "--catalog", tmp_path, "--json").stdout)
    assert set(listed["series"]) == {"bars/1h", "bars/1d", "mark/1h", "funding"}
    assert len(listed["instruments"]) == 8
    assert listed["provenance"][0]["source_venue"] == "simulated"
    assert BTC in run("ls", "--catalog", tmp_path).stdout
    monkeypatch.setattr(show, "WIDTH", 60)
    narrow = run("ls", "--catalog", tmp_path).stdout
    assert re.search(rf"{BTC} +[0-9.]+ +[0-9.]+ +\d{{4}}-\d\d-\d\d *\n", narrow), narrow
    assert "A wider terminal also shows: min notional, funding" in narrow
    monkeypatch.undo()

    assert run("check", "--catalog", tmp_path).exit_code == 0
    rebuilt = run("rebuild", "--catalog", tmp_path, "--json")
    assert json.loads(rebuilt.stdout)["series"] == 16
    again = run("demo", "--catalog", tmp_path, "--days", "30", "--perps", "6")
    assert "Nothing new" in again.stdout


def test_a_demo_market_is_not_mixed_into_other_data(tmp_path):
    write(tmp_path, BTCUSDT=candles(10))
    refused = run("demo", "--catalog", tmp_path, "--days", "30", "--perps", "6")
    assert isinstance(refused.exception, InputError)
    assert "holds other data already" in str(refused.exception)


def test_an_import_says_what_it_brought_and_guessed(tmp_path):
    file = a_table(tmp_path / "BTCUSDT.parquet")
    done = run("import", "ohlcv_table", file, "--catalog", tmp_path / "c", "--note", "by hand")
    assert done.exit_code == 0
    assert "50 bars/1h of 1 instruments" in " ".join(done.stdout.split())
    assert "guessed from their prices" in " ".join(done.stdout.split())
    (entry,) = Catalog(tmp_path / "c").provenance
    assert (entry.note, entry.files[0].name) == ("by hand", "BTCUSDT.parquet")
    assert entry.first == START + HOUR


@pytest.mark.parametrize(("option", "value"), [("--product", "inverse"), ("--stamp", "middle")])
def test_an_option_that_is_none_is_refused_with_what_would_be_right(tmp_path, option, value):
    file = a_table(tmp_path / "BTCUSDT.parquet")
    done = run("import", "ohlcv_table", file, "--catalog", tmp_path / "c", option, value)
    assert isinstance(done.exception, InputError)
    assert f"{option} must be" in str(done.exception)


def test_a_check_exits_with_one_and_a_table_when_something_is_wrong(tmp_path):
    table = candles(50)
    write(tmp_path, BTCUSDT=table.take([*range(10), *range(13, 50)]))
    checked = run("check", "--catalog", tmp_path)
    as_json = run("check", "--catalog", tmp_path, "--json")
    assert checked.exit_code == as_json.exit_code == 1
    assert "3 candles missing" in checked.stdout
    found = json.loads(as_json.stdout)
    assert found["wrong"] == 1
    assert found["findings"][0]["check"] == "gap"


def test_a_pull_needs_an_ingest(tmp_path):
    root = Path(__file__).resolve().parents[2]
    done = run("pull", root / "config" / "setups" / "xs_reversal.yaml")
    assert isinstance(done.exception, InputError)
    assert "needs kind: ingest" in str(done.exception)
