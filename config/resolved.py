"""A checked document in which every value knows where it came from."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from config.components import ROOMS, resolve
from config.errors import Problem
from config.params import complete_params
from config.tree import Origin, Path, Tree, descend, plain, problem
from config.writing import as_yaml, digest

DEFAULT = "default"


@dataclass(frozen=True)
class Resolved:
    """A document, checked, with the place of every value.

    Parameters
    ----------
    file : str
        As the user named it.
    document : BaseModel
        The frozen document: `Setup`, `Backtest`, `Node`, `Study` or `Ingest`.
    tree : Tree
        What was written, merged, with places.
    """

    file: str
    document: Any
    tree: Tree = field(repr=False)

    @property
    def kind(self) -> str:
        """The document's kind."""
        return str(self.document.kind)

    @cached_property
    def data(self) -> dict[str, Any]:
        """What was written, merged, as plain dicts, lists and scalars; without defaults."""
        written: dict[str, Any] = plain(self.tree)
        return written

    @cached_property
    def complete(self) -> dict[str, Any]:
        """Every value of the document and of its components' parameters, defaults included.

        Amounts are Decimal, times datetime.
        """
        complete: dict[str, Any] = self.document.model_dump(mode="python")
        allow = complete.get("allow", ())
        for room in ROOMS:
            for component in complete.get(room, {}).values():
                found = resolve(component["use"], allow)
                component["params"] = complete_params(found, component["params"])
        return complete

    def origin(self, path: Path) -> Origin:
        """Return where the value at the path was written.

        Parameters
        ----------
        path : tuple of str or int
            Such as ``("venue", "leverage")``.

        Returns
        -------
        Origin
            Its `file` is ``default`` for a value that nobody wrote and ``--set`` for an override.
        """
        found, steps = descend(self.tree, path)
        return found.origin if steps == len(path) else Origin(DEFAULT)

    def problem(self, path: Path, message: str, suggestion: str = "") -> Problem:
        """Return a Problem placed where the value at the path, or what holds it, was written."""
        return problem(self.tree, path, message, suggestion)

    @cached_property
    def config_hash(self) -> str:
        """SHA-256 (hex) of every value, defaults included; places and spelling don't matter."""
        return digest(self.complete)

    def to_yaml(self) -> str:
        """Return one YAML without ``extends`` and with all defaults; it has the same hash."""
        return as_yaml(self.complete)
