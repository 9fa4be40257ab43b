"""Outages of seconds in the midst of a rebalance: it is finished, or said to be unfinished."""

from __future__ import annotations

import threading
from collections.abc import Callable
from decimal import Decimal as D
from pathlib import Path
from typing import Any

import pytest

from config.errors import DeskError
from live_nodes.node.launch import launch
from live_nodes.node.report import RunOptions, RunReport, raise_left
from tests.live_nodes.stage import ACCOUNT, Stage, keys, stage
from tests.live_nodes.test_launch import node
from tests.waiting import eventually

ONCE = RunOptions(run_once=True, force=True)
COINS = [f"C{n:02}USDT-LINEAR.BYBIT" for n in range(8)]
MAKER = {"tactic": "maker_first", "deadline": "10s", "reprice_every": "1s", "least_rest": "1s"}


class Runs:
    """Launches a node that rebalances eight coins, one order at a time."""

    def __init__(self, st: Stage, folder: Path) -> None:
        self.stage, self.folder = st, folder
        self.said: list[str] = []

    def __call__(
        self, options: RunOptions = ONCE, *, execution: Any = None, release: str = "3s", **more: Any
    ) -> RunReport:
        document = node().model_dump(mode="json", exclude_unset=True)
        params = document["strategies"]["steady"]["params"]
        params |= {"gross_leverage": 0.1, "execution": execution or {"tactic": "taker"}}
        document["universe"] = {"instruments": COINS}
        document["watch"] |= {"feed_silence": 300, "throttle": {"per_second": 2, "burst": 1}}
        document["actors"] = {
            "errors": {
                "use": "actors.guards.error_rate:ErrorRate",
                "params": {"limit": 3, "window": "5s", "release": release},
            }
        }
        made = type(node()).model_validate(document | more)
        return launch(
            made, self.stage.where, keys(), self.folder, "hash", options, self.said.append
        )

    def after_orders(self, number: int, act: Callable[[], None]) -> threading.Thread:
        """Do something once so many orders were sent."""

        def run() -> None:
            eventually(lambda: self.stage.sent() >= number)
            act()

        thread = threading.Thread(target=run)
        thread.start()
        return thread

    def held(self) -> dict[str, D]:
        def read() -> dict[str, D]:
            exchange = self.stage.exchange
            found = {name: exchange.position(ACCOUNT, name.partition("-")[0]) for name in COINS}
            return {n: -p.size if p.side == "Sell" else p.size for n, p in found.items() if p.size}

        return self.stage.call(read)


@pytest.fixture
def runs(tmp_path: Path) -> Any:
    with stage(coins=8) as st:
        yield Runs(st, tmp_path / "state")


# A tenth of 100,000 USDT over eight coins of 100 USDT each.
WANTED = {name: D("12.5") * (1 if n < 4 else -1) for n, name in enumerate(COINS)}


@pytest.mark.parametrize("execution", [{"tactic": "taker"}, MAKER])
def test_maintenance_of_seconds_delays_a_rebalance_and_ends_none(
    runs: Runs, execution: dict[str, Any]
) -> None:
    striking = runs.after_orders(3, lambda: runs.stage.play("maintenance_mid_rebalance"))
    report = runs(execution=execution)
    striking.join()
    print("\n".join(runs.said))
    assert runs.held() == report.positions == WANTED
    assert report.missed == []
    raise_left(report)


def test_past_the_bound_each_start_says_what_is_missing_until_one_can_finish(runs: Runs) -> None:
    striking = runs.after_orders(3, lambda: runs.stage.play("maintenance_mid_rebalance", "closed"))
    # A halt that a person must release, not one of seconds.
    first = runs(execution={"tactic": "taker", "retry_for": "10m"}, release="20m")
    striking.join()
    print("\n".join(runs.said))
    assert len(runs.held()) < 8
    missing = {name for name in COINS if name not in runs.held()}
    assert {line.partition(" ")[0] for line in first.missed} == missing
    assert all("holds 0" in line and "wanted" in line and "errors" in line for line in first.missed)
    again = RunOptions(run_once=True)
    second = runs(again, execution={"tactic": "taker", "retry_for": "10m"}, release="20m")
    assert {line.partition(" ")[0] for line in second.missed} == missing
    with pytest.raises(DeskError, match=r"not where the decision wanted it: C0\dUSDT.* holds 0"):
        raise_left(second)
    # Without that guard the third start finishes it, without a new decision.
    third = runs(again, actors={})
    assert (runs.held(), third.missed, third.decisions) == (WANTED, [], 0)
    raise_left(third)
    assert runs(again, actors={}).outcome == "nothing due"
