"""`perpdesk list`, `describe`, `init` and shipped names."""

import re

import pytest

from config.commands import LISTS
from config.components import resolve, shipped_addresses
from config.describe import describe
from config.errors import InputError
from config.load import load
from config.params import parameter_fields
from config.project import write_project
from config.shipped import FOLDERS, file_of, names
from config.validate import validate


def test_every_component_and_shipped_document_is_listed_with_a_line_about_it():
    listed = dict(row for what in LISTS.keys() - {"formats"} for row in LISTS[what]())
    documents = [name for group in FOLDERS for name in names(group)]
    assert set(listed) == {*shipped_addresses(), *documents}
    assert [name for name, text in listed.items() if not text] == []


def test_a_description_says_range_default_and_meaning():
    (limit,) = (
        p
        for p in describe("actors.guards.daily_loss:DailyLoss").parameters
        if p.name == "limit_pct"
    )
    assert (limit.allowed, limit.default) == ("a number or null > 0 and <= 1", "null")
    assert limit.text == "Fraction of the equity at the day's start."
    found = {p.name: p for p in describe("strategies.xs_reversal:XSReversal").parameters}
    assert found["lookback"].allowed == "a whole number >= 1 and <= 1000"
    assert found["at"].default == '"00:05"'
    assert found["execution.place"].allowed == "join, improve, behind"


def test_the_keys_of_an_optional_block_are_described_after_it():
    found = {p.name: p for p in describe("tests.config.test_components:PlainStrategy").parameters}
    assert (found["band"].allowed, found["band"].default) == ("a mapping of keys or null", "null")
    assert (found["band.low"].allowed, found["band.low"].default) == ("a number >= 0", "0.0")
    assert list(found)[-3:] == ["band", "band.low", "band.high"]


def test_the_keys_of_what_stands_in_a_list_or_under_names_are_described_after_it():
    found = [p.name for p in describe("strategies.xs_momentum:XSMomentum").parameters]
    first = found.index("protection.take")
    assert found[first + 1 : first + 3] == ["protection.take[].at", "protection.take[].fraction"]
    found = [p.name for p in describe("strategies.blend:XSBlend").parameters]
    first = found.index("scorers")
    assert found[first + 1 : first + 3] == ["scorers.NAME.use", "scorers.NAME.weight"]


def test_a_parameter_that_is_a_number_or_a_word_says_both():
    found = {p.name: p for p in describe("actors.guards.drawdown_tiers:DrawdownTiers").parameters}
    assert found["tiers[].size"].allowed == "a number >= 0 and < 1 or flatten"


@pytest.mark.parametrize("use", list(shipped_addresses()))
def test_no_parameter_of_a_component_is_left_without_words(use):
    found = describe(use).parameters
    tops = {re.split(r"\W", p.name)[0] for p in found}
    assert tops == set(parameter_fields(resolve(use).Config))
    assert [p.name for p in found if not p.text or not p.allowed] == []


def test_a_shipped_setup_is_extended_by_name(tmp_path):
    file = tmp_path / "mine.yaml"
    file.write_text("kind: setup\nname: mine\nextends: perpdesk:setups/xs_reversal\n")
    mine, shipped = load(file).complete, load(file_of("perpdesk:setups/xs_reversal")).complete
    assert mine == {**shipped, "name": "mine"}


def test_a_shipped_name_that_does_not_exist_gets_the_nearest(tmp_path):
    file = tmp_path / "mine.yaml"
    file.write_text("kind: setup\nname: mine\nextends: perpdesk:setups/xs_reversl\n")
    (problem,) = validate(file)
    assert (problem.line, problem.path) == (3, "extends")
    assert problem.suggestion == "perpdesk:setups/xs_reversal"


def test_init_writes_a_sound_project_once(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.chdir(tmp_path)
    written = write_project(tmp_path)
    assert {".env.example", ".gitignore", "my_idea.py"} < {file.name for file in written}
    for name in ("setups/my_idea.yaml", "backtests/my_idea.yaml", "nodes/practice.yaml"):
        assert validate(tmp_path / name) == []
        first = (tmp_path / name).read_text().splitlines()[0]
        assert (tmp_path / name).parent.joinpath(first.rpartition("=")[2]).is_file()
    (tmp_path / "my_idea.py").unlink()
    with pytest.raises(InputError, match="would be overwritten"):
        write_project(tmp_path)
    assert not (tmp_path / "my_idea.py").exists()
