"""A node that is killed anywhere around a breach loses no verdict, no peak and no count.

Each time: SIGKILL, an ordinary restart on the same folder, and both sides are asked. Guards keep
what they had kept, halts stand since when they stood, no entry left after the first of them, the
exchange is flat and no position was turned round on the way. `make test-live` kills thrice; `make
test-kill` at every boundary from before the breach to after flat, inside the restart, in the middle
of the operator's commands, and at random moments.
"""

from __future__ import annotations

import copy
import os
import random
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from live_nodes.local.mailbox import MailRequest, answer, ask, pending
from tests.conftest import fill_disk, full_disk
from tests.live_nodes.breaking import (
    BREACHED,
    COUNTING,
    FIRST,
    SECOND,
    WANTED,
    Field,
    Kept,
    Victim,
    booked,
    lost_by,
    standing,
    wrong_at_the_exchange,
)

AFTER = 0.3
"""Seconds that an eager strategy gets to come back in, once all is flat: one of its looks."""
BY_HAND = {"operator": "flatten"}
FLAT = "flat after"
"""What a node says once it has closed everything; until then it refuses a release."""
NAMES = (f"k{n}" for n in count())


class Wrong(dict[str, list[str]]):
    """What was wrong after each kill."""

    def note(self, where: str, found: list[str]) -> None:
        """Print what was found after a kill, and keep it if it is anything."""
        print(f"{where}: {found}", flush=True)
        if found:
            self[where] = found


@pytest.fixture(scope="module")
def field(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Field]:
    """Return an exchange of this module's own: prices are moved there."""
    with Field(tmp_path_factory.mktemp("field")) as made:
        yield made


def victim_of(field: Field, strategy: str = "Eager", **changes: Any) -> Victim:
    """Return a node that runs and holds its positions; `changes` are of its document."""
    field.end()
    victim = Victim(field, next(NAMES), strategy, **changes)
    victim.price("100")
    victim.begin()
    victim.holds()
    return victim


# What is done to it ------------------------------------------------------------------------------


def fall(victim: Victim, over: Callable[[], bool] = lambda: False) -> None:
    """Breach its limits one after the other, until it is dead, closed, or it is `over`."""
    before = victim.said().count(FLAT)
    victim.price(FIRST)
    first = {"tiers", "daily"}
    victim.until(lambda: over() or first <= victim.journal(standing).keys(), "first verdicts")
    victim.price(SECOND)
    closed(victim, over, before)


def flatten(victim: Victim, over: Callable[[], bool] = lambda: False) -> None:
    """Ask it to close everything, until it is dead or closed, or it is `over`."""
    ask(victim.folder, MailRequest(command="flatten", reason="the test"))
    closed(victim, over)


def closed(victim: Victim, over: Callable[[], bool] = lambda: False, before: int = 0) -> None:
    """Wait until it is dead, or flat and says so once more than `before`, or it is `over`."""
    victim.until(lambda: over() or (victim.said().count(FLAT) > before and victim.flat), "flatten")


def again(victim: Victim, since: int, stands: dict[str, str]) -> list[str]:
    """Start a dead victim again and let it close; return what is wrong then."""
    before = victim.left()
    victim.begin()
    return ends(victim, before, since, stands)


def ends(victim: Victim, before: dict[str, Kept], since: int, stands: dict[str, str]) -> list[str]:
    """Let a victim that was started close; return what is wrong then."""
    assert victim.until(lambda: victim.runs, "start"), victim.said()
    assert victim.until(
        lambda: victim.flat and "flatten" in victim.journal(standing).values(), "flat"
    ), victim.said()
    # Its exchange may tell it of the last execution a second later.
    assert victim.until(lambda: victim.journal(booked), "news of that"), victim.said()
    time.sleep(AFTER)
    wrong = lost_by(before, victim.kept())
    found = victim.journal(standing)
    if found != stands:
        wrong.append(f"what stands is {found}")
    return wrong + wrong_at_the_exchange(victim, since, tuple(stands))


def round_of(
    victim: Victim,
    number: int | str,
    breach: Callable[..., None] = fall,
    stands: dict[str, str] = BREACHED,
    wait: float | None = None,
) -> tuple[str, list[str]]:
    """Breach, kill at a boundary, start again; return where it died and what was wrong then.

    It dies at the boundary of that number or with those words in its name, else when flat, or after
    `wait` seconds. Its positions are open before and after; `stands` must stand in the end.
    """
    since = time.time_ns()
    victim.arm(number)
    until = time.monotonic() + (3600.0 if wait is None else wait)
    breach(victim, lambda: time.monotonic() > until)
    died = victim.kill()
    found = again(victim, since, stands)
    victim.released()
    return died, found


