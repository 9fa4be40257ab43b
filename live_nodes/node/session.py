"""From a document's file to a finished run: what `perpdesk live` does, for any caller."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from config.documents import Node
from config.errors import InputError
from config.validate import checked
from live_nodes.local.alerts import addresses_of
from live_nodes.local.endpoints import Addresses, addresses, overridden, refuse_unconfirmed
from live_nodes.local.folder import state_folder
from live_nodes.local.keys import keys_of, variables_of
from live_nodes.local.practice_process import EXCHANGE, ensure_exchange
from live_nodes.node.launch import launch
from live_nodes.node.report import Options, Report


def live_document(
    file: Path, overrides: tuple[str, ...], options: Options, say: Callable[[str], None]
) -> Report:
    """Check the document, find its venue and keys, and run it.

    Raises
    ------
    DocumentErrors
        With everything that is wrong in the document, before anything starts.
    GateRefused
        When something keeps it from starting.
    """
    resolved = checked(file, overrides)
    node = resolved.document
    if not isinstance(node, Node):
        raise InputError(f"{file}: kind is {node.kind}, but live runs kind: node")
    variables = variables_of()
    node, line = overridden(node, variables)
    if line:
        say(line)
    refuse_unconfirmed(node)
    keys = keys_of(node, variables)
    told = addresses_of(node, variables)
    folder = state_folder(node)
    where = venue_of(node, folder, say)
    if node.environment == "practice" and node.venue_urls is None:
        say(f"it goes on when the node ends: `perpdesk exchange {file} --stop` stops it")
    return launch(node, where, keys, folder, resolved.config_hash, options, say, told)


def venue_of(node: Node, folder: Path, say: Callable[[str], None]) -> Addresses:
    """Return where the node's venue is; starts the practice exchange where none is named."""
    if node.environment != "practice" or node.venue_urls is not None:
        return addresses(node.environment, node.venue_urls)
    endpoint = ensure_exchange(Path(node.practice.market), folder / EXCHANGE)
    say(f"practice exchange at {endpoint.http} (pid {endpoint.pid})")
    return Addresses(endpoint.http, endpoint.ws_public, endpoint.ws_private, endpoint.ws_trade)
