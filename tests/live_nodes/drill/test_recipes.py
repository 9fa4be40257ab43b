"""Every guard that is shipped has a recipe, and every recipe belongs to a guard."""

from __future__ import annotations

import pytest

from actors.desk.guard import Guard
from config.components import resolve, shipped
from live_nodes.drill.documents import OPERATOR_USE
from live_nodes.drill.recipes import RECIPES, recipe_of
from tests.live_nodes.drill.broken import Blind, Unknown

GUARDS = [use for use in shipped() if issubclass(resolve(use), Guard)]


def test_there_are_guards() -> None:
    assert len(GUARDS) >= 29


@pytest.mark.parametrize("use", GUARDS)
def test_each_shipped_guard_has_a_recipe(use: str) -> None:
    assert recipe_of(resolve(use)) is not None


@pytest.mark.parametrize("use", sorted(RECIPES))
def test_each_recipe_is_of_a_shipped_guard_or_the_operators(use: str) -> None:
    assert use in (*GUARDS, OPERATOR_USE)


def test_a_derived_guard_is_drilled_as_the_one_that_it_is_derived_from() -> None:
    assert recipe_of(Blind) is RECIPES["actors.losses:DailyLoss"]


def test_a_guard_of_no_known_kind_has_no_recipe() -> None:
    assert recipe_of(Unknown) is None
