"""The kill switch's first step: ask the node to flatten, before any slow import."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from config.documents import Node
from live_nodes.local.folder import state_folder
from live_nodes.local.mailbox import MailRequest, ask


@dataclass(frozen=True)
class FlattenRequest:
    """A flatten in a node's mailbox; `request` is its id, empty where `trouble` kept it out."""

    folder: Path
    request: str
    trouble: str = ""


def ask_to_flatten(node: Node, reason: str, say: Callable[[str], None]) -> FlattenRequest:
    """Put the operator's halt into the node's mailbox; its next start reads it at the latest."""
    folder = state_folder(node)
    try:
        return FlattenRequest(folder, ask(folder, MailRequest(command="flatten", reason=reason)))
    except OSError as error:
        # Closing must work on a full disk, too.
        trouble = f"no halt could be left for {node.name} ({error}): it may trade again"
        say(trouble)
        return FlattenRequest(folder, "", trouble)