def rounds(
    victim: Victim,
    numbers: Sequence[int | str],
    breach: Callable[..., None] = fall,
    stands: dict[str, str] = BREACHED,
) -> Wrong:
    """Kill it at each of these boundaries after a breach; return what was wrong, by boundary."""
    wrong = Wrong()
    for number in numbers:
        died, found = round_of(victim, number, breach, stands)
        wrong.note(f"{number}: {died}", found)
    victim.stop()
    return wrong


def boundaries_of(
    victim: Victim, breach: Callable[..., None] = fall, stands: dict[str, str] = BREACHED
) -> list[str]:
    """Return the boundaries of a breach that nobody cuts before it is flat."""
    died, wrong = round_of(victim, 0, breach, stands)
    assert (died, wrong) == ("killed", [])
    life_before = copy.copy(victim)
    life_before.lives -= 1
    return life_before.reached()[1:]


# -- around a breach -------------------------------------------------------------------------------


def test_a_node_that_is_killed_around_a_breach_keeps_its_halts_and_gets_flat(field: Field) -> None:
    """Before anything is kept, before a verdict is written, and when the first close is booked."""
    victim = victim_of(field)
    assert rounds(victim, ["guard:daily", "verdicts", "guard:losses"]) == {}
    assert victim.lives == 4


def test_a_node_that_is_killed_on_a_full_disk_finds_at_the_venue_what_it_could_not_write(
    field: Field, small: Path
) -> None:
    """It closes all at 90, which the disk does not take; once there is room it knows of it."""
    field.end()
    victim = Victim(field, next(NAMES), state=str(small))
    victim.folder = small / victim.account / "practice"
    victim.price("100")
    victim.begin()
    victim.holds()
    since = time.time_ns()
    with full_disk(small, victim.folder) as rest:
        assert victim.until(lambda: "exits go on" in victim.said(), "full disk"), victim.said()
    victim.price(SECOND)
    # No other process sees in its journal what it does.
    assert victim.until(lambda: FLAT in victim.said() and victim.flat, "flatten"), victim.said()
    assert victim.kill() == "killed"
    held = victim.from_copy(lambda journal: journal.explained(), {})
    assert {name: size for name, size in held.items() if size} == WANTED
    rest.unlink()
    assert again(victim, since, BREACHED) == []
    victim.released()
    victim.stop()


def test_a_node_that_prints_to_a_file_on_the_full_disk_goes_on(field: Field, small: Path) -> None:
    """The engine would end the process at the first error that it can print nowhere."""

    class Printing(Victim):
        def file_of(self, kind: str) -> Path:
            return small / "out" if kind == "out" else super().file_of(kind)

    field.end()
    victim = Printing(field, next(NAMES), state=str(small))
    victim.folder = small / victim.account / "practice"
    victim.price("100")
    victim.begin()
    victim.holds()
    prints = Path(f"/proc/{victim.pid}/fd/2")
    fill_disk(small, leave=200_000)
    assert victim.until(lambda: prints.readlink() == Path(os.devnull), "nothing printed")
    rest = fill_disk(small)
    log, since = (victim.folder / "node.log").stat().st_size, time.monotonic()
    victim.price(SECOND)
    assert victim.until(lambda: victim.flat, "flatten")
    # An eager strategy is refused, and the engine logs it, some times a second.
    assert victim.until(lambda: time.monotonic() > since + 10, "ten seconds of lines")
    assert (victim.folder / "node.log").stat().st_size - log < 4096, "the disk took the lines"
    rest.unlink()
    assert victim.until(lambda: victim.journal(standing) == BREACHED, "rows"), victim.said()
    assert victim.until(lambda: "is whole again" in victim.said(), "prints"), victim.said()
    victim.released()
    victim.stop()


@pytest.mark.kill
@pytest.mark.parametrize("strategy", ["Eager", "Deaf"])
def test_a_node_may_be_killed_at_every_boundary_from_breach_to_flat(
    field: Field, strategy: str
) -> None:
    victim = victim_of(field, strategy)
    found = boundaries_of(victim)
    for what in ("daily state", "tiers state", "max state", "verdicts+standing"):
        assert any(name.startswith("commit") and what in name for name in found), what
    assert {"send submit_order", "sent submit_order"} < set(found)
    assert len(found) > 25
    assert rounds(victim, list(range(1, len(found) + 2))) == {}


@pytest.mark.kill
@pytest.mark.parametrize("strategy", ["Eager", "Deaf"])
def test_a_node_may_be_killed_at_any_moment_around_a_breach(field: Field, strategy: str) -> None:
    chance = random.Random(strategy)
    victim = victim_of(field, strategy)
    wrong = Wrong()
    for _ in range(20):
        wait = chance.uniform(0.0, 1.2)
        died, found = round_of(victim, 0, wait=wait)
        wrong.note(f"after {wait:.3f} s: {died}", found)
    victim.stop()
    assert wrong == {}


# -- inside the restart ----------------------------------------------------------------------------


