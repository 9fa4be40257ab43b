"""The operator's kill switch and mailbox in a node: flatten, halt, and release of guards.

The guard ``operator`` measures nothing and is in no document. It halts by a person's request, and
stays halted over restarts, as its state is in the journal.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress

from actors.desk.guard import GuardActor
from actors.guards.core.drill import Hold, KillSwitch, Plan, Scene, Stage, plan
from actors.guards.core.guard import Guard, Measured, Nothing
from actors.guards.core.halts import Latch, Latches
from actors.guards.core.params import GuardParams
from actors.guards.core.snapshot import Snapshot
from actors.records.journal import Journal
from config.errors import DeskError, GateRefused, hint
from live_nodes.local.mailbox import OPERATOR, SCOPE, Mailbox, MailRequest
from live_nodes.local.timefmt import moment_text
from strategies.messages import Action


class OperatorHalt(Guard[GuardParams, Nothing]):
    """Closes what a person requests, until a person releases it."""

    Config = GuardParams

    def measure(self, state: Nothing, snapshot: Snapshot) -> Measured[Nothing]:
        """Measure nothing."""
        return state, ()

    def drill(self, scene: Scene) -> Plan:
        """Trigger the kill switch."""
        return plan(
            self.params,
            "the operator's kill switch",
            scene.first,
            Stage(steps=(KillSwitch(),), scope=scene.desk, action=Action.FLATTEN),
            before=(Hold({scene.first: 0.5, scene.second: -0.5}),),
        )


class OperatorGuard(GuardActor):
    """The kill switch: halts a scope until a person releases it."""

    def __init__(self) -> None:
        super().__init__(OPERATOR, OperatorHalt(GuardParams(action="flatten", required=False)))

    def halt(self, scope: str, reason: str, action: Action = Action.FLATTEN) -> bool:
        """Halt a ``desk``, ``strategy:<key>`` or ``instrument:<id>``; False if done before.

        The action is ``FLATTEN``, which also closes, or ``HALT_ENTRIES``. Raises DeskError when the
        halt can't be saved; it is in force until the process ends.
        """
        assert self._desk is not None
        # A latch for the guard's own fault has another key; it halts entries and closes nothing.
        key = "" if action == Action.FLATTEN else "entries"
        if any(latch.scope == scope and latch.key in ("", key) for latch in self.latches):
            return False
        latch = Latch(
            scope=scope,
            key=key,
            action=int(action),
            multiplier=1.0,
            release="manual",
            since=self._desk.now(),
            until=None,
            measured=1.0,
            limit=0.0,
            reason=reason,
        )
        latches = tuple(sorted((*self.latches, latch), key=lambda x: (x.scope, x.key)))
        try:
            # Saved before it takes effect, as with every guard.
            self._keep(self.guard_state, latches)
        except DeskError:
            self.latches, self._unkept = latches, True
            raise
        finally:
            # Close the scope even when the state can't be saved.
            self.publish()
        return True


class MailDesk:
    """Carries out and answers the mailbox's requests, and journals both."""

    def __init__(
        self,
        mailbox: Mailbox,
        guards: Mapping[str, GuardActor],
        operator: OperatorGuard,
        journal: Journal,
        say: Callable[[str], None],
    ) -> None:
        self._mailbox, self._guards, self._operator = mailbox, guards, operator
        self._journal, self._say = journal, say
        self._answers: dict[str, tuple[bool, str]] = {}
        mailbox.tidy()

    def answer_all(self) -> int:
        """Carry out every request; return how many there were.

        Raises JournalError if the journal can't be written: a halt must survive restarts.
        """
        requests, notes = self._mailbox.take()
        for note in notes:
            self._journal.note("mailbox", note)
            self._say(f"mailbox: {note}")
        for request in requests:
            if request.id not in self._answers:
                self._answers[request.id] = done, text = self.carry_out(request)
                verb = request.command if done else f"{request.command} refused"
                self._journal.note("mailbox", f"{verb}, asked by process {request.by}: {text}")
                self._say(text)
            if self._journal.full is not None:
                # A kill would lose what came of it: it stays, and is answered once there is room.
                continue
            done, text = self._answers[request.id]
            with suppress(OSError):
                self._mailbox.answer(request, done=done, text=text)
                del self._answers[request.id]
        return len(requests)

    def carry_out(self, request: MailRequest) -> tuple[bool, str]:
        """Carry out a request; return whether it was done, and what to answer."""
        if request.scope and not SCOPE.fullmatch(request.scope):
            return False, (
                f"scope {request.scope!r} is unknown: write desk, strategy:KEY or instrument:ID, "
                "such as instrument:BTCUSDT-LINEAR.BYBIT"
            )
        if not request.reason.strip():
            return False, "a reason is needed: it is kept in the journal"
        try:
            # One commit: the halt and its author, or neither.
            with self._journal.together():
                if request.command == "release":
                    return self._release(request)
                return True, self._halt(request)
        except GateRefused as refused:
            return False, str(refused)
        except DeskError:
            raise
        except Exception as error:  # noqa: BLE001 - a guard's own fault: answered, and the node goes on
            return False, f"{request.guard or OPERATOR} failed: {type(error).__name__}: {error}"

    def _halt(self, request: MailRequest) -> str:
        scope = request.scope or "desk"
        if request.command == "flatten":
            began = self._operator.halt(scope, request.reason)
            how = "is closed now" if began else "was being closed, or closed, already"
            how += ", and stays out"
        else:
            began = self._operator.halt(scope, request.reason, Action.HALT_ENTRIES)
            how = f"enters nothing {'from now on' if began else 'already'}"
        return f'{scope} {how} until `perpdesk risk release NODE {OPERATOR} --reason "…"`'

    def _release(self, request: MailRequest) -> tuple[bool, str]:
        guard = self._guards.get(request.guard)
        if guard is None:
            return False, self._unknown(request.guard)
        ended = guard.release(request.scope or None, request.accept, request.reason)
        scope_text = f" on {request.scope}" if request.scope else ""
        if not ended:
            return True, f"{guard.key} holds nothing back{scope_text}"
        return True, f"{guard.key} released{scope_text} ({request.reason}): {_latches_text(ended)}"

    def _unknown(self, key: str) -> str:
        if key.startswith("node."):
            return f"{key} is the node's own and ends by itself when its cause is gone"
        there = ", ".join(sorted(self._guards))
        return f"no guard {key!r} here{hint(key, self._guards)}; there are {there}"


def _latches_text(latches: Latches) -> str:
    return "; ".join(
        f"{Action(latch.action).name.lower()} on {latch.scope} since {moment_text(latch.since)}"
        + (f" ({latch.reason})" if latch.reason else "")
        for latch in latches
    )
