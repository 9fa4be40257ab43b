"""The Nautilus actor that runs a guard. Engine-specific.

Each input goes through guard, latches, state and verdict. The state is saved before the verdict
takes effect. The desk (`actors.desk.risk_desk`) first passes an input to all guards and then lets
them publish, so every guard gets the inputs in the same order.
"""

from __future__ import annotations

import traceback
from collections.abc import Iterable, Sequence
from typing import Any, Protocol

import msgspec
from nautilus_trader.common.actor import Actor
from nautilus_trader.common.config import ActorConfig

from actors.desk.guard_state import FAILED, READINGS, STATE, UNKEPT, Kept, Shown
from actors.guards.core.calm import Bounds, Calm, facts_of, narrowest
from actors.guards.core.guard import Guard
from actors.guards.core.halts import Latch, Latches, released, step, unfit, verdicts
from actors.guards.core.limits import Reading
from actors.guards.core.params import GuardParams
from actors.guards.core.snapshot import Input, OrderRequested, Snapshot
from config.errors import DeskError, GateRefused
from strategies.messages import Action, Verdict
from strategies.refusals import Refusal, refused_by
from strategies.state import StateStore
from strategies.verdicts import VerdictBoard

SEEN = "risk.seen"
"""Topic of all inputs of the guards, for those that record or wake by them."""
_SHOWN_EVERY = 1_000_000_000


class GuardHost(Protocol):
    """The desk, as a guard sees it."""

    strict: bool
    snapshot: Snapshot | None
    verdicts: VerdictBoard

    def now(self) -> int:
        """Return the time, UNIX nanoseconds (UTC)."""

    def evaluate(self) -> None:
        """Send a new snapshot of the account to all guards."""

    def beat(self, key: str) -> None:
        """Record a heartbeat of the guard."""

    def strategies(self) -> set[str]:
        """Return the keys of strategies that trade, or have booked or hold something."""


class Rest:
    """Guards that need no look of their own while snapshots are inside what keeps them quiet.

    An event wakes the guards that process it, and a snapshot those whose bounds it leaves.
    ``snapshot`` is the newest; ``awake`` are the guards that look at the next one.
    """

    snapshot: Snapshot

    def __init__(self, guards: Iterable[GuardActor]) -> None:
        self.awake = list(guards)
        self._resting: dict[str, tuple[GuardActor, Calm | None]] = {}
        self._calms: list[Calm] = []  # perhaps narrower than those of the guards that rest

    def observers(self, snapshot: Snapshot) -> list[GuardActor]:
        """Return the guards that must look at a snapshot; the others have seen it."""
        facts = facts_of(snapshot)
        if not all(calm.holds(facts) for calm in self._calms):
            resting = self._resting.values()
            self.wake([guard for guard, calm in resting if not (calm is None or calm.holds(facts))])
            self._calms = _narrowed([calm for _, calm in resting if calm is not None])
        self.snapshot = snapshot
        return self.awake

    def wake(self, guards: Iterable[GuardActor]) -> None:
        """Let guards look at the next snapshot."""
        self.awake += [guard for guard in guards if self._resting.pop(guard.key, None)]

    def settle(self) -> None:
        """Let guards rest that needed not measure the newest snapshot."""
        found = {g.key: (g, g.rest(self)) for g in self.awake if g.rested_at(self.snapshot)}
        if found:
            self._resting |= found
            self.awake = [guard for guard in self.awake if guard.key not in found]
            if calms := [calm for _, calm in found.values() if calm is not None]:
                self._calms = _narrowed((*self._calms, *calms))


def _narrowed(calms: Sequence[Calm]) -> list[Calm]:
    bounds = narrowest([calm for calm in calms if isinstance(calm, Bounds)])
    return [bounds, *(calm for calm in calms if not isinstance(calm, Bounds))]


