"""Memory of a rebalancer from one decision to the next: weights, entries, cooldowns. Pure.

It follows from decisions and candles alone, so the screen and the strategies remember the same. The
strategies correct it by what is held, as after a stop, and save it with their `plan.Progress`.
"""

from __future__ import annotations

import math
from collections.abc import Container, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

MOST_RESULTS = 50
"""Closed trades of each instrument that are remembered."""


class Remembered(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is remembered of one instrument; times are UNIX nanoseconds (UTC).

    ``weight`` is the last one decided, a signed fraction of equity. ``since`` is the close time of
    the candle at its entry, ``entry`` that candle's close and ``price`` the close at the last
    decision, settlement currency. ``gain`` is the profit since the entry until then, a fraction of
    equity at closes, before costs. ``entered`` is whether the position was seen at the account,
    ``missed`` whether it was not until the next decision, and ``taken`` whether take-profits have
    closed part of it.

    After an exit, ``left`` is its time, and nothing is entered before ``until``. ``cut`` is the
    time of the last exit that no target asked for: by a stop, a guard or a limit of the rules.
    ``results`` are returns of closed trades, the newest last, positive when they earned.
    """

    weight: float = 0.0
    since: int = 0
    entry: float = 0.0
    price: float = 0.0
    gain: float = 0.0
    entered: bool = False
    missed: bool = False
    taken: bool = False
    left: int = 0
    until: int = 0
    cut: int = 0
    results: tuple[float, ...] = ()

    def gain_at(self, close: float) -> float:
        """Return the profit since the entry at a close; as of the last decision when it is NaN."""
        moved = close / self.price - 1.0 if self.weight and close > 0.0 else 0.0
        return self.gain + self.weight * moved

    def closed(self, ts: int, price: float, until: int, *, cut: bool) -> Remembered:
        """Return what is remembered after an exit at a price, NaN when it is unknown.

        ``cut`` is whether something else than its target closed it.
        """
        price = price if price > 0.0 else self.price
        earned = round((price / self.entry - 1.0) * (1 if self.weight > 0.0 else -1), 6)
        return Remembered(
            left=ts,
            until=max(until, self.until),
            cut=ts if cut else self.cut,
            results=(*self.results, earned)[-MOST_RESULTS:],
        )


class Record(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a blend's scorer would have earned by its own weights alone, at closes, before costs.

    ``count`` is of decisions after which it held something, ``total`` the sum of the returns until
    the next ones, fractions of equity, ``squares`` that of their squares. ``held`` has its last
    weights by instrument id, each with the close.
    """

    count: int = 0
    total: float = 0.0
    squares: float = 0.0
    held: dict[str, tuple[float, float]] = {}


class Exit(NamedTuple):
    """Time (UNIX nanoseconds, UTC) and price of an exit that no decision asked for."""

    ts: int
    price: float


class Memory(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a decision knows of earlier ones, by instrument id.

    ``exits`` came since the last decision, as by a stop. ``regime`` is the state of the market's
    regime, empty before the first. ``scorers`` are records by the scorer's name, of a blend by
    performance.
    """

    instruments: dict[str, Remembered] = {}
    exits: dict[str, Exit] = {}
    regime: str = ""
    scorers: dict[str, Record] = {}

    def with_entry(self, name: str, side: int) -> Memory:
        """Return the memory with a position seen at the account, of side 1 or -1, if remembered."""
        one = self.instruments.get(name, _NOTHING)
        if one.weight * side <= 0.0:
            return self
        known = self.instruments | {name: msgspec.structs.replace(one, entered=True)}
        return msgspec.structs.replace(self, instruments=known)

    def with_exit(self, name: str, ts: int, price: float, side: int) -> Memory:
        """Return the memory with the exit of a position, of side 1 or -1, if one is remembered.

        An exit that a decision asked for is none: the decision has set the weight already.
        """
        if self.instruments.get(name, _NOTHING).weight * side <= 0.0:
            return self
        return msgspec.structs.replace(self, exits=self.exits | {name: Exit(ts, price)})

    def corrected(
        self,
        held: Mapping[str, float],
        price: Mapping[str, float],
        ts: int,
        cooldown_ns: int,
        taken: Container[str] = (),
    ) -> Memory:
        """Return the memory, corrected by the weights that are held at a time.

        A position that is gone or has turned was closed: nothing is entered for ``cooldown_ns``
        from its exit. One that was never seen, as it was too small or halted, is ``missed``. What
        is held and not remembered counts from now on. What take-profits left of the ``taken`` is
        their last weight.
        """
        known = dict(self.instruments)
        for name in sorted(known.keys() | held.keys()):
            one, now = known.get(name, _NOTHING), held.get(name, 0.0)
            if one.weight * now > 0.0:
                one = known[name] = msgspec.structs.replace(one, entered=True, missed=False)
                if name in taken:
                    less = min(one.weight, now, key=abs)
                    known[name] = msgspec.structs.replace(one, weight=less, taken=True)
                continue
            left = self.exits.get(name)
            if one.weight and (one.entered or left is not None):
                left = left or Exit(ts, price.get(name, math.nan))
                one = known[name] = one.closed(left.ts, left.price, left.ts + cooldown_ns, cut=True)
            elif one.weight:
                one = known[name] = msgspec.structs.replace(one, missed=True)
            if now and price.get(name, math.nan) > 0.0:
                known[name] = msgspec.structs.replace(
                    one,
                    weight=now,
                    since=ts,
                    entry=price[name],
                    price=price[name],
                    gain=0.0,
                    entered=True,
                    missed=False,
                )
        return msgspec.structs.replace(self, instruments=known, exits={})


_NOTHING = Remembered()
NO_MEMORY = Memory()


@dataclass(frozen=True, slots=True)
class Recall:
    """A memory beside a window: arrays of shape (N,), and the closed trades of each instrument.

    ``planned`` is the last weight decided, ``weight`` the same but zero where it was missed.
    ``age_ns`` is the time since its entry, ``gain`` the profit since then at the window's closes, a
    fraction of equity. ``since_exit_ns`` is the time since the last exit, ``wait_ns`` how long
    nothing may be entered yet, ``since_cut_ns`` the time since the last exit that no target asked
    for. ``taken`` is where take-profits have closed part of the position.
    """

    weight: NDArray[np.float64]
    planned: NDArray[np.float64]
    age_ns: NDArray[np.float64]
    gain: NDArray[np.float64]
    since_exit_ns: NDArray[np.float64]
    wait_ns: NDArray[np.float64]
    since_cut_ns: NDArray[np.float64]
    taken: NDArray[np.bool_]
    results: tuple[tuple[float, ...], ...]


def recall(memory: Memory, ids: tuple[str, ...], ts: int, price: NDArray[np.float64]) -> Recall:
    """Return a memory in the order of the columns, at a close time and its closes."""
    known = [memory.instruments.get(name, _NOTHING) for name in ids]
    return Recall(
        weight=np.array([0.0 if one.missed else one.weight for one in known]),
        planned=np.array([one.weight for one in known]),
        age_ns=np.array([float(ts - one.since) for one in known]),
        gain=np.array(
            [one.gain_at(close) for one, close in zip(known, price.tolist(), strict=True)]
        ),
        since_exit_ns=np.array([float(ts - one.left) for one in known]),
        wait_ns=np.array([float(one.until - ts) for one in known]),
        since_cut_ns=np.array([float(ts - one.cut) for one in known]),
        taken=np.array([one.taken for one in known], np.bool_),
        results=tuple(one.results for one in known),
    )


def remember(
    memory: Memory,
    ids: tuple[str, ...],
    ts: int,
    price: NDArray[np.float64],
    weight: NDArray[np.float64],
    cooldown_ns: NDArray[np.int64],
    cut: NDArray[np.bool_] | None = None,
) -> Memory:
    """Return the memory after a decision for these weights, shape (N,), is carried out.

    ``cooldown_ns`` is how long nothing is entered after an exit; ``cut`` is where a limit of the
    rules, not the target, closes a position (None: nowhere).
    """
    known = dict(memory.instruments)
    cuts = np.zeros(len(ids), np.bool_) if cut is None else cut
    columns = (array.tolist() for array in (weight, price, cooldown_ns, cuts))
    for name, new, close, cooldown, by_limit in zip(ids, *columns, strict=True):
        one = known.get(name, _NOTHING)
        if one.missed:
            one = known[name] = Remembered(
                left=one.left, until=one.until, cut=one.cut, results=one.results
            )
        if one.weight and one.weight * new <= 0.0:
            one = known[name] = one.closed(ts, close, ts + cooldown, cut=by_limit)
        if one.weight:
            known[name] = msgspec.structs.replace(
                one, weight=new, price=close if close > 0.0 else one.price, gain=one.gain_at(close)
            )
        elif new:
            known[name] = msgspec.structs.replace(
                one, weight=new, since=ts, entry=close, price=close
            )
    return msgspec.structs.replace(memory, instruments=known)
