"""A tape of what a live node's guards saw, and players that know nothing of the node."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, ClassVar

import msgspec
from nautilus_trader.common.actor import Actor
from nautilus_trader.common.config import ActorConfig

from actors.desk.books import StrategyBooks
from actors.desk.guard import SEEN, GuardActor
from actors.desk.risk_desk import RiskDesk
from actors.guards.core.guard import Guard
from actors.guards.core.halts import Latches, step, verdicts
from actors.guards.core.params import GuardParams
from actors.guards.core.snapshot import DeskEvent, Input, Snapshot
from strategies.messages import Action, Verdict
from strategies.state import MemoryState, StateStore
from tests.actors.tiny_guards import Account
from tests.builders_engine import bare_engine, perpetual, plain_bars
from tests.live_nodes.odd_guards import Counts

Tape = list[Input | None]
"""What was seen, in order; None is where guards were let speak."""
_HAPPENED = msgspec.json.Decoder(DeskEvent)
_PULSES = msgspec.json.Decoder(Snapshot)


@dataclass
class Recording:
    """Lines of JSON, as a file would have them."""

    lines: list[bytes] = field(default_factory=list)

    def add(self, seen: Input | None) -> None:
        """Take one thing down."""
        kind = b"-" if seen is None else b"P" if isinstance(seen, Snapshot) else b"H"
        self.lines.append(kind + (b"" if seen is None else msgspec.json.encode(seen)))

    def tape(self) -> Tape:
        """Read it back."""
        decoders = {b"P": _PULSES, b"H": _HAPPENED}
        return [
            None if line == b"-" else decoders[line[:1]].decode(line[1:]) for line in self.lines
        ]


class Records(GuardActor):
    """A guard that measures nothing, and takes down what it is shown."""

    Config: ClassVar[type[GuardParams]] = GuardParams

    def __init__(self, key: str, params: GuardParams) -> None:
        super().__init__(key, Counts(params))
        self.recording = Recording()

    def attach(self, desk: RiskDesk, store: StateStore | None = None) -> None:
        """Join the desk, and hear when it lets guards speak."""
        super().attach(desk, store)
        real = desk.publish

        def publish() -> None:
            self.recording.add(None)
            real()

        desk.publish = publish  # type: ignore[method-assign]

    def observe(self, seen: Input) -> None:
        """Take it down."""
        self.recording.add(seen)
        super().observe(seen)


# Players -----------------------------------------------------------------------------------------


def by_guard(key: str, guard: Guard[Any, Any], tape: Tape) -> list[Verdict]:
    """Return what a fresh guard says to a tape: guard, latches and verdicts alone, no engine."""
    state: Any = None
    params = guard.params
    latches: Latches = ()
    stands: dict[str, Verdict] = {}
    said: list[Verdict] = []
    for seen in tape:
        if seen is None:
            now = verdicts(latches, key, transient=params.transient)
            for scope in sorted(now.keys() | stands.keys()):
                new, old = now.get(scope), stands.get(scope)
                if new is None:
                    del stands[scope]
                    over = Verdict(action=Action.NONE, scope=scope, guard=key, reason="over")
                    said.append(over)
                elif old is None or differs(new, old):
                    stands[scope] = new
                    said.append(new)
            continue
        if state is None:
            if not isinstance(seen, Snapshot):
                continue
            state = guard.start(seen)
        state, readings = guard.observe(state, seen)
        latches = step(
            latches, readings, seen.now if isinstance(seen, Snapshot) else seen.ts, params
        )
    return said


def differs(new: Verdict, old: Verdict) -> bool:
    """Whether a trader would be told of it: another number measured is no news."""
    return any(
        getattr(new, name) != getattr(old, name)
        for name in ("action", "multiplier", "until", "reason")
    )


class Player(Actor):
    """Shows a tape to guards, one thing a microsecond, in a simulated engine."""

    def __init__(self, tape: Tape, guards: list[GuardActor], first: int) -> None:
        super().__init__(ActorConfig(component_id="player"))
        self._tape, self._guards, self._first = tape, guards, first

    def on_start(self) -> None:
        """Plan every moment."""
        for number in range(len(self._tape)):
            self.clock.set_time_alert_ns(f"{number:08}", self._first + number * 1_000, self._show)

    def _show(self, event: Any) -> None:
        seen = self._tape[int(event.name)]
        if seen is not None:
            self.msgbus.publish(SEEN, seen)
            return
        for guard in self._guards:
            guard.publish()


def by_engine(guards: dict[str, GuardActor], tape: Tape) -> dict[str, list[Verdict]]:
    """Return what guards in a backtest engine say to a tape, each with a state of its own."""
    instrument = perpetual()
    engine = bare_engine(instrument)
    desk = RiskDesk(
        engine.kernel,
        Account(),
        StrategyBooks(),
        guards,
        leverage=Decimal(1),
        later=lambda act: act(),
    )
    said: dict[str, list[Verdict]] = {key: [] for key in guards}
    for key, guard in guards.items():
        guard.attach(desk, MemoryState())
        engine.add_actor(guard)
        engine.kernel.msgbus.subscribe(f"verdicts.{key}", said[key].append)
    bars = plain_bars(instrument, [100.0, 100.0])
    engine.add_actor(Player(tape, list(guards.values()), bars[0].ts_event + 1))
    engine.add_data(bars)
    engine.run()
    engine.dispose()
    return said
