"""Instruments in a document: select a strategy's, find shared ones, check those of guards."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from fnmatch import fnmatchcase
from functools import cache, lru_cache
from itertools import product
from typing import Any

from config.components import misplaced, resolve, resolve_or_none
from config.documents import Component, Node, Setup, StrategyComponent, Universe
from config.errors import Problem, did_you_mean, some_of
from config.params import complete_params, sound_instance
from config.reading import Path, dotted, key_problem
from config.resolved import Resolved
from config.suggestions import FORMS, INSTRUMENT, suggest_instrument

SPOT = "*-SPOT.BYBIT"
LINEAR_PART = "-LINEAR"


def select(
    ids: Iterable[str], universe: Universe, component: StrategyComponent | None = None
) -> list[str]:
    """Return the component's ids of the universe, sorted; all of them without a component."""
    own = component.instruments if component is not None else None
    return list(_selected(tuple(ids), universe.instruments, universe.exclude, own))


@lru_cache(maxsize=32)
def _selected(
    ids: tuple[str, ...],
    patterns: tuple[str, ...],
    exclude: tuple[str, ...],
    own: tuple[str, ...] | None,
) -> list[str]:
    return sorted(
        name
        for name in set(ids)
        if _matches(name, patterns)
        and not _matches(name, exclude)
        and (own is None or _matches(name, own))
    )


def sold_short(setup: Setup, key: str, ids: Iterable[str]) -> str:
    """Return what is wrong with a strategy that would sell spot of `ids` short, empty for none."""
    component, spot = setup.strategies[key], [name for name in ids if fnmatchcase(name, SPOT)]
    if not spot or not _sells_short(setup, component):
        return ""
    has_side = "side" in complete_params(resolve(component.use, setup.allow), component.params)
    return _no_short_spot(spot, "use long_only, or " * has_side)


def _sells_short(setup: Setup, component: StrategyComponent) -> bool:
    sound = _sound(setup, component)
    side = getattr(sound, "side", "long_only")
    return bool(getattr(sound, "sells_short", side != "long_only"))


def _no_short_spot(names: list[str], advice: str = "") -> str:
    return f"spot can't be sold short: {advice}leave out {some_of(names)} (universe.exclude)"


def not_listed(setup: Setup, key: str, ids: Collection[str]) -> str:
    """Return what is wrong with a strategy that reads instruments not in ids, empty for none."""
    component = setup.strategies[key]
    wrong = [
        f"{dotted(('params', *path))}: {name}"
        for path, name in _named(component, setup, "instruments_read")
        if name not in ids
    ]
    return f"{some_of(wrong)} is not listed by the venue: leave it out" if wrong else ""


def ownership_problems(resolved: Resolved, ids: Sequence[str] | None = None) -> list[Problem]:
    """Return a Problem for each enabled strategy that would trade another's instrument.

    Exact with ``ids`` (all existing ids); without, compares patterns.
    """
    setup: Setup = resolved.document
    enabled = [key for key, component in setup.strategies.items() if component.enabled]
    problems = []
    if not enabled:
        problems.append(resolved.problem(("strategies",), "none of the strategies is enabled"))
    # What is no strategy trades nothing.
    enabled = [key for key in enabled if not _is_misplaced(setup, setup.strategies[key])]
    for index, second in enumerate(enabled):
        clashes = ((key, _shared(setup, key, second, ids)) for key in enabled[:index])
        first, shared = next(((key, what) for key, what in clashes if what), ("", ""))
        if shared:
            problems.append(
                resolved.problem(
                    ("strategies", second, "instruments"),
                    f"trades {shared}, which strategies.{first} trades too;"
                    " an instrument belongs to one strategy only",
                )
            )
    return problems


def _is_misplaced(setup: Setup, component: StrategyComponent) -> bool:
    found = resolve_or_none(component.use, setup.allow)
    return bool(misplaced(found, component.use, "strategies", setup.allow))


