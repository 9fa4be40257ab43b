"""The JSON Schemas, by an independent validator."""

import json
import re
from copy import deepcopy
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from config import fields
from config.documents import KINDS
from config.errors import Problem
from config.reading import plain, read_file
from config.schema import FOLDER, as_text, fields_page
from tests.config.shipped import EVERY_FILE, keys_of

MODELINE = re.compile(r"# yaml-language-server: \$schema=(\S+)\n")


def data_of(file: Path) -> Any:
    problems: list[Problem] = []
    tree = read_file(file, problems)
    assert tree is not None
    assert problems == []
    return plain(tree)


def schema_of(file: Path) -> Any:
    line = MODELINE.match(file.read_text("utf-8"))
    assert line, f"{file.name} must start with its yaml-language-server line"
    return json.loads((file.parent / line[1]).read_text("utf-8"))


@pytest.mark.parametrize("kind", KINDS)
def test_the_shipped_schema_is_fresh(kind):
    hint = "run `python -m config.schema`"
    assert (FOLDER / f"{kind}.json").read_text("utf-8") == as_text(kind), hint


def test_the_page_of_every_field_is_fresh_and_its_links_lead_somewhere():
    page = fields.FILE.read_text("utf-8")
    assert page == fields_page(), "run `python -m config.schema`"
    headings = re.findall(r"^## (.+)$", page, re.MULTILINE)
    there = {re.sub(r"[.:]", "", heading.lower()) for heading in headings}
    assert set(re.findall(r"\]\(#(.*?)\)", page)) <= there
    assert {"node", "backtest", "actors.guards.daily_loss:DailyLoss"} <= set(headings)
    limit = "| `limit_pct` | number > 0 ≤ 1 or null | `null` | Fraction of the equity at the day's"
    assert limit in page


@pytest.mark.parametrize("kind", KINDS)
def test_the_schema_is_a_schema(kind):
    jsonschema.Draft202012Validator.check_schema(json.loads(as_text(kind)))


@pytest.mark.parametrize("file", EVERY_FILE, ids=lambda file: file.name)
def test_every_shipped_file_fits_the_schema_that_it_names(file):
    schema, data = schema_of(file), data_of(file)
    jsonschema.Draft202012Validator(schema).validate(data)
    if "kind" in data:
        assert schema["title"] == f"perpdesk {data['kind']}"


@pytest.mark.parametrize("file", EVERY_FILE, ids=lambda file: file.name)
def test_the_schema_refuses_every_misspelt_key_that_it_can_see(file):
    validator, written = jsonschema.Draft202012Validator(schema_of(file)), data_of(file)
    for key in keys_of(file):
        data = deepcopy(written)
        if "params" in key.path[:-1] and "use" not in data[key.path[0]][key.path[1]]:
            continue  # Which parameters there are is said by `use`, which stands in the parent.
        if key.path[-2:-1] == ("clusters",):
            continue  # A name that is free.
        holder = data
        for step in key.path[:-1]:
            holder = holder[step]
        holder["Misspelt_" + key.path[-1]] = holder.pop(key.path[-1])
        assert not validator.is_valid(data), key


def test_an_editor_sees_a_parameter_out_of_range():
    file = next(file for file in EVERY_FILE if file.parts[-2:] == ("setups", "xs_reversal.yaml"))
    data = data_of(file)
    data["strategies"]["reversal"]["params"]["lookback"] = 0
    with pytest.raises(jsonschema.ValidationError, match="less than the minimum of 1"):
        jsonschema.Draft202012Validator(schema_of(file)).validate(data)
