"""Find the nodes that a dashboard shows: by their documents, or below a folder of states."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import get_args

from actors.records.journal_files import NAME
from config.documents import Node
from config.documents.node import Environment
from config.errors import DocumentErrors, InputError
from config.load import examine
from config.resolved import Resolved
from live_nodes.local.endpoints import overridden
from live_nodes.local.folder import releases_of
from live_nodes.local.keys import variables_of
from live_nodes.local.releases import RUNS, Releases

_FRESH_S = 5.0
_DEPTHS = (NAME, f"*/{NAME}", f"*/*/{NAME}")


@dataclass(frozen=True)
class Source:
    """One node: its state folder, and the document it was found by, if any."""

    name: str
    environment: str
    folder: Path
    file: Path | None

    @property
    def id(self) -> str:
        """Return how pages name it."""
        return f"{self.name}.{self.environment}"

    @property
    def document_file(self) -> Path:
        """Return the file of what it runs: its release, else its document; DeskError if none."""
        running = Releases(self.folder).running()
        file = running or self.file or self.folder / RUNS
        if not file.exists():
            raise InputError(f"{file}: no document: start the dashboard with the node's document")
        return file

    def resolved(self) -> Resolved:
        """Return its document, though parameters in it be wrong; DocumentErrors if it is none.

        Imports its strategies and guards, for their parameters' defaults.
        """
        return resolved_of(self.document_file)

    def node(self) -> Node:
        """Return what it runs, with its final environment; imports none of its components."""
        found = resolved_of(self.document_file, imports=False)
        return overridden(found.document, variables_of())[0]


def resolved_of(file: Path, *, imports: bool = True) -> Resolved:
    """Return the node's document in a file, read anew where it has changed."""
    # Files that it extends count as well, but seldom change.
    return _resolved(file, file.stat().st_mtime_ns, int(time.monotonic() // _FRESH_S), imports)


@lru_cache(maxsize=64)
def _resolved(file: Path, changed: int, moment: int, imports: bool) -> Resolved:
    resolved, problems = examine(file, imports=imports)
    if resolved is None or not isinstance(resolved.document, Node):
        raise DocumentErrors(problems) if problems else InputError(f"{file}: is no node")
    return resolved


def find(places: Iterable[Path]) -> list[Source]:
    """Return the nodes of documents, and all below folders, each once; sorted by name.

    Raises InputError for two nodes of a name, and for a place that is neither; DocumentErrors for
    a wrong document.
    """
    found: dict[Path, Source] = {}
    for place in places:
        if place.is_dir():
            for journal in sorted(j for depth in _DEPTHS for j in place.glob(depth)):
                folder = journal.parent
                if folder.name in get_args(Environment):
                    source = Source(folder.absolute().parent.name, folder.name, folder, None)
                    found.setdefault(folder.resolve(), source)
        else:
            folder = releases_of(place).state
            found[folder.resolve()] = Source(folder.parent.name, folder.name, folder, place)
    ordered = sorted(found.values(), key=lambda source: source.id)
    for one, other in pairwise(ordered):
        if one.id == other.id:
            raise InputError(
                f"{one.folder} and {other.folder} are both of a node {one.id}: show them by "
                "dashboards of their own"
            )
    return ordered
