"""Find a node's state folder, and read the document that it runs: its release's, else its file."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

from config.documents import Node
from config.errors import DeskError, DocumentErrors, InputError
from config.load import examine, load
from config.universe import unknown_in_universe
from config.validate import checked
from live_nodes.local.endpoints import overridden
from live_nodes.local.keys import variables_of
from live_nodes.local.releases import Releases

REPORTS = "reports"
"""Folder of a node's reports in its state folder."""
UNREAD = ".unread"
"""End of a file beside the page of a day whose venue's log could not be read yet."""


def state_folder(node: Node) -> Path:
    """Return the node's state folder, one for each environment; only one node may use it.

    A practice run's open orders and finished work must never count for real money.
    """
    return Path(node.state) / node.name / node.environment


def written_node(file: Path, settings: Iterable[str] = ()) -> Node:
    """Return the node that a document describes; none of its strategies and guards is imported.

    Raises DocumentErrors if its envelope is wrong. Raises InputError if it is no node.
    """
    resolved, problems = examine(file, settings, imports=False)
    if resolved is None:
        raise DocumentErrors(problems)
    if not isinstance(resolved.document, Node):
        raise InputError(f"{file}: expected a document of kind node, was kind {resolved.kind}")
    return overridden(resolved.document, variables_of())[0]


def releases_of(file: Path, settings: Iterable[str] = ()) -> Releases:
    """Return the releases of the node that a document describes, as `written_node`."""
    return Releases(state_folder(written_node(file, settings)))


def node_document(file: Path, settings: Iterable[str] = (), *, trades: bool = True) -> Node:
    """Return the checked document that a node runs, with its final environment.

    Without `trades` none of its strategies and guards is checked or imported: their modules may
    exit or hang, and what watches a node must work then, too.

    Raises DocumentErrors if something in it is wrong. Raises InputError if it is valid but not a
    node.
    """
    file = releases_of(file, settings).running() or file
    resolved = checked(file, settings) if trades else load(file, settings, imports=False)
    if wrong := [] if trades else unknown_in_universe(resolved, None):
        raise DocumentErrors(wrong)
    return overridden(resolved.document, variables_of())[0]


def node_to_stop(file: Path, settings: Iterable[str], say: Callable[[str], None]) -> Node:
    """Return a node's document for stopping it; none of its strategies and guards is imported.

    Raises DocumentErrors if its envelope is wrong: the account could be wrong as well. Raises
    InputError if it is valid but not a node.
    """
    releases = releases_of(file, settings)
    try:
        # Not by one that waits, maybe with other keys: by what sent the orders.
        ran = releases.ran()
        file = file if ran is None else releases.document(ran)
    except DeskError as error:
        say(f"{error}; it is stopped by {file}")
    resolved, problems = examine(file, settings, imports=False)
    if resolved is None:
        raise DocumentErrors(problems)
    for problem in problems:
        say(f"{problem} (nothing that matters here)")
    return overridden(resolved.document, variables_of())[0]