@pytest.mark.kill
@pytest.mark.parametrize(
    "first",
    ["guard:daily state", "send submit_order"],
    ids=["nothing is known yet", "orders are under way"],
)
def test_a_restart_may_be_killed_at_every_boundary_until_flat(field: Field, first: str) -> None:
    """Each start is cut one boundary later than the one before it, on what that one left."""
    victim = victim_of(field)
    where = next(n for n, name in enumerate(boundaries_of(victim), 1) if first in name)
    wrong = Wrong()
    number, whole = 0, False
    while not whole:
        since = time.time_ns()
        victim.arm(where)
        fall(victim)
        victim.kill()
        left = victim.left()
        while True:
            number += 1
            victim.begin(die_at=number)
            victim.until(lambda: victim.runs and victim.flat, "flat")
            whole = victim.disarm()
            if whole:
                found = ends(victim, left, since, BREACHED)
                died = "never"
            else:
                died = victim.kill()
                found = lost_by(left, victim.kept())
                left |= victim.left()
            wrong.note(f"{number}: {died}", found)
            if whole or victim.flat:
                break
        if not whole:
            found = again(victim, since, BREACHED)
            wrong.note(f"after {number}", found)
        victim.released()
    victim.stop()
    assert number > 8
    assert wrong == {}


@pytest.mark.kill
def test_a_restart_may_be_killed_at_any_moment(field: Field) -> None:
    chance = random.Random(4)
    victim = victim_of(field)
    where = boundaries_of(victim).index("send submit_order") + 1
    wrong = Wrong()
    for _ in range(8):
        since = time.time_ns()
        victim.arm(where)
        fall(victim)
        victim.kill()
        left = victim.left()
        for _ in range(2):
            victim.begin()
            time.sleep(chance.uniform(0.1, 4.0))
            victim.kill()
            found = lost_by(left, victim.kept())
            left |= victim.left()
            wrong.note(f"life {victim.lives}", found)
        found = again(victim, since, BREACHED)
        wrong.note(f"life {victim.lives}", found)
        victim.released()
    victim.stop()
    assert wrong == {}


# -- the operator's requests -----------------------------------------------------------------------


@pytest.mark.kill
def test_a_node_may_be_killed_at_every_boundary_of_the_operators_flatten(field: Field) -> None:
    victim = victim_of(field, actors=COUNTING)
    found = boundaries_of(victim, flatten, BY_HAND)
    assert {"write answer", "written answer", "send submit_order"} < set(found)
    assert rounds(victim, list(range(1, len(found) + 1)), flatten, BY_HAND) == {}
    assert pending(victim.folder) == []


@pytest.mark.kill
def test_a_node_may_be_killed_at_every_boundary_of_a_release(field: Field) -> None:
    """What was asked for is done by the next start, once, and the other halts stay."""
    victim = victim_of(field)
    wrong = Wrong()
    number, whole = 0, False
    while not whole:
        number += 1
        since = time.time_ns()
        victim.arm(0)
        fall(victim)
        victim.arm(number)
        request = MailRequest(command="release", guard="max", accept=True, reason="test")
        name = ask(victim.folder, request)
        victim.until(lambda: not pending(victim.folder), "answer")
        time.sleep(AFTER)
        whole = not victim.dead
        died = victim.kill()
        left = victim.left()
        victim.begin()
        assert victim.until(lambda: victim.runs, "start"), victim.said()
        del left["max"]
        found = lost_by(left, victim.kept())
        told = answer(victim.folder, name, 0.0)
        if told is None or not told.done:
            found.append(f"the answer is {told}")
        stands = victim.journal(standing)
        if stands != {"tiers": "shrink", "daily": "halt_entries"}:
            told_of_it = [line for line in victim.said().splitlines() if " max" in line]
            found.append(f"what stands is {stands}: {told_of_it}")
        found += wrong_at_the_exchange(victim, since, ("tiers", "daily"))
        wrong.note(f"{number}: {died}", found)
        victim.released()
    victim.stop()
    assert number > 4
    assert wrong == {}


@pytest.mark.kill
@pytest.mark.parametrize("alive", [False, True], ids=["straight", "through the node"])
def test_the_command_that_flattens_may_be_killed_at_every_boundary(
    field: Field, alive: bool
) -> None:
    """Given once more, it ends flat: whatever the first one had asked for or sent."""
    victim = victim_of(field, actors=COUNTING)
    wrong = Wrong()
    number, whole = 0, False
    while not whole:
        number += 1
        since = time.time_ns()
        if not alive:
            victim.kill()
        flat = ("risk", "flatten", "--reason", "the test", "--within", "30s")
        how = victim.command(*flat, die_at=number)
        whole = how == 0
        if not whole:
            assert how == -signal.SIGKILL
            assert victim.command(*flat) == 0
        if alive:
            victim.kill()
        found = [] if victim.flat else ["the command said flat, and it is not"]
        found += again(victim, since, BY_HAND)
        wrong.note(str(number), found)
        victim.released()
    victim.stop()
    assert number > (2 if alive else 6)
    assert wrong == {}
