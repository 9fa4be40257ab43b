"""What differs between the venue and our books, and what the policies do about it."""

from __future__ import annotations

from decimal import Decimal as D
from typing import Any

import pytest

from config.documents.watch import Policies
from live_nodes.reconcile.recovery_rules import own_by
from live_nodes.reconcile.sweep import (
    EngineBooks,
    FindingKind,
    Ripening,
    SweepAction,
    SweepFinding,
    VenueBooks,
    actions_for,
    compare,
)
from tests.live_nodes.venue_by_hand import BTC, ETH, MINE, SECOND, fill, order


def is_own(link_id: str) -> bool:
    return link_id.startswith("n1-")


def books(**facts: Any) -> EngineBooks:
    known: dict[str, Any] = {
        "open_orders": {},
        "confirmed": set(),
        "executions": set(),
        "positions": {BTC: D(0)},
        "explained": {},
    }
    return EngineBooks(**(known | facts))


def venue(**facts: Any) -> VenueBooks:
    return VenueBooks(**({"orders": (), "fills": (), "positions": {}} | facts))


def kinds(ours: EngineBooks, theirs: VenueBooks) -> list[tuple[FindingKind, str]]:
    return [(f.kind, f.key) for f in compare(ours, theirs, is_own)]


@pytest.mark.parametrize(
    ("ours", "theirs", "found"),
    [
        # Orders: who knows them?
        ({}, {}, []),
        ({"open_orders": {MINE: BTC}}, {"orders": (order(),)}, []),
        ({}, {"orders": (order(),)}, [(FindingKind.GHOST_ORDER, MINE)]),
        ({}, {"orders": (order("x"),)}, [(FindingKind.FOREIGN_ORDER, "venue-x")]),
        (
            {},
            {"orders": (order("n2-rev-abc-1"),)},
            [(FindingKind.FOREIGN_ORDER, "venue-n2-rev-abc-1")],
        ),
        # The venue's own stop of a position carries no link id and is nobody's fault.
        ({}, {"orders": (order("", stop_order_type="StopLoss", reduce_only=True),)}, []),
        ({}, {"orders": (order(status="Filled"),)}, []),
        # Open here and not there: only what the venue once confirmed can be missed.
        ({"open_orders": {MINE: BTC}}, {}, []),
        ({"open_orders": {MINE: BTC}, "confirmed": {MINE}}, {}, [(FindingKind.LOST_ORDER, MINE)]),
        (
            {"open_orders": {MINE: BTC}, "confirmed": {MINE}},
            {"orders": (order(status="PartiallyFilled", filled=D("0.004")),)},
            [],
        ),
        # Sent long ago and never answered: the venue is asked for each by its id.
        ({"open_orders": {MINE: BTC}, "unanswered": {MINE: BTC}}, {}, []),
        (
            {"open_orders": {MINE: BTC}, "unanswered": {MINE: BTC}},
            {"unknown": {MINE}},
            [(FindingKind.NEVER_ARRIVED, MINE)],
        ),
        # Executions.
        ({}, {"fills": (fill(),)}, [(FindingKind.UNKNOWN_FILL, "e-1")]),
        ({"executions": {"e-1"}}, {"fills": (fill(),)}, []),
        ({}, {"fills": (fill(link_id=""),)}, []),
        ({}, {"fills": (fill(link_id="manual"),)}, []),
        ({}, {"fills": (fill(kind="Funding"),)}, []),
        # Positions: the engine's books, and what our own orders made.
        (
            {"positions": {BTC: D("0.01")}, "explained": {BTC: D("0.01")}},
            {"positions": {BTC: D("0.01")}},
            [],
        ),
        (
            {"positions": {BTC: D("0.01")}, "explained": {BTC: D("0.01")}},
            {"positions": {BTC: D("-0.01")}},
            [
                (FindingKind.POSITION_DIFFERS, f"{BTC} 0.01 -0.01"),
                (FindingKind.EXTERNAL_POSITION, f"{BTC} 0.01 -0.01"),
            ],
        ),
        (
            # The engine took a manual trade into its books: only the explanation is missing.
            {"positions": {BTC: D("0.015")}, "explained": {BTC: D("0.02")}},
            {"positions": {BTC: D("0.015")}},
            [(FindingKind.EXTERNAL_POSITION, f"{BTC} 0.02 0.015")],
        ),
        (
            {"positions": {BTC: D("0.01")}, "explained": {BTC: D("0.01")}},
            {"positions": {}},
            [
                (FindingKind.POSITION_DIFFERS, f"{BTC} 0.01 0"),
                (FindingKind.EXTERNAL_POSITION, f"{BTC} 0.01 0"),
            ],
        ),
        # What the node does not trade is not in its engine's books.
        (
            {"positions": {BTC: D(0)}},
            {"positions": {ETH: D(1)}},
            [(FindingKind.EXTERNAL_POSITION, f"{ETH} 0 1")],
        ),
    ],
)
def test_what_is_found(
    ours: dict[str, Any], theirs: dict[str, Any], found: list[tuple[FindingKind, str]]
) -> None:
    assert kinds(books(**ours), venue(**theirs)) == found


