"""What a node does about the requests in its mailbox: releases a guard, or closes everything."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime

from actors.desk.guard import Guard
from actors.guards.core.latch import Latches
from actors.records.journal import Journal
from config.errors import DeskError, GateRefused
from live_nodes.local.mailbox import Mailbox, Request
from live_nodes.node.operator_guard import OPERATOR, Operator
from strategies.messages import Action

SCOPE = re.compile(r"desk|strategy:[a-z0-9]{1,8}|instrument:[^\s:]+")


class DeskMail:
    """Answers the mailbox.

    Parameters
    ----------
    mailbox : Mailbox
        The node's.
    guards : mapping of str to Guard
        By key, the operator's among them; running.
    operator : Operator
        It too.
    journal : Journal
        Takes down what was asked and what came of it.
    say : callable
        Takes a line for the person who watches.
    """

    def __init__(
        self,
        mailbox: Mailbox,
        guards: Mapping[str, Guard],
        operator: Operator,
        journal: Journal,
        say: Callable[[str], None],
    ) -> None:
        self._mailbox, self._guards, self._operator = mailbox, guards, operator
        self._journal, self._say = journal, say
        mailbox.tidy()

    def look(self) -> int:
        """Do everything that is asked; returns how many requests there were.

        Raises
        ------
        DeskError
            If the journal can't be written: a halt that no restart would know is none.
        """
        requests, notes = self._mailbox.take()
        for note in notes:
            self._journal.note("mailbox", note)
            self._say(f"mailbox: {note}")
        for request in requests:
            done, text = self._do(request)
            verb = request.command if done else f"{request.command} refused"
            self._journal.note("mailbox", f"{verb}, asked by process {request.by}: {text}")
            self._say(text)
            self._mailbox.answer(request, done=done, text=text)
        return len(requests)

    def _do(self, request: Request) -> tuple[bool, str]:
        if request.scope and not SCOPE.fullmatch(request.scope):
            return False, (
                f"scope {request.scope!r} is none: desk, strategy:KEY or instrument:ID, such as "
                "instrument:BTCUSDT-LINEAR.BYBIT"
            )
        if not request.reason.strip():
            return False, "a reason is needed: it is kept in the journal"
        try:
            # One commit: the halt and who asked for it, or neither.
            with self._journal.together():
                if request.command == "flatten":
                    return True, self._flatten(request)
                return self._release(request)
        except GateRefused as refused:
            return False, str(refused)
        except DeskError:
            raise
        except Exception as error:  # noqa: BLE001 - a guard's own fault: told, and the node goes on
            return False, f"{request.guard or OPERATOR} failed: {type(error).__name__}: {error}"

    def _flatten(self, request: Request) -> str:
        scope = request.scope or "desk"
        began = self._operator.flatten(scope, request.reason)
        how = "is closed now" if began else "was being closed, or closed, already"
        return (
            f"{scope} {how}, and stays out until "
            f'`perpdesk risk release NODE {OPERATOR} --reason "…"`'
        )

    def _release(self, request: Request) -> tuple[bool, str]:
        guard = self._guards.get(request.guard)
        if guard is None:
            return False, self._unknown(request.guard)
        ended = guard.release(request.scope or None, request.accept, request.reason)
        where = f" on {request.scope}" if request.scope else ""
        if not ended:
            return True, f"{guard.key} holds nothing back{where}"
        return True, f"{guard.key} released{where} ({request.reason}): {_in_words(ended)}"

    def _unknown(self, key: str) -> str:
        if key.startswith("node."):
            return f"{key} is the node's own and ends by itself when its cause is gone"
        near = difflib.get_close_matches(key, self._guards, 1)
        hint = f" (did you mean {near[0]}?)" if near else ""
        return f"no guard {key!r} here{hint}; there are {', '.join(sorted(self._guards))}"


def _in_words(latches: Latches) -> str:
    return "; ".join(
        f"{Action(latch.action).name.lower()} on {latch.scope} since "
        f"{datetime.fromtimestamp(latch.since / 1e9, UTC):%Y-%m-%d %H:%M:%S} UTC"
        + (f" ({latch.reason})" if latch.reason else "")
        for latch in latches
    )