def unknown_instruments(resolved: Resolved, ids: Sequence[str] | None) -> list[Problem]:
    """Return a Problem for each id or pattern of the document that matches none of the ids.

    Without ``ids``, for each that no instrument could match.
    """
    setup: Setup = resolved.document
    universe, places = setup.universe, list[tuple[Path, str]]()
    for key, component in setup.strategies.items():
        for index, pattern in enumerate(component.instruments or ()):
            places.append((("strategies", key, "instruments", index), pattern))
        for path, pattern in _named(component, setup, "instruments_named"):
            places.append((("strategies", key, "params", *path), pattern))
    report = getattr(setup, "report", None)
    # A result's resolved document writes the default out, and is run again without it too.
    if report is not None and report.benchmark != type(report)().benchmark:
        places.append((("report", "benchmark"), report.benchmark))
    problems = unknown_in_universe(resolved, ids) + _unknown(resolved, places, ids)
    for key, component in setup.strategies.items():
        # What a strategy looks at comes with its own candles.
        for path, name in _named(component, setup, "instruments_read"):
            own = select([name], universe, component)
            if not own or (ids is not None and name not in ids):
                known = list(universe.instruments) if ids is None else ids
                words, near = f"{name} is not among the strategy's instruments", ""
                if is_literal(name):
                    near = _suggest(name, select(known, universe, component))
                else:
                    words = f"must be {FORMS[INSTRUMENT]}, was the pattern {name}"
                problems.append(resolved.problem(("strategies", key, "params", *path), words, near))
    if ids is not None and not problems:
        problems.extend(
            resolved.problem(
                ("strategies", key), "has no instrument left: nothing matches all its patterns"
            )
            for key, component in setup.strategies.items()
            if component.enabled and not select(ids, setup.universe, component)
        )
    return problems


def unknown_in_universe(resolved: Resolved, ids: Sequence[str] | None) -> list[Problem]:
    """Return what `unknown_instruments` does of the universe alone: it imports no component."""
    universe: Universe = resolved.document.universe
    places: list[tuple[Path, str]] = [
        (("universe", "instruments", i), one) for i, one in enumerate(universe.instruments)
    ]
    # Spot stands there where there may be none.
    excluded = [(i, one) for i, one in enumerate(universe.exclude) if one != SPOT]
    places += [(("universe", "exclude", i), one) for i, one in excluded]
    return _unknown(resolved, places, ids)


def _unknown(
    resolved: Resolved, places: Iterable[tuple[Path, str]], ids: Sequence[str] | None
) -> list[Problem]:
    return [
        resolved.problem(
            path,
            f"no instrument{'' if ids is None else ' of the catalog'} "
            f"{'is' if is_literal(pattern) else 'matches'} {pattern}",
            _suggest(pattern, ids),
        )
        for path, pattern in places
        if not _exists(pattern, ids)
    ]


def _exists(pattern: str, ids: Sequence[str] | None) -> bool:
    if ids is not None:
        return any(fnmatchcase(name, pattern) for name in ids)
    if is_literal(pattern):
        return re.match(INSTRUMENT, pattern) is not None
    return any(intersect([pattern, product]) for product in ("*-LINEAR.BYBIT", SPOT))


def _suggest(pattern: str, ids: Sequence[str] | None) -> str:
    near = _nearest(pattern, ids or ()) if is_literal(pattern) else ""
    by_form = suggest_instrument(pattern)
    return suggest_instrument(pattern, ids) or near or (by_form if by_form != pattern else "")


def _nearest(pattern: str, ids: Sequence[str]) -> str:
    """Return the id with the nearest name of a coin: ids of two coins differ in few letters."""
    symbol = re.compile(r"(.+)USD[TC]-(LINEAR|SPOT)\.BYBIT")
    own = symbol.fullmatch(pattern)
    if own is None:
        return did_you_mean(pattern, ids)
    listed = sorted(ids, key=lambda name: f"-{own[2]}." in name)
    coins = {found[1]: name for name in listed if (found := symbol.fullmatch(name))}
    return coins.get(did_you_mean(own[1], coins, cutoff=0.7), "")


def spot_problems(resolved: Resolved, ids: Sequence[str] | None = None) -> list[Problem]:
    """Return a Problem for each pattern by which a node's strategy that sells short gets spot.

    Without ``ids``, a pattern that may match spot counts, unless something of spot is excluded.
    """
    node = resolved.document
    if not isinstance(node, Node):
        return []
    spot = [name for name in ids or () if fnmatchcase(name, SPOT)]
    short = [c for c in node.strategies.values() if c.enabled and _sells_short(node, c)]
    excluded = any(intersect([pattern, SPOT]) for pattern in node.universe.exclude)

    def reaches(pattern: str) -> bool:
        if ids is not None:
            few = Universe(instruments=(pattern,), exclude=node.universe.exclude)
            return any(select(spot, few, component) for component in short)
        if excluded and not is_literal(pattern):
            return False
        own = [name for component in short for name in component.instruments or ("*",)]
        # An id has one product: no pattern of perpetuals matches spot.
        return any(
            intersect([pattern, name, SPOT]) for name in own if LINEAR_PART not in pattern + name
        )

    return [
        resolved.problem(
            ("universe", "instruments", index),
            _no_short_spot([pattern if is_literal(pattern) else SPOT]),
        )
        for index, pattern in enumerate(node.universe.instruments)
        if reaches(pattern)
    ]


