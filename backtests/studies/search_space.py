"""Search space: candidates by random draw, Sobol sequence or grid, seeded; neighbours.

A space maps dotted paths in a Backtest (``strategies.reversal.params.lookback``) to `Dimension`s; a
candidate maps the same paths to values. No candidate comes twice.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Mapping
from itertools import product
from typing import Any

import numpy as np
from scipy.stats import qmc

from config.documents.search_space import Dimension
from config.errors import InputError, hint
from config.load import parse_path
from config.resolved import Resolved

Space = Mapping[str, Dimension]
Candidate = dict[str, Any]
SHORTEST_STEP = 0.05
"""Part of a range by which neighbours differ at least."""
_PATIENCE = 50
"""Draws for each wanted candidate, at most: in a small space they begin to repeat."""


def draw(space: Space, method: str, count: int, seed: int) -> list[Candidate]:
    """Return at most so many different candidates; all there are, where they are no more.

    Raises InputError for a grid whose choices alone are more.
    """
    if space_size(space) <= count:
        return _every(space, map(_all, space.values()))
    return METHODS[method](space, count, seed)


def space_size(space: Space) -> float:
    """Return how many candidates there are; infinite where a range is continuous."""
    return math.prod(map(size, space.values()))


def value_at(dimension: Dimension, place: float) -> Any:
    """Return the value at a place from 0 (the least) to 1 (the largest, or last choice)."""
    if dimension.choice is not None:
        return dimension.choice[_index(place, len(dimension.choice))]
    if dimension.int is not None:
        low, high = dimension.int
        if dimension.log:
            # Each whole number has the stretch up to the next one.
            return min(high, int(low * ((high + 1) / low) ** place))
        return low + _index(place, int(size(dimension))) * int(dimension.step or 1)
    assert dimension.float is not None
    least, largest = dimension.float
    if dimension.step is not None:
        return rounded(dimension, least + _index(place, int(size(dimension))) * dimension.step)
    if dimension.log:
        return rounded(dimension, least * (largest / least) ** place)
    return rounded(dimension, least + (largest - least) * place)


def rounded(dimension: Dimension, value: Any) -> Any:
    """Return a number of a range with the digits that it is written with."""
    if dimension.float is None:
        return value
    if dimension.step is not None:
        return _digits(value, 12)
    # Six digits say as much, and can be read; rounding must not leave the range.
    return min(max(_digits(value, 6), dimension.float[0]), dimension.float[1])


def place_of(dimension: Dimension, value: Any) -> float:
    """Return the place of a value from 0 (the least) to 1 (the largest, or last choice)."""
    if dimension.choice is not None:
        return dimension.choice.index(value) / max(1, len(dimension.choice) - 1)
    ends = dimension.int or dimension.float
    assert ends is not None
    least, largest = map(float, ends)
    if dimension.log:
        return math.log(value / least) / math.log(largest / least)
    if dimension.step is not None:
        largest = least + (size(dimension) - 1) * dimension.step  # the last on the grid
    return (float(value) - least) / (largest - least)


def step_of(dimension: Dimension) -> float:
    """Return how far a neighbour is, as a part of the range."""
    return max(1 / max(1.0, size(dimension) - 1), SHORTEST_STEP)


def neighbours(space: Space, candidate: Candidate) -> list[Candidate]:
    """Return the candidates that are one step away in one dimension, down and up.

    A step is the dimension's own, or a twentieth of its range where that is longer; of a choice it
    leads to the value beside it. There is none beyond the ends.
    """
    return [
        candidate | {path: value}
        for path, dimension in space.items()
        for value in _beside(dimension, candidate[path])
    ]


def _beside(dimension: Dimension, value: Any) -> list[Any]:
    if dimension.choice is not None:
        at = dimension.choice.index(value)
        return [*dimension.choice[max(0, at - 1) : at], *dimension.choice[at + 1 : at + 2]]
    step, found = step_of(dimension), []
    for sign in (-1, 1):
        place = min(max(place_of(dimension, value) + sign * step, 0.0), 1.0)
        other = value_at(dimension, place)
        if other == value and dimension.int is not None:
            # Small numbers of a logarithmic range are further apart.
            other = min(max(value + sign, dimension.int[0]), dimension.int[1])
        found += [other] * (other != value)
    return found


def settings(candidate: Mapping[str, Any]) -> list[str]:
    """Return a candidate as ``path=value``, as ``--set`` takes them."""
    return [f"{path}={json.dumps(value)}" for path, value in candidate.items()]


def check_paths(base: Resolved, space: Space) -> None:
    """Raise InputError for a path that the document does not have, defaults included."""
    for path in space:
        part: Any = base.complete
        for step in parse_path(path) or (path,):
            if not isinstance(part, Mapping) or step not in part:
                why = "nothing inside of what is null: give it a value in the backtest first"
                if isinstance(part, Mapping):
                    why = f"no {step!r}{hint(step, part)}"
                raise InputError(f"{base.file} has {why}")
            part = part[step]


def _random(space: Space, count: int, seed: int) -> list[Candidate]:
    rng = np.random.default_rng(seed)
    return _different(space, count, lambda: rng.random((count, len(space))))


def _sobol(space: Space, count: int, seed: int) -> list[Candidate]:
    # A Sobol sequence is balanced at powers of two; its start is what is used.
    sequence = qmc.Sobol(len(space), scramble=True, rng=seed)
    power = math.ceil(math.log2(count)) if count > 1 else 0
    return _different(space, count, lambda: sequence.random(2**power))


def _grid(space: Space, count: int, _seed: int) -> list[Candidate]:
    """Return the largest grid that fits, with both ends of each range; choices are all in it."""
    points = {p: 1 if d.choice is None else len(d.choice) for p, d in space.items()}
    if math.prod(points.values()) > count:
        raise InputError(
            f"grid: the choices alone make {math.prod(points.values())} candidates, more than "
            f"{count}: allow more candidates, or draw them with random or sobol"
        )
    growing = [path for path, dimension in space.items() if dimension.choice is None]
    while growing:
        path = min(growing, key=points.__getitem__)
        more = points | {path: points[path] + 1}
        if more[path] > size(space[path]) or math.prod(more.values()) > count:
            growing.remove(path)
        else:
            points = more
    return _every(space, [_axis(space[path], number) for path, number in points.items()])


METHODS: dict[str, Callable[[Space, int, int], list[Candidate]]] = {
    "random": _random,
    "sobol": _sobol,
    "grid": _grid,
}


def _every(space: Space, axes: Iterable[list[Any]]) -> list[Candidate]:
    return [dict(zip(space, values, strict=True)) for values in product(*axes)]


def _axis(dimension: Dimension, number: int) -> list[Any]:
    if dimension.choice is not None:
        return list(dimension.choice)
    places = [0.5] if number == 1 else [i / (number - 1) for i in range(number)]
    return list(dict.fromkeys(value_at(dimension, place) for place in places))


def _different(space: Space, count: int, places: Callable[[], Any]) -> list[Candidate]:
    found: dict[str, Candidate] = {}
    for _ in range(_PATIENCE):
        for row in places():
            candidate = dict(zip(space, map(value_at, space.values(), row), strict=True))
            found.setdefault(json.dumps(candidate, default=str), candidate)
            if len(found) == count:
                return list(found.values())
    return list(found.values())


def size(dimension: Dimension) -> float:
    """Return how many values there are; infinite for a continuous range."""
    if dimension.choice is not None:
        return len(dimension.choice)
    if dimension.int is not None:
        low, high = dimension.int
        return (high - low) // int(dimension.step or 1) + 1
    assert dimension.float is not None
    if dimension.step is None:
        return math.inf
    low_float, high_float = dimension.float
    return math.floor((high_float - low_float) / dimension.step + 1e-9) + 1


def _all(dimension: Dimension) -> list[Any]:
    if dimension.int is not None and dimension.log:
        return list(range(dimension.int[0], dimension.int[1] + 1))
    number = int(size(dimension))
    return [value_at(dimension, (i + 0.5) / number) for i in range(number)]


def _index(place: float, number: int) -> int:
    return min(int(place * number), number - 1)


def _digits(value: float, digits: int) -> float:
    return float(f"{value:.{digits}g}")
