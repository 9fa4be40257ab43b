"""Which instruments a strategy gets, and that no two get the same one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase
from itertools import product

from config.documents import Node, Setup, StrategyComponent, Universe
from config.errors import Problem, did_you_mean
from config.globs import intersect, is_literal
from config.resolved import Resolved

SPOT = "*-SPOT.BYBIT"


def select(
    ids: Iterable[str], universe: Universe, component: StrategyComponent | None = None
) -> list[str]:
    """Return the ids of the universe that are the component's, sorted.

    Parameters
    ----------
    ids : iterable of str
        All ids there are.
    universe : Universe
        Of the document.
    component : StrategyComponent, optional
        Narrows the universe by its own ``instruments``; None takes all of it.
    """
    own = component.instruments if component is not None else None
    return sorted(
        name
        for name in set(ids)
        if _matches(name, universe.instruments)
        and not _matches(name, universe.exclude)
        and (own is None or _matches(name, own))
    )


def ownership_problems(resolved: Resolved, ids: Sequence[str] | None = None) -> list[Problem]:
    """Return a Problem for each enabled strategy that would trade another's instrument.

    Parameters
    ----------
    resolved : Resolved
        A setup, backtest or node.
    ids : sequence of str, optional
        All ids there are; the answer is then exact. Without, patterns are compared.
    """
    setup: Setup = resolved.document
    enabled = [key for key, component in setup.strategies.items() if component.enabled]
    problems = []
    if not enabled:
        problems.append(resolved.problem(("strategies",), "none of the strategies is enabled"))
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


def unknown_instruments(resolved: Resolved, ids: Sequence[str]) -> list[Problem]:
    """Return a Problem for each id or pattern of the document that matches none of the ids.

    Parameters
    ----------
    resolved : Resolved
        A setup, backtest or node.
    ids : sequence of str
        All ids there are.
    """
    setup: Setup = resolved.document
    places: list[tuple[tuple[str | int, ...], str]] = [
        (("universe", "instruments", index), pattern)
        for index, pattern in enumerate(setup.universe.instruments)
    ]
    for key, component in setup.strategies.items():
        for index, pattern in enumerate(component.instruments or ()):
            places.append((("strategies", key, "instruments", index), pattern))
    report = getattr(setup, "report", None)
    if report is not None and resolved.origin(("report", "benchmark")).line:
        places.append((("report", "benchmark"), report.benchmark))
    problems = [
        resolved.problem(
            path,
            f"no instrument of the catalog {'is' if is_literal(pattern) else 'matches'} {pattern}",
            did_you_mean(pattern, ids) if is_literal(pattern) else "",
        )
        for path, pattern in places
        if not any(fnmatchcase(name, pattern) for name in ids)
    ]
    if not problems:
        problems.extend(
            resolved.problem(
                ("strategies", key), "has no instrument left: nothing matches all its patterns"
            )
            for key, component in setup.strategies.items()
            if component.enabled and not select(ids, setup.universe, component)
        )
    return problems


NO_SPOT = (
    "spot can be tested and traded on paper only: the venue reports no positions of spot pairs, so "
    "that the engine would take what is held for sold and buy it again"
)


def spot_problems(resolved: Resolved, ids: Sequence[str] | None = None) -> list[Problem]:
    """Return a Problem for each pattern by which a node would trade spot at a venue.

    Parameters
    ----------
    resolved : Resolved
        A node.
    ids : sequence of str, optional
        All ids there are; without them a pattern that may match spot is taken to do so, unless
        something of spot is excluded.
    """
    node = resolved.document
    if not isinstance(node, Node) or node.environment == "paper":
        return []
    spot = [name for name in ids or () if fnmatchcase(name, SPOT)]
    own = [c.instruments or ("*",) for c in node.strategies.values() if c.enabled]
    excluded = any(intersect([pattern, SPOT]) for pattern in node.universe.exclude)

    def reaches(pattern: str) -> bool:
        if ids is not None:
            return any(
                select(spot, Universe(instruments=(pattern,), exclude=node.universe.exclude), c)
                for c in node.strategies.values()
                if c.enabled
            )
        if excluded and not is_literal(pattern):
            return False
        return any(intersect([pattern, narrower, SPOT]) for few in own for narrower in few)

    return [
        resolved.problem(
            ("universe", "instruments", index),
            f"{NO_SPOT}; leave spot out: universe.exclude: ['{SPOT}']",
        )
        for index, pattern in enumerate(node.universe.instruments)
        if reaches(pattern)
    ]


def _shared(setup: Setup, first: str, second: str, ids: Sequence[str] | None) -> str:
    """Return in words what both strategies would trade, empty when nothing."""
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
