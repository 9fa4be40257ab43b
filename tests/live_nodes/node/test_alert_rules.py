"""Alert rules by hand-made fills, decisions and times, and out of a journal."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal as D
from pathlib import Path
from typing import Any

import msgspec
import pytest
from pydantic import ValidationError

from actors.records.journal import Journal
from actors.records.rows import MARKS, EquityRow, FillRow, PositionRow
from config.documents import Fees
from config.durations import HOUR_NS, MINUTE_NS
from live_nodes.local.alert_pacing import Level
from live_nodes.node.alert_rules import Conditions, Reading, RuleBook, cost_of
from live_nodes.node.alert_watch import RuleWatch
from strategies.messages import Decision, Target
from tests.live_nodes.documents import BTC, ETH, node_of

FEES = Fees(maker=D("0.0002"), taker=D("0.00055"))
FILL = FillRow(
    instrument=BTC,
    execution_id="e1",
    ts=HOUR_NS,
    client_order_id="n1-steady-abc-1",
    strategy="steady",
    decision_id="steady@1",
    side="BUY",
    quantity=D("0.1"),
    price=D(50_010),
    reference_price=D(50_000),
    fee=D("2.75"),
    fee_coin="USDT",
    liquidity="TAKER",
    kind="Trade",
)
IN_COIN = {"instrument": "BTCUSDT-SPOT.BYBIT", "fee_coin": "BTC", "fee": D("0.0001")}
STOP = "n1-steady-abc-z00000000001"


def book(started: int = 0, **rules: Any) -> RuleBook:
    node = node_of(alerts={"rules": rules})
    assert node.alerts is not None
    return RuleBook(node, node.alerts.rules, started)


def decision(ts: int, kind: str = "rebalance", **targets: str) -> Decision:
    found = tuple(
        Target(instrument=f"{coin}USDT-LINEAR.BYBIT", price=100.0, target=target)
        for coin, target in targets.items()
    )
    return Decision(strategy="steady", ts=ts, data_ts=ts, kind=kind, equity="1000", targets=found)


def shares(made: RuleBook, now: int, **held: str) -> dict[str, float]:
    positions = {("steady", f"{c}USDT-LINEAR.BYBIT"): D(quantity) for c, quantity in held.items()}
    found = made.readings(now, positions, {BTC: D(200)}, D(1000))
    return {about: round(reading.share, 6) for about, reading in found.items()}


def test_a_condition_begins_over_its_limit_after_it_stood_and_ends_well_below() -> None:
    made, stands = Conditions(), 10
    told = []
    for now, share in [(0, 1.1), (5, 0.95), (6, 1.1), (15, 2), (16, 2), (30, 0.95), (31, 0.9)]:
        reading = Reading(share, "begins", "is over", stands)
        told += [(now, change.text) for change in made.changes({"x": reading}, now)]
        assert list(made.changes({}, now)) == []
    assert told == [(16, "begins"), (31, "is over")]


@pytest.mark.parametrize(
    ("changes", "fee", "slippage", "model"),
    [
        # 5,001 USDT at 0.055 % and 2 basis points.
        ({}, "2.75", "1.0", "3.75075"),
        ({"side": "SELL"}, "2.75", "-1.0", "3.75075"),
        ({"liquidity": "MAKER", "fee": D(1)}, "1", "0", "1.0002"),
        ({"reference_price": None}, "2.75", "0", "2.75055"),
        ({"client_order_id": STOP}, "2.75", "0", "2.75055"),
        (IN_COIN, "5.001", "1.0", "3.75075"),
        ({"fee_coin": "MNT"}, None, None, None),
    ],
)
def test_the_cost_of_a_fill_is_its_fee_and_slippage_against_the_models(
    changes: dict[str, Any], fee: str | None, slippage: str | None, model: str | None
) -> None:
    cost = cost_of(replace(FILL, **changes), FEES, D(2))
    if cost is None:
        assert fee is None
    else:
        assert (cost.fee, cost.slippage, cost.model) == (D(fee), D(slippage), D(model))  # type: ignore[arg-type]


def test_costs_over_the_models_are_measured_over_enough_newest_fills() -> None:
    made = book(cost_over_model={"over": 0.2, "within": "2h", "fills": 2})
    made.fill(FILL)
    assert shares(made, 2 * HOUR_NS) == {}
    made.fill(replace(FILL, ts=2 * HOUR_NS, price=D(50_030)))
    # Paid 3.75 and 5.75, of them 1 and 3 slippage; by the model 3.75075 and 3.75225.
    excess = (9.5 - 7.503) / 7.503
    assert shares(made, 2 * HOUR_NS) == {"costs": pytest.approx(excess / 0.2, abs=1e-5)}
    found = made.readings(2 * HOUR_NS, {}, {}, None)["costs"].text
    assert found == (
        "2 fills within 2h cost 9.50 USDT (5.50 fees, 4.00 slippage), by the model 7.50: over it "
        "by more than 20%"
    )
    assert shares(made, 4 * HOUR_NS) == {}


def test_a_share_is_not_given_as_true() -> None:
    with pytest.raises(ValidationError):
        book(cost_over_model=True)


def test_no_trade_counts_from_the_last_fill_or_the_start_by_strategy_and_desk() -> None:
    made = book(HOUR_NS, no_trade_for={"desk": "2h", "steady": "4h"})
    assert shares(made, 2 * HOUR_NS) == {"no trade desk": 0.5, "no trade steady": 0.25}
    made.fill(replace(FILL, ts=2 * HOUR_NS, strategy="other"))
    made.fill(replace(FILL, ts=3 * HOUR_NS, kind="Funding"))
    made.fill(replace(FILL, ts=3 * HOUR_NS, strategy=""))
    assert shares(made, 3 * HOUR_NS) == {"no trade desk": 0.5, "no trade steady": 0.5}
    texts = [reading.text for reading in made.readings(3 * HOUR_NS, {}, {}, None).values()]
    assert texts == [
        "no trade for 60 min: the last at 1970-01-01 02:00:00 UTC",
        "steady: no trade for 2 h: none since the start",
    ]


def test_drift_is_what_is_held_off_the_newest_targets_at_mark_prices() -> None:
    made = book(drift_from_target=0.1)
    made.decision(decision(1, BTC="1", ETH="-2"))
    made.decision(decision(2, "wait", BTC="9"))
    made.decision(decision(2, "scalp", BTC="9"))
    # Of a strategy that the node had once: nobody trades to its targets.
    made.decision(msgspec.structs.replace(decision(2, ETH="5"), strategy="gone"))
    assert shares(made, 3, BTC="1", ETH="-2") == {"drift steady": 0.0}
    # 0.5 at the mark of 200, and 1 at its target's price of 100: 200 of 1,000 USDT.
    assert shares(made, 3, BTC="1.5", ETH="-1") == {"drift steady": 2.0}
    found = made.readings(3, {("steady", BTC): D("1.5")}, {BTC: D(200)}, D(1000))
    assert found["drift steady"].text == (
        "steady: positions are off their targets by 30.0% of equity: "
        f"{ETH} holds 0, wanted -2; {BTC} holds 1.5, wanted 1"
    )
    assert made.readings(3, {}, {}, D(0)) == {}


def test_what_a_stop_or_a_guard_closed_is_no_drift_until_the_next_decision() -> None:
    made = book(drift_from_target=0.1)
    made.decision(decision(10, BTC="1"))
    sale = replace(FILL, side="SELL", quantity=D("0.6"))
    made.fill(replace(sale, ts=9, decision_id=""))
    assert shares(made, 11, BTC="1") == {"drift steady": 0.0}
    made.fill(replace(sale, ts=11, client_order_id=STOP))
    made.fill(replace(sale, ts=12, decision_id="", quantity=D("0.4")))
    assert shares(made, 13) == {"drift steady": 0.0}
    made.decision(decision(20, BTC="1"))
    assert shares(made, 21) == {"drift steady": 2.0}


def test_an_exit_from_one_instrument_leaves_the_targets_of_others_whose_orders_go_on() -> None:
    made = book(drift_from_target=0.1)
    made.decision(decision(10, BTC="4", ETH="1"))
    # Of 4 BTC 1 is there, the rest is under way.
    leaves = decision(11, "flatten", BTC="1", ETH="0")
    targets = [msgspec.structs.replace(t, order="0" if t.target == "1" else "-1")
               for t in leaves.targets]  # fmt: skip
    made.decision(msgspec.structs.replace(leaves, targets=tuple(targets)))
    assert shares(made, 12, BTC="4") == {"drift steady": 0.0}
    assert shares(made, 12, BTC="1", ETH="1") == {"drift steady": 7.0}
    # Who leaves all wants nothing more of what was not filled yet.
    made.decision(decision(13, "flatten", BTC="0", ETH="0"))
    assert shares(made, 14) == {"drift steady": 0.0}


def test_a_part_of_a_target_that_a_stop_closed_is_no_drift() -> None:
    made = book(drift_from_target=0.1)
    made.decision(decision(10, BTC="1"))
    made.fill(replace(FILL, ts=11, side="BUY", quantity=D("0.4")))
    made.fill(replace(FILL, ts=12, side="SELL", quantity=D("0.4"), client_order_id=STOP))
    assert shares(made, 13) == {"drift steady": 0.0}
    # What goes on to be bought is measured again.
    assert shares(made, 13, BTC="0.1") == {"drift steady": 1.0}


def test_who_asks_for_no_rule_gets_no_alert_of_the_rules(tmp_path: Path) -> None:
    node, told = node_of(alerts="DESK_ALERTS"), Told()
    assert node.alerts is not None
    # There is no journal.
    RuleWatch(node, node.alerts, tmp_path, told, 0).look(HOUR_NS)
    assert told == []


class Told(list[tuple[str, str, bool]]):
    """A sink that keeps level, text and whether it is over."""

    def __call__(
        self, text: str, level: Level, kind: str, *, about: str = "", over: bool = False
    ) -> None:
        self.append((level, text, over))


def test_rules_are_measured_out_of_the_journal_and_tell_of_begin_and_end(tmp_path: Path) -> None:
    rules = {"no_trade_for": "2h", "drift_from_target": {"over": 0.1, "stands": "10m"}}
    node, told = node_of(alerts={"rules": rules}), Told()
    assert node.alerts is not None
    watch = RuleWatch(node, node.alerts, tmp_path, told, HOUR_NS)
    watch.look(HOUR_NS)
    [(level, text, _)] = told
    assert level == "warning"
    assert "the alert rules can't be measured" in text
    told.clear()
    with Journal.open(tmp_path, node="mine") as journal:
        # Nobody carries out what a dry run decides.
        journal.begin_run(environment="practice", document="abc", dry_run=True)
        journal.decision(decision(HOUR_NS, ETH="9"))
        journal.begin_run(environment="practice", document="abc")
        journal.decision(decision(HOUR_NS, BTC="1"))
        journal.positions([PositionRow(BTC, "steady", HOUR_NS, D(1), D(200), D(0))])
        journal.save_state("", MARKS, msgspec.json.encode({BTC: D(200)}))
        journal.equity(EquityRow(HOUR_NS, D(1000), D(1000), D(0), D(0)))
        watch.look(2 * HOUR_NS - 10 * MINUTE_NS)
        watch.look(2 * HOUR_NS)
        assert told == [("info", "the alert rules are measured again", True)]
        journal.positions([PositionRow(BTC, "steady", 2 * HOUR_NS, D("0.4"), D(200), D(0))])
        # More than a page, of the same moment.
        for number in range(450):
            journal.fill(replace(FILL, ts=2 * HOUR_NS, execution_id=f"f{number}"))
        watch.look(2 * HOUR_NS)
        watch.look(2 * HOUR_NS + 10 * MINUTE_NS)
        assert [(over, text.partition(":")[0]) for _, text, over in told[1:]] == [(False, "steady")]
        watch.look(4 * HOUR_NS + MINUTE_NS)
        assert told[-1][1] == "no trade for 2 h: the last at 1970-01-01 02:00:00 UTC"
        journal.fill(replace(FILL, ts=4 * HOUR_NS, execution_id="g"))
        watch.look(4 * HOUR_NS + 2 * MINUTE_NS)
        assert told[-1] == ("info", "it trades again", True)
