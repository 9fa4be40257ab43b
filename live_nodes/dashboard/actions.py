"""What a person may do from a page: flatten, halt entries, release. Each as `perpdesk risk` does.

Its reason, with the address it came from, goes into the node's journal and ``actions.jsonl``.
"""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from config.documents import Node
from config.errors import DeskError, InputError
from live_nodes.dashboard.pages import ms
from live_nodes.dashboard.sources import Source
from live_nodes.local.actions import keep_action
from live_nodes.local.folder import node_document, node_to_stop, state_folder
from live_nodes.operate.flatten_request import ask_to_flatten
from live_nodes.operate.risk_release import halt_entries, release_guard

SHORTEST, LONGEST = 3, 1000
FLATTEN_S = 300.0
Tell = Callable[[str, dict[str, Any]], None]


class Actions:
    """Carries actions out; `tell` sends how they go to the pages."""

    def __init__(self, tell: Tell) -> None:
        self._tell = tell
        self._numbers = itertools.count(1)

    def flatten(self, source: Source, address: str, reason: str) -> dict[str, Any]:
        """Leave the halt in the node's mailbox, and close everything in another thread."""
        text = _reason(reason, address)
        said: list[str] = []
        node = _node(source, said.append)
        asked = ask_to_flatten(node, text, said.append)
        action = f"a{next(self._numbers)}"

        def tell(line: str, **more: Any) -> None:
            data = {"node": source.id, "ts": ms(time.time_ns()), "action": action}
            self._tell("action", {**data, "done": False, "text": line, **more})

        def work() -> None:
            # Only now what takes longer: the halt lies in the mailbox already.
            from live_nodes.operate.flatten import flatten_node

            try:
                done = flatten_node(node, asked, FLATTEN_S, tell)
                outcome, flat = done.summary_text, done.flat
            except Exception as error:  # noqa: BLE001 - whoever asked must hear of it
                outcome, flat = f"NOT known to be flat: {error}", False
            with suppress(OSError):
                keep_action(source.folder, "flatten", text, outcome)
            tell(outcome, done=True, flat=flat)

        threading.Thread(target=work, name=f"flatten {source.id}").start()
        return {"action": action, "text": "; ".join([*said, f"{source.id} is asked to flatten"])}

    def halt(self, source: Source, address: str, reason: str, scope: str) -> dict[str, Any]:
        """Let nothing enter."""
        said: list[str] = []
        text, node = _reason(reason, address), _node(source, said.append)
        done = halt_entries(node, source.folder, text, scope or "desk")
        return {"done": done.done, "text": "; ".join([*said, done.text])}

    def release(
        self, source: Source, address: str, reason: str, guard: str, scope: str, accept: bool
    ) -> dict[str, Any]:
        """End a guard's halts."""
        said: list[str] = []
        # As `perpdesk risk release`, by what is to run, and not where that is refused.
        node_document(source.file or source.document_file, trades=False)
        text, node = _reason(reason, address), _node(source, said.append)
        done = release_guard(
            node, source.folder, guard, reason=text, scope=scope, accept=accept, say=said.append
        )
        return {"done": done.done, "text": "; ".join([*said, done.text])}


def _reason(reason: str, address: str) -> str:
    # A node puts aside a request that is too long, unread.
    if not SHORTEST <= len(reason.strip()) <= LONGEST:
        raise InputError(f"say why in {SHORTEST} to {LONGEST:,} characters: the journal keeps it")
    return f"{reason.strip()} (dashboard, {address})"


def _node(source: Source, say: Callable[[str], None]) -> Node:
    """Return what an action is on; never another node than the one that is shown."""
    node = node_to_stop(source.file or source.document_file, (), say)
    if state_folder(node).resolve() != source.folder.resolve():
        raise DeskError(
            f"{source.id}: its document keeps its state in {state_folder(node)}, not in "
            f"{source.folder}: start the dashboard where the node runs, with the node's document"
        )
    return node
