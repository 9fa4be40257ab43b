"""Symbol loss: one instrument's net loss, and its fall from its own best."""

from __future__ import annotations

import pytest

from actors.guards.core.snapshot import Snapshot
from actors.guards.symbol_loss import SymbolLoss, SymbolLossParams
from tests.actors.guards.playing import Player, nets, snapshot


def player(**params: object) -> Player:
    return Player(SymbolLoss, SymbolLossParams(**params))  # type: ignore[arg-type]


def results(now: int | None = None, equity: int = 1000, **by_name: str | int) -> Snapshot:
    return snapshot(equity, now, results_by_instrument=nets(**by_name))


@pytest.mark.parametrize(
    ("limits", "path", "over"),
    [
        # The account begins with 1000.
        ({"limit_currency": 50.0}, ["-49.99"], []),
        ({"limit_currency": 50.0}, ["-50"], ["instrument:X currency"]),
        ({"limit_currency": 50.0}, ["-50.01"], ["instrument:X currency"]),
        ({"limit_currency": 50.0}, [100, "-49.99"], []),
        ({"limit_pct": 0.02}, ["-19.99"], []),
        ({"limit_pct": 0.02}, ["-20"], ["instrument:X pct"]),
        ({"trailing_currency": 50.0}, [100, "50.01"], []),
        ({"trailing_currency": 50.0}, [100, "50"], ["instrument:X trailing_currency"]),
        ({"trailing_currency": 50.0}, ["-49.99"], []),
        ({"trailing_currency": 50.0}, ["-50"], ["instrument:X trailing_currency"]),
        ({"trailing_pct": 0.02}, [100, "80.01"], []),
        ({"trailing_pct": 0.02}, [100, "80"], ["instrument:X trailing_pct"]),
        (
            {"limit_currency": 50.0, "trailing_currency": 50.0},
            [100, "-50"],
            ["instrument:X currency", "instrument:X trailing_currency"],
        ),
    ],
)
def test_what_an_instrument_lost(
    limits: dict[str, float], path: list[str | int], over: list[str]
) -> None:
    desk = player(**limits).observe(results(X=0)).observe(*(results(X=net) for net in path))
    assert desk.over() == over
    assert desk.action("instrument:X") == ("flatten" if over else "none")


def test_the_others_go_on() -> None:
    desk = player(limit_currency=50.0).observe(results(X=0, Y=0), results(X=-50, Y="-49.99"))
    assert [desk.action(f"instrument:{name}") for name in "XY"] == ["flatten", "none"]
    assert desk.action() == "none"
    reason = "loss of 50.00 since the start, limit 50.00"
    assert desk.verdict("instrument:X").reason == reason


def test_an_instrument_that_is_traded_later_began_with_nothing() -> None:
    desk = player(limit_currency=50.0, trailing_currency=50.0).observe(results())
    assert desk.observe(results(X="-50")).over() == [
        "instrument:X currency",
        "instrument:X trailing_currency",
    ]


def test_results_from_before_the_guard_are_no_loss_to_it() -> None:
    desk = player(limit_currency=50.0).observe(results(X=-500), results(X="-549.99"))
    assert desk.over() == []
    assert desk.restart().observe(results(X="-550")).over() == ["instrument:X currency"]


def test_a_fraction_is_of_the_equity_at_the_sessions_start() -> None:
    desk = player(limit_pct=0.02).observe(results(X=0, equity=1000), results(X=-20, equity=5000))
    assert desk.over() == ["instrument:X pct"]


def test_only_the_accepted_instrument_is_measured_anew() -> None:
    desk = player(limit_currency=50.0).observe(results(X=0, Y=0), results(X=-50, Y=-50))
    desk.accept("instrument:X").observe(results(X="-99.99", Y=0))
    assert [desk.action(f"instrument:{name}") for name in "XY"] == ["none", "flatten"]
    assert desk.observe(results(X="-100", Y=0)).action("instrument:X") == "flatten"


def test_what_does_not_go_together_is_named() -> None:
    words = "must be set, or limit_currency or trailing_pct or trailing_currency"
    assert SymbolLossParams().check() == [("limit_pct", words)]
    [(field, _)] = SymbolLossParams(trailing_pct=0.1, release="next_day").check()
    assert field == "release"
