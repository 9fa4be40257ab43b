"""Find a node's state folder, and read the document that it runs: its release's, else its file."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from config.documents import Node
from config.errors import DeskError, DocumentErrors, InputError
from config.load import examine, load, salvage
from config.universe import unknown_in_universe
from config.validate import checked
from live_nodes.local.endpoints import overridden
from live_nodes.local.keys import variables_of
from live_nodes.local.releases import RUNS, Releases

REPORTS = "reports"
"""Folder of a node's reports in its state folder."""
UNREAD = ".unread"
"""End of a file beside the page of a day whose venue's log could not be read yet."""

PLACE = ("extends", "kind", "name", "state", "environment")
"""Values that a node's state folder follows from."""
WHOSE = (*PLACE, "account", "tag", "practice", "venue_urls", "universe", "risk.external")
"""Those that say what is stopped: without one of them a document stops nothing."""


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
    """Return a node's document for stopping and watching it; imports no strategy or guard.

    It is the file's, or what the node's last run used: of a node with releases, where the file is
    refused, and where it names another account than the one that has the orders. Of that copy,
    what this version refuses is left out.

    Raises DocumentErrors if the file is refused and there is no copy, or which node or whose
    account it is can't be said for sure. Raises InputError if it is valid but not a node.
    """
    settings = tuple(settings)
    resolved, problems = examine(file, settings, imports=False)
    if resolved is not None and not isinstance(resolved.document, Node):
        raise InputError(f"{file}: expected a document of kind node, was kind {resolved.kind}")
    refused = DocumentErrors(problems)
    node = None if resolved is None else overridden(resolved.document, variables_of())[0]
    place = node if node is not None and not problems else _place(file, settings, refused)
    releases, last, ran, why = Releases(state_folder(place)), None, None, ""
    copy = releases.state / RUNS
    try:
        # Not by one that waits, maybe with other keys: by what sent the orders.
        ran = releases.ran()
        copy = copy if ran is None else releases.document(ran)
        last = salvage(copy, settings, WHOSE)[1]
    except DeskError as error:
        why = str(error)
    if last is None:
        if node is None:
            raise InputError(f"{refused}\nwhat its last run used can't be used: {why or copy}")
        if copy.exists() or releases.folder.exists():
            say(f"{why}; {file} is used")
        for problem in problems:
            say(f"{problem} (nothing that matters here)")
        return node
    if problems:
        say(f"{refused.problems[0]}; what its last run used is used: {copy}")
    elif ran is None and _whose(place) == _whose(last):
        return place
    elif ran is None:
        say(f"{file}: another account than that of its last run, which is used: {copy}")
    known = {key: getattr(place, key) for key in ("name", "state", "environment")}
    stopped: Node = last.model_copy(update=known)
    return stopped


def _place(file: Path, settings: Sequence[str], refused: DocumentErrors) -> Node:
    """Return a node without more than its state folder follows from; raise `refused` if unsure."""
    try:
        values, _ = salvage(file, settings, PLACE)
    except DocumentErrors:
        raise refused from None
    place = Node.model_construct(**{key: values[key] for key in PLACE if key in values})
    return overridden(place, variables_of())[0]


def _whose(node: Node) -> tuple[object, ...]:
    return node.account.name, node.account.keys, node.tag, node.venue_urls