def _shared(setup: Setup, first: str, second: str, ids: Sequence[str] | None) -> str:
    one, other = setup.strategies[first], setup.strategies[second]
    if ids is not None:
        common = set(select(ids, setup.universe, one)) & set(select(ids, setup.universe, other))
        more = f" and {len(common) - 1} more" if len(common) > 1 else ""
        return min(common) + more if common else ""
    for patterns in product(
        setup.universe.instruments, one.instruments or ("*",), other.instruments or ("*",)
    ):
        names = [pattern for pattern in patterns if is_literal(pattern)]
        if names:
            if select(names[:1], setup.universe, one) and select(names[:1], setup.universe, other):
                return names[0]
        elif intersect(patterns):
            told = [pattern for pattern in dict.fromkeys(patterns) if pattern != "*"]
            return f"what matches {' and '.join(told) or '*'}"
    return ""


def _matches(name: str, patterns: Iterable[str]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)


RESERVED = {
    "operator": "is the kill switch's own name (`perpdesk risk flatten`); give the guard another"
}
"""Keys that a guard can't have in a document, and why."""


def guard_problems(resolved: Resolved, ids: Sequence[str] | None = None) -> list[Problem]:
    """Return a Problem for each guard with a reserved key or an instrument that is not traded.

    Skips guards with wrong parameters. Exact with ``ids`` (all existing ids); without, compares
    patterns.
    """
    setup: Setup = resolved.document
    problems = [
        key_problem(resolved.tree, ("actors", key), RESERVED[key])
        for key in setup.actors
        if key in RESERVED
    ]
    for key, component in setup.actors.items():
        for path, name in _named(component, setup, "instruments_named"):
            wrong = _not_traded(name, setup, ids)
            if wrong is not None:
                problems.append(resolved.problem(("actors", key, "params", *path), *wrong))
    return problems


def _named(component: Component, setup: Setup, method: str) -> Iterator[tuple[Path, str]]:
    sound = _sound(setup, component)
    if hasattr(sound, method):
        yield from getattr(sound, method)()


def _sound(setup: Setup, component: Component) -> Any:
    """Return the component's parameters, None where they are wrong."""
    config = getattr(resolve_or_none(component.use, setup.allow), "Config", None)
    return None if config is None else sound_instance(config, component.params)


def _not_traded(name: str, setup: Setup, ids: Sequence[str] | None) -> tuple[str, str] | None:
    universe = setup.universe
    known = [x for x in universe.instruments if is_literal(x)] if ids is None else ids
    traded = select(known, universe)
    if is_literal(name):
        if select([name], universe) and (ids is None or name in ids):
            return None
        return f"{name} is not in the universe", _suggest(name, traded)
    if any(fnmatchcase(one, name) for one in traded):
        return None
    if ids is None and any(intersect([name, pattern]) for pattern in universe.instruments):
        return None
    return f"no instrument of the universe matches {name}", suggest_instrument(name, traded)


_LETTERS = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-")
_WILD = "*?["


def is_literal(pattern: str) -> bool:
    """Return whether the pattern has no wildcards."""
    return not any(sign in pattern for sign in _WILD)


def intersect(patterns: Sequence[str]) -> bool:
    """Return whether some name matches all the patterns at once.

    Examples
    --------
    >>> intersect(["BTC*", "*-LINEAR.BYBIT"]), intersect(["BTC*", "ETH*"])
    (True, False)
    """

    @cache
    def meet(*rows: tuple[frozenset[str] | None, ...]) -> bool:
        if not any(rows):
            return True
        for index, row in enumerate(rows):
            # A star ends here, or takes the next letter with the others.
            if row[:1] == (None,) and meet(*rows[:index], row[1:], *rows[index + 1 :]):
                return True
        letters = [row[0] for row in rows if row and row[0] is not None]
        if not letters or not all(rows) or not frozenset.intersection(*letters):
            return False
        return meet(*(row if row[0] is None else row[1:] for row in rows))

    return meet(*map(_tokens, patterns))


@cache
def _tokens(pattern: str) -> tuple[frozenset[str] | None, ...]:
    """Return the letters that may stand at each place of a pattern, None for a star."""
    return tuple(
        None if sign == "*" else frozenset(c for c in _LETTERS if fnmatchcase(c, sign))
        for sign in re.findall(r"\[!?\]?[^\]]*\]|.", pattern)
    )