class GuardActor(Actor):
    """Runs a guard on the message bus."""

    def __init__(self, key: str, guard: Guard[Any, Any]) -> None:
        super().__init__(ActorConfig(component_id=f"guard-{key}"))
        self.key = key
        self.guard = guard
        self.params: GuardParams = guard.params
        self.guard_state: msgspec.Struct | None = None
        self.latches: Latches = ()
        self._readings: tuple[Reading, ...] = ()
        self._unread: tuple[msgspec.Struct, Snapshot] | None = None
        self._rest: Rest | None = None
        self._measured: msgspec.Struct | None = None
        self._calm: Calm | None = None
        self._calm_of: msgspec.Struct | None = None
        self.failed = ""
        """Why the guard stopped; empty while it works."""
        self._desk: GuardHost | None = None
        self._store: StateStore | None = None
        self.published: Latches = ()
        """Its halts at the newest publishing."""
        self._why = ""
        self._unkept = False
        self.shown_at: int | None = None
        """When readings were last saved to be shown, UNIX nanoseconds; None saves the next."""

    def attach(self, desk: GuardHost, store: StateStore | None = None) -> None:
        """Connect the guard to the desk and load its saved state; without a store it saves nothing.

        Raises
        ------
        DeskError
            When the saved state can't be read: a guard never starts over silently.
        """
        self._desk = desk
        self._store = store
        if store is None:
            return
        try:
            self._load(store)
        except msgspec.MsgspecError as error:
            raise DeskError(
                f"guard {self.key}: what it kept is not of this version of "
                f"{type(self.guard).__qualname__}: {error}; under another key it starts anew"
            ) from error

    def _load(self, store: StateStore) -> None:
        kept = store.load(STATE)
        if kept is not None:
            found = msgspec.json.decode(kept, type=Kept)
            self.latches = found.latches
            self.guard_state = msgspec.json.decode(found.state, type=self.guard.State | None)
            self.failed = next((x.reason for x in self.latches if x.key == FAILED), "")
        shown = store.load(READINGS)
        if shown is not None:
            self._readings = msgspec.json.decode(shown, type=Shown).readings

    @property
    def readings(self) -> tuple[Reading, ...]:
        """The newest readings."""
        if self._unread is not None:
            state, snapshot = self._unread
            newest = snapshot if self._rest is None else self._rest.snapshot
            self._readings = self.guard.measure(state, newest)[1]
        return self._readings

    def on_start(self) -> None:
        """Publish the verdicts that still stand: guards start before strategies."""
        self.publish()

    def observes(self, kind: type) -> bool:
        """Whether the desk sends it inputs of a kind."""
        return kind is Snapshot or kind in self.guard.events

    def observe(self, seen: Input) -> None:
        """Process a snapshot or an event, without publishing verdicts yet.

        A rule that raises halts all entries until the trader releases it. In a ``strict`` desk, as
        in a backtest, its error ends the run.
        """
        assert self._desk is not None
        if self.failed:
            return
        try:
            if isinstance(seen, Snapshot) and self._rests(seen):
                self._desk.beat(self.key)
            else:
                self._see(seen)
        except Exception as error:  # noqa: BLE001 - any error of a rule halts entries
            self._fail(error, self._desk.now())

    def publish(self) -> None:
        """Publish the verdicts that changed; raise a subscriber's error after the last one."""
        errors: list[Exception] = []
        # Look up one at a time: the effects of one verdict may change the next.
        while (verdict := self._changed()) is not None:
            try:
                self.msgbus.publish(f"verdicts.{self.key}", verdict)
            except Exception as error:  # noqa: BLE001 - raised below
                errors.append(error)
        if errors:
            raise one_of(errors)

    @property
    def has_changed(self) -> bool:
        """Whether its halts are others than at the newest publishing."""
        return self.latches is not self.published

    @property
    def has_news(self) -> bool:
        """Whether a changed verdict is not published yet."""
        return self.has_changed and self._changed() is not None

    def news(self) -> list[Verdict]:
        """Return all standing verdicts, for a desk that finds some of them new (`has_news`)."""
        return list(verdicts(self.latches, self.key, transient=self.params.transient).values())

    def admits(self, asked: OrderRequested, snapshot: Snapshot) -> Refusal | None:
        """Return why an entry is refused now, or None."""
        if self.failed or self.guard_state is None:
            return None
        try:
            reason = self.guard.admit(self.guard_state, asked, snapshot)
        except Exception as error:  # noqa: BLE001 - any error of a rule halts entries
            self._fail(error, asked.ts)
            return not_admitted(self.key, self.failed, transient=False)
        return None if reason is None else not_admitted(self.key, reason, self.params.transient)

    def release(self, scope: str | None, accept: bool, reason: str) -> Latches:
        """End the halts of a scope (None is all), publish that, and return the latches that stood.

        The account is measured first. With ``accept`` the trader accepts a breach that is still
        there: the guard measures anew from here. ``reason`` goes into the published verdict.

        Raises
        ------
        GateRefused
            When a limit is still reached and the trader does not accept that.
        """
        assert self._desk is not None
        # An older snapshot may be from before the last executions: its equity is not accepted.
        self._desk.evaluate()
        ended = tuple(x for x in self.latches if scope is None or x.scope == scope)
        still = self._breaches(ended)
        if still and not accept:
            raise GateRefused(
                f"{self.key}: the limit is still reached: {'; '.join(still)}; release it with "
                "--accept to measure anew from here"
            )
        snapshot, state = self._desk.snapshot, self.guard_state
        if still and snapshot is None:
            raise GateRefused(f"{self.key}: the account is not known yet; try again in a moment")
        if accept and snapshot is not None and state is not None:
            for name in sorted({latch.scope for latch in ended}):
                state = self.guard.released(state, snapshot, name)
        self._keep(state, released(self.latches, scope))
        self.failed = next((x.reason for x in self.latches if x.key == FAILED), "")
        self._why = f"released: {reason}"
        try:
            self.publish()
        finally:
            self._why = ""
        return ended

    def _see(self, seen: Input) -> None:
        assert self._desk is not None
        state, snapshot = self.guard_state, seen if isinstance(seen, Snapshot) else None
        if state is None:
            if snapshot is None:
                return
            state = self.guard.start(snapshot)
        state, readings = self.guard.observe(state, seen)
        now = seen.now if isinstance(seen, Snapshot) else seen.ts
        latches = step(self.latches, readings, now, self.params, self.guard.decisions)
        if latches is not self.latches:
            wrong = unfit(latches, self.latches, self._desk.strategies)
            if wrong:
                raise DeskError(f"actors.{self.key}: {wrong}")
        if state is not self.guard_state or latches is not self.latches or self._unkept:
            self._take(state, latches, now)
        if readings is not None:
            self._readings, self._unread, self._measured = readings, None, state
            self._show(now)
        if snapshot is not None:
            # Only snapshots count as heartbeats: they show that it still checks the account.
            self._desk.beat(self.key)

    def _rests(self, snapshot: Snapshot) -> bool:
        """Whether a snapshot changes nothing; then readings are measured only when they are read.

        Without a halt, all that was measured of a state was inside its limits.
        """
        state = self.guard_state
        if state is None or self.latches or self._unkept or self._store is not None:
            return False
        if not (self.guard.only_events and state is self._measured):
            facts = facts_of(snapshot)
            if self._calm_of is not state or self._calm is None or not self._calm.holds(facts):
                self._calm_of, self._calm = state, self.guard.calm(state, snapshot)
                if self._calm is None or not self._calm.holds(facts):
                    return False
        self._unread, self._rest = (state, snapshot), None
        return True

    def rest(self, rest: Rest) -> Calm | None:
        """Rest with others: return what keeps it quiet, None where only its own events wake it."""
        self._rest = rest
        by_events = self.guard.only_events and self.guard_state is self._measured
        return None if by_events else self._calm

    def rested_at(self, snapshot: Snapshot) -> bool:
        """Whether it needed not measure a snapshot."""
        return self._unread is not None and self._unread[1] is snapshot

    def _take(self, state: msgspec.Struct, latches: Latches, now: int) -> None:
        """Save the state, or go on in memory: a disk error must not lose a halt."""
        assert self._desk is not None
        latches = tuple(latch for latch in latches if latch.key != UNKEPT)
        try:
            self._keep(state, latches)
            self._unkept = False
        except DeskError as error:
            if self._desk.strict:
                raise
            reason = f"guard {self.key} can't keep what it must know after a restart: {error}"
            if not self._unkept:
                self.log.error(reason)
            self._unkept = True
            self.guard_state, self.latches = state, _with(latches, _own(UNKEPT, reason, now))

    def _keep(self, state: msgspec.Struct | None, latches: Latches) -> None:
        if self._store is not None:
            raw = msgspec.Raw(msgspec.json.encode(state))
            self._store.save(STATE, msgspec.json.encode(Kept(raw, latches)))
        self.guard_state, self.latches = state, latches

    def _show(self, now: int) -> None:
        if self._store is None:
            return
        if self.shown_at is None or abs(now - self.shown_at) >= _SHOWN_EVERY:
            self.shown_at = now
            shown = Shown(now, self.readings, str(self.guard.unit))
            try:
                self._store.save(READINGS, msgspec.json.encode(shown))
            except DeskError as error:
                self.log.error(f"Its readings can't be shown: {error}")

    def _changed(self) -> Verdict | None:
        if not self.has_changed:
            return None
        stands = verdicts(self.latches, self.key, transient=self.params.transient)
        assert self._desk is not None
        published = self._desk.verdicts.of(self.key)
        for scope in sorted(stands.keys() | published.keys()):
            new, said = stands.get(scope), published.get(scope)
            if new is None:
                return Verdict(
                    action=Action.NONE, scope=scope, guard=self.key, reason=self._why or "over"
                )
            if said is None or _word(new) != _word(said):
                return new
        self.published = self.latches
        return None

    def _breaches(self, latches: Latches) -> list[str]:
        over = {(r.scope, r.key): r for r in self.readings if r.over}
        return [over[x.scope, x.key].reason for x in latches if (x.scope, x.key) in over]

    def _fail(self, error: Exception, now: int) -> None:
        assert self._desk is not None
        if self._desk.strict:
            raise error
        self.failed = f"guard {self.key} failed: {type(error).__name__}: {error}"
        self.log.error(f"{self.failed}\n{traceback.format_exc()}")
        # In memory first: if the store fails as well, the halt must stay.
        self.latches = _with(self.latches, _own(FAILED, self.failed, now))
        try:
            self._keep(self.guard_state, self.latches)
        except DeskError as unkept:
            self.log.error(f"That it failed could not be written down: {unkept}")


def one_of(errors: list[Exception]) -> Exception:
    """Return the only error, or a group of several errors."""
    return errors[0] if len(errors) == 1 else ExceptionGroup("several failed", errors)


def not_admitted(guard: str, reason: str, transient: bool) -> Refusal:
    """Return the refusal of an entry that a guard does not admit."""
    return refused_by(
        Verdict(action=Action.HALT_ENTRIES, guard=guard, reason=reason, transient=transient)
    )


def _word(verdict: Verdict) -> tuple[Action, float, int | None, str]:
    return verdict.action, verdict.multiplier, verdict.until, verdict.reason


def _own(key: str, reason: str, now: int) -> Latch:
    return Latch(
        scope="desk",
        key=key,
        action=int(Action.HALT_ENTRIES),
        multiplier=1.0,
        release="manual",
        since=now,
        until=None,
        measured=1.0,
        limit=0.0,
        reason=reason,
    )


def _with(latches: Latches, latch: Latch) -> Latches:
    others = (x for x in latches if (x.scope, x.key) != (latch.scope, latch.key))
    return tuple(sorted((*others, latch), key=lambda x: (x.scope, x.key)))
