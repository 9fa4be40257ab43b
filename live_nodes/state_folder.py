"""Where a node keeps its journal, log and audit files."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from config.documents import Node
from config.errors import InputError
from config.validate import checked


def state_folder(node: Node) -> Path:
    """Return the node's own folder; two nodes of one name share it, and only one may run."""
    return Path(node.state) / node.name


def node_document(file: Path, settings: Iterable[str] = ()) -> Node:
    """Return a node's document that passed every check.

    Raises
    ------
    DocumentErrors
        If something in it is wrong.
    InputError
        If it is sound and no node.
    """
    document = checked(file, settings).document
    if not isinstance(document, Node):
        raise InputError(f"{file}: expected a document of kind node, was kind {document.kind}")
    return document
