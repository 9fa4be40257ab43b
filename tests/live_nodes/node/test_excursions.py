"""The lowest and the highest mid of each position of a node that closes."""

from decimal import Decimal as D

import pytest

from actors.guards.core.snapshot import Snapshot
from live_nodes.node.excursions import Excursions
from strategies.state import MemoryState
from tests.actors.guards.moments import BTC, NOON, SECOND
from tests.actors.guards.playing import closed, filled


def kept(*tape):
    """Return what is saved after a tape of events, and of mids each with its second."""
    store, mids = MemoryState(), {}
    excursions = Excursions(lambda _: (mids["mid"] - 1, mids["mid"] + 1, D(1), D(1)), store)
    for one in tape:
        if isinstance(one, tuple):
            second, mids["mid"] = one[0], D(one[1])
            one = Snapshot(now=NOON + second * SECOND, equity=D(1000))
        excursions.see(one)
    return store.values


ENTRY, EXIT = filled(1, NOON, opened=True), closed(1, NOON + 9 * SECOND)
NAME = f"a {BTC} {EXIT.ts}"


@pytest.mark.parametrize(
    ("tape", "expected"),
    [
        ((ENTRY, (1, 100), (2, 97), (3, 108), EXIT), {NAME: b"[97.0,108.0]"}),
        ((ENTRY, EXIT), {}),  # It was over before a price was seen.
        ((ENTRY, (60, 100), (61, 97), EXIT), {}),  # Its first minute was missed.
        (((1, 100), filled(-1, NOON + 2), EXIT), {}),  # It was open when the node started.
        # A flip closes one and opens the next, whose mids are its own.
        (
            (ENTRY, (1, 100), filled(-2, EXIT.ts, opened=True), EXIT, (10, 90)),
            {NAME: b"[100.0,100.0]"},
        ),
    ],
)
def test_only_what_was_followed_from_its_first_fill_is_kept(tape, expected):
    assert kept(*tape) == expected