def test_an_order_is_ours_by_its_tag_or_by_the_journal() -> None:
    is_ours = own_by("n1", {"adopted"}.__contains__)
    assert is_ours(MINE)
    assert is_ours("adopted")
    assert not is_ours("n2-rev-abc-1")
    assert not is_ours("n1-rev")
    assert not is_ours("")


# A moment proves nothing --------------------------------------------------------------------------


def ghost(key: str = MINE) -> SweepFinding:
    return SweepFinding(FindingKind.GHOST_ORDER, key, BTC, "", order=order(key))


def test_a_finding_is_acted_upon_once_it_stood_long_enough() -> None:
    state, fresh, ripe = Ripening().seen([ghost()], 0, 3 * SECOND)
    assert (fresh, ripe) == ([], [])
    state, fresh, ripe = state.seen([ghost()], 3 * SECOND - 1, 3 * SECOND)
    assert (fresh, ripe) == ([], [])
    state, fresh, ripe = state.seen([ghost()], 3 * SECOND, 3 * SECOND)
    assert fresh == ripe == [ghost()]
    state, fresh, ripe = state.seen([ghost()], 4 * SECOND, 3 * SECOND)
    assert (fresh, ripe) == ([], [ghost()])


def test_a_finding_that_went_away_starts_anew() -> None:
    state, _, _ = Ripening().seen([ghost()], 0, 3 * SECOND)
    state, _, _ = state.seen([], SECOND, 3 * SECOND)
    state, fresh, _ = state.seen([ghost()], 4 * SECOND, 3 * SECOND)
    assert fresh == []
    _, fresh, _ = state.seen([ghost()], 7 * SECOND, 3 * SECOND)
    assert fresh == [ghost()]


def test_a_position_that_moves_on_is_trading_and_no_fault() -> None:
    """Each look shows another difference: none of them ever stands."""
    state = Ripening()
    for second in range(10):
        there = {BTC: D(second) / 1000}
        found = compare(books(explained={BTC: D(1)}), venue(positions=there), is_own)
        state, fresh, _ = state.seen(found, second * SECOND, 3 * SECOND)
        assert fresh == []


# Policies -----------------------------------------------------------------------------------------


def finding(kind: FindingKind) -> SweepFinding:
    return SweepFinding(kind, "k", BTC, "")


@pytest.mark.parametrize(
    ("kind", "policies", "done"),
    [
        (FindingKind.GHOST_ORDER, {}, [SweepAction.CANCEL]),
        (FindingKind.GHOST_ORDER, {"ghost_orders": "report"}, []),
        (FindingKind.FOREIGN_ORDER, {}, []),
        (FindingKind.FOREIGN_ORDER, {"foreign_orders": "cancel"}, [SweepAction.CANCEL]),
        (FindingKind.FOREIGN_ORDER, {"foreign_orders": "adopt"}, [SweepAction.REPAIR]),
        (FindingKind.UNKNOWN_FILL, {}, [SweepAction.REPAIR]),
        (FindingKind.UNKNOWN_FILL, {"unknown_fills": "report"}, []),
        (FindingKind.LOST_ORDER, {}, [SweepAction.REPAIR]),
        (FindingKind.POSITION_DIFFERS, {}, [SweepAction.REPAIR, SweepAction.HALT]),
        (FindingKind.POSITION_DIFFERS, {"external_positions": "report"}, [SweepAction.REPAIR]),
        (FindingKind.EXTERNAL_POSITION, {}, [SweepAction.HALT]),
        (FindingKind.EXTERNAL_POSITION, {"external_positions": "report"}, []),
    ],
)
def test_what_the_policies_do(
    kind: FindingKind, policies: dict[str, Any], done: list[SweepAction]
) -> None:
    assert list(actions_for(kind, Policies(**policies))) == done


def test_every_kind_of_finding_has_a_policy() -> None:
    for kind in FindingKind:
        actions_for(kind, Policies())
