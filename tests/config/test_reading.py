"""YAML to values with places."""

import math

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from config.errors import Problem
from config.reading import Dumper, Origin, Tree, plain, read_text


def read(text: str) -> Tree:
    problems: list[Problem] = []
    tree = read_text(text, "x.yaml", problems)
    assert problems == []
    assert tree is not None
    return tree


def problems_of(text: str) -> list[str]:
    problems: list[Problem] = []
    read_text(text, "x.yaml", problems)
    return [str(problem) for problem in problems]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("12:05", "12:05"),
        ("no", "no"),
        ("on", "on"),
        ("1e-4", 0.0001),
        ("5_000_000", 5_000_000),
        (".5", 0.5),
        ("0x10", 16),
        ("007", 7),
        ("2024-01-31", "2024-01-31"),
        ("~", None),
        ("", None),
        ("True", True),
        ('"true"', "true"),
        ("!!str 5", "5"),
        (".nan", ".nan"),
    ],
)
def test_scalars_mean_what_a_trader_reads(text, value):
    got = plain(read(f"key: {text}"))["key"]
    assert got == value
    assert type(got) is type(value)


def test_every_value_knows_its_place():
    tree = read("a:\n  b: [1, 22]\n")
    assert isinstance(tree.value, dict)
    inner = tree.value["a"].value
    assert isinstance(inner, dict)
    assert inner["b"].key == Origin("x.yaml", 2, 3)
    items = inner["b"].value
    assert isinstance(items, list)
    assert items[1].origin == Origin("x.yaml", 2, 10)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a: 1\na: 2", "x.yaml:2:1: a: duplicate key; it is already in line 1"),
        ("a:\n\tb: 1", "x.yaml:2:1: tabs can't indent YAML: use spaces"),
        ("", "x.yaml:1:1: is empty"),
        ("a: !!python/object:os.system x", "x.yaml:1:4: a: the tag tag:yaml.org,2002:python"),
        ("a: &x [*x]", "x.yaml:1:4: a: an alias holds itself"),
        ("a: 1e999", "x.yaml:1:4: a: 1e999 is too large a number"),
        ("a: !!int several", "x.yaml:1:4: a: "),
        ("<<: {a: 1}", "x.yaml:1:1: merge keys (<<) are not read; use extends"),
        ("? [a]\n: 1", "x.yaml:1:3: a key must be a word"),
        ("a: 1\n---\nb: 2", "x.yaml:2:1: YAML syntax: expected a single document"),
        ("a: \x00", "x.yaml:1:1: YAML syntax: special characters are not allowed"),
        ("a: *nobody", "x.yaml:1:4: text that begins with one of * @"),
    ],
)
def test_bad_yaml_is_named_with_its_place(text, expected):
    assert problems_of(text)[0].startswith(expected)


def test_deep_nesting_is_an_error_and_no_crash():
    assert problems_of("[" * 5000 + "]" * 5000)[0] == "x.yaml:1:1: is nested too deeply"


scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(10**15), 10**15)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec="utf-8", categories=("L", "N", "P", "S", "Zs")), max_size=12)
)


@given(
    st.dictionaries(
        st.text("abcdefghij_", min_size=1, max_size=6),
        scalars | st.lists(scalars, max_size=3),
        min_size=1,
        max_size=4,
    )
)
def test_what_is_written_reads_back_the_same(data):
    got = plain(read(yaml.dump(data, Dumper=Dumper, allow_unicode=True, sort_keys=False)))
    assert got == data
    assert [type(value) for value in got.values()] == [type(value) for value in data.values()]
    assert not any(isinstance(value, float) and math.isnan(value) for value in got.values())
