"""A checked document with the origin of every value; the difference of two documents."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from decimal import Decimal
from functools import cached_property
from typing import Any

from config.components import ROOMS, resolve
from config.errors import InputError, Problem, hint
from config.params import complete_params, sound_instance
from config.reading import (
    Origin,
    Path,
    Tree,
    as_written,
    as_yaml,
    descend,
    digest,
    dotted,
    leaves,
    plain,
    problem,
)

DEFAULT = "default"


@dataclass(frozen=True)
class Resolved:
    """A checked, frozen document of one of the `KINDS`, and its merged tree with every place.

    One that does not ``imports`` components has their parameters as written, without defaults.
    """

    file: str
    document: Any
    tree: Tree = field(repr=False)
    imports: bool = True

    @property
    def kind(self) -> str:
        """The document's kind."""
        return str(self.document.kind)

    @cached_property
    def data(self) -> dict[str, Any]:
        """Written values, merged, as plain dicts, lists and scalars; without defaults."""
        written: dict[str, Any] = plain(self.tree)
        return written

    @cached_property
    def complete(self) -> dict[str, Any]:
        """All values, defaults and components included; amounts are Decimal, times datetime."""
        complete: dict[str, Any] = self.document.model_dump(mode="python")
        allow = complete.get("allow", ())
        for room in ROOMS if self.imports else ():
            for component in complete.get(room, {}).values():
                found = resolve(component["use"], allow)
                component["params"] = complete_params(found, component["params"])
        return complete

    def origin(self, path: Path) -> Origin:
        """Return where the value at a path such as ``("venue", "leverage")`` was written.

        Its `file` is ``default`` for a default and ``--set`` for an override.
        """
        found, steps = descend(self.tree, path)
        return found.origin if steps == len(path) else Origin(DEFAULT)

    def problem(self, path: Path, message: str, suggestion: str = "") -> Problem:
        """Return a Problem at the place of the value at the path, or of its parent."""
        return problem(self.tree, path, message, suggestion)

    @cached_property
    def config_hash(self) -> str:
        """SHA-256 (hex) of every value, defaults included; places and spelling don't matter."""
        return digest(self.complete)

    def to_yaml(self) -> str:
        """Return one YAML without ``extends`` and with all defaults; it has the same hash."""
        return as_yaml(self.complete)


@dataclass(frozen=True)
class Explained:
    """One final value and its origin; `path` is dotted, `value` as in a document."""

    path: str
    value: Any
    origin: Origin
    note: str = ""


def largest_positions(document: Any, equity: Decimal | None = None) -> dict[str, str]:
    """Return how large one position of a strategy may become, by its key, where its config says.

    In multiples of `equity` and in USDT; without `equity` on what the document begins with.
    """
    venue = getattr(document, "venue", None)
    gate = getattr(document, "limits", None) or venue
    if equity is None and getattr(document, "environment", "") == "paper":
        equity = document.account.balance
    elif equity is None:
        equity = venue.starting_balance if venue else Decimal(10_000)
    found = {}
    for key, component in getattr(document, "strategies", {}).items():
        cls: Any = resolve(component.use, document.allow)
        rules: Any = sound_instance(cls.Config, component.params) if component.enabled else None
        if hasattr(rules, "largest_position"):
            # The order gate lets no more through.
            most = min(rules.largest_position, float(gate.leverage if gate else "inf"))
            money = f"{most * float(equity):,.0f} USDT on {equity:,.0f}"
            found[key] = f"one position: at most {most:.4g} x equity, {money}"
    return found


def explain(resolved: Resolved, path: str = "") -> list[Explained]:
    """Return the final values at and below a dotted path (empty for all), defaults included.

    Raises InputError for an unknown path.
    """
    most = largest_positions(resolved.document) if resolved.imports else {}
    notes = {f"strategies.{key}.params.max_weight": text for key, text in most.items()}
    found = [
        Explained(
            dotted(steps), as_written(value), resolved.origin(steps), notes.get(dotted(steps), "")
        )
        for steps, value in leaves(resolved.complete)
    ]
    chosen = [
        line
        for line in found
        if not path or line.path == path or line.path.startswith((f"{path}.", f"{path}["))
    ]
    if not chosen:
        written = [steps for steps, _ in leaves(resolved.complete)]
        known = {dotted(steps[: end + 1]) for steps in written for end in range(len(steps))}
        raise InputError(f"{resolved.file}: there is nothing at {path}{hint(path, known)}")
    return chosen


@dataclass(frozen=True)
class ValueDifference:
    """A value that differs; `missing` marks the document without it."""

    path: str
    left: Any
    right: Any

    def __str__(self) -> str:
        return f"{self.path}: {value_text(self.left)} -> {value_text(self.right)}"


class Missing:
    """Placeholder for a value that one of the documents doesn't have."""

    def __repr__(self) -> str:
        return "(none)"


MISSING = Missing()


def value_text(value: Any) -> str:
    """Return a value as a document has it, in one line."""
    return repr(value) if isinstance(value, Missing) else json.dumps(value, ensure_ascii=False)


def difference(left: Resolved, right: Resolved) -> list[ValueDifference]:
    """Return the values that differ, defaults included; spelling and files don't matter."""
    one = dict(leaves(left.complete))
    other = dict(leaves(right.complete))
    rows = []
    for path in dict.fromkeys((*one, *other)):
        a, b = one.get(path, MISSING), other.get(path, MISSING)
        if a != b and not (_is_holder(a, path, other) or _is_holder(b, path, one)):
            rows.append(ValueDifference(dotted(path), as_written(a), as_written(b)))
    return rows


def _is_holder(value: Any, path: Path, other: dict[Path, Any]) -> bool:
    return value == {} and any(key[: len(path)] == path and key != path for key in other)
