"""Search space: values by hand, draws that repeat with the seed, and paths that are none."""

import json
import math

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from backtests.studies.search_space import (
    check_paths,
    draw,
    neighbours,
    place_of,
    settings,
    value_at,
)
from config.documents import Dimension
from config.errors import InputError
from config.load import load, varied

BASE = load("backtests/runs/xs_reversal_demo.yaml")
PARAMS = "strategies.reversal.params"


def space(**dimensions):
    return {name: Dimension.model_validate(each) for name, each in dimensions.items()}


MIXED = space(
    lookback={"int": [1, 20]},
    fraction={"float": [0.05, 0.5]},
    band={"float": [1e-5, 1e-1], "log": True},
    weighting={"choice": ["equal", "score", None]},
)


@pytest.mark.parametrize(
    ("dimension", "values"),
    [
        ({"int": [1, 3]}, [1, 2, 3]),
        ({"int": [1, 8], "step": 3}, [1, 4, 7]),
        ({"float": [0.1, 0.3], "step": 0.1}, [0.1, 0.2, 0.3]),
        ({"choice": ["a", None, True]}, ["a", None, True]),
        ({"float": [0.0, 1.0]}, [0.166667, 0.5, 0.833333]),
        ({"float": [1.0, 1e6], "log": True}, [10.0, 1_000.0, 100_000.0]),
        ({"int": [1, 63], "log": True}, [2, 8, 32]),
    ],
)
def test_the_values_of_a_dimension_in_three_equal_parts(dimension, values):
    found = Dimension.model_validate(dimension)
    assert [value_at(found, place) for place in (1 / 6, 0.5, 5 / 6)] == values


@pytest.mark.parametrize(
    ("dimension", "value", "place", "beside"),
    [
        ({"int": [1, 20]}, 1, 0.0, [2]),
        ({"int": [1, 20]}, 20, 1.0, [19]),
        ({"int": [1, 20]}, 5, 4 / 19, [4, 6]),
        ({"int": [0, 1000]}, 100, 0.1, [50, 150]),
        ({"int": [1, 8], "step": 3}, 4, 0.5, [1, 7]),
        ({"int": [1, 100], "log": True}, 2, 0.150515, [1, 3]),
        ({"float": [0.1, 0.54], "step": 0.1}, 0.5, 1.0, [0.4]),
        ({"float": [2.0, 4.0]}, 3.95, 0.975, [3.85, 4.0]),
        ({"float": [1.0, 1e4], "log": True}, 100.0, 0.5, [63.0957, 158.489]),
        ({"choice": ["1d", "2d", "4d"]}, "2d", 0.5, ["1d", "4d"]),
        ({"choice": [None]}, None, 0.0, []),
    ],
)
def test_neighbours_are_one_step_away_at_least_a_twentieth_of_the_range(
    dimension, value, place, beside
):
    dimension = Dimension.model_validate(dimension)
    assert place_of(dimension, value) == pytest.approx(place, abs=1e-6)
    found = neighbours({"a": dimension, "b": Dimension(choice=(7,))}, {"a": value, "b": 7})
    assert found == [{"a": each, "b": 7} for each in beside]


@given(place=st.floats(0, 1))
def test_values_never_leave_their_range_and_the_ends_are_part_of_it(place):
    low, high, step = math.pi, 10 + math.e, 0.7
    for extra in ({}, {"log": True}, {"step": step}):
        found = Dimension.model_validate({"float": [low, high], **extra})
        assert (
            low - 1e-9 <= value_at(found, 0) <= value_at(found, place) <= value_at(found, 1) <= high
        )
    whole = Dimension(int=(2, 1_000), log=True)
    assert 2 == value_at(whole, 0) <= value_at(whole, place) <= value_at(whole, 1) == 1_000


@pytest.mark.parametrize("method", ["random", "sobol", "grid"])
def test_candidates_differ_repeat_with_the_seed_and_have_the_paths_in_order(method):
    found = draw(MIXED, method, 100, seed=1)
    assert found == draw(MIXED, method, 100, seed=1)
    assert len({json.dumps(one) for one in found}) == len(found)
    assert 80 < len(found) <= 100
    assert all(list(one) == list(MIXED) for one in found)
    assert (found == draw(MIXED, method, 100, seed=2)) == (method == "grid")
    assert {one["weighting"] for one in found} == {"equal", "score", None}


def test_a_sobol_sequence_fills_the_space_more_evenly_than_chance():
    one = space(x={"float": [0.0, 1.0]})
    quarters = [int(found["x"] * 16) for found in draw(one, "sobol", 64, 3)]
    assert {quarters.count(i) for i in range(16)} == {4}


def test_a_grid_has_the_ends_of_each_range_and_all_choices():
    found = draw(MIXED, "grid", 30, seed=0)
    assert len(found) == 24  # 2 x 2 x 2 x 3
    assert {one["lookback"] for one in found} == {1, 20}
    assert {one["band"] for one in found} == {1e-5, 1e-1}
    with pytest.raises(InputError, match="choices alone make 3 candidates, more than 2"):
        draw(MIXED, "grid", 2, seed=0)


@pytest.mark.parametrize("method", ["random", "sobol", "grid"])
def test_a_space_with_no_more_than_is_wanted_gives_all_of_it(method):
    small = space(a={"int": [1, 4]}, b={"choice": ["x", "y"]}, c={"int": [1, 3], "log": True})
    assert len(draw(small, method, 24, 0)) == len(draw(small, method, 99, 0)) == 24
    assert len(draw(small, "random", 23, 0)) == 23


def test_settings_are_read_back_as_the_same_values():
    candidate = {"a.b": 1e-05, "c": "1d", "d": None, "e": True, "f": {"annual": 0.2}, "g": "12:05"}
    read = {one.partition("=")[0]: one.partition("=")[2] for one in settings(candidate)}
    assert {path: yaml.safe_load(text) for path, text in read.items() if path != "a.b"} == {
        path: value for path, value in candidate.items() if path != "a.b"
    }
    resolved, problems = varied(BASE, settings({f"{PARAMS}.max_spread_bps": 1e-05}))
    assert not problems
    assert resolved.data["strategies"]["reversal"]["params"]["max_spread_bps"] == 1e-05


def test_a_path_that_the_document_does_not_have_is_an_error_not_a_pruned_trial():
    check_paths(BASE, {f"{PARAMS}.lookback": MIXED["lookback"], "venue.leverage": MIXED["band"]})
    with pytest.raises(InputError, match=r"^\S+ has no 'lokback' \(did you mean lookback\?\)"):
        check_paths(BASE, {f"{PARAMS}.lokback": MIXED["lookback"]})
    with pytest.raises(InputError, match="nothing inside of what is null"):
        check_paths(BASE, {f"{PARAMS}.kelly.fraction": MIXED["fraction"]})
