"""Results of pairs by hand: who had which part of a fill, what it cost, and what the page shows."""

from collections import Counter
from dataclasses import replace
from decimal import Decimal as D

import numpy as np
import yaml

from backtests.report.pair_results import NO_PAIR, pair_results
from backtests.results.curves import PairCurves
from backtests.results.tables import fill_columns, table
from strategies.messages import Decision, PairEvent, Target, encode
from tests.backtests.report_pages import page_of, section, tables_in, words
from tests.builders import (
    DAY,
    HOUR,
    JANUARY,
    equity_table,
    settlement,
    small_record,
    tables_of,
    trip,
)
from tests.fills import a_fill

A, B, C = (f"{name}USDT-LINEAR.BYBIT" for name in ("AAA", "BBB", "CCC"))
P, Q, R = "AAAUSDT/BBBUSDT", "AAAUSDT/CCCUSDT", "BBBUSDT/CCCUSDT"
PRICES = {A: 100.0, B: 50.0, C: 50.0}
LAST = {A: D(100), B: D(52), C: D(50)}


def decided(hour, prices, **pairs):
    """Return a decision; pairs by letter to quantities of their legs, a first."""
    parts = {}
    for letter, quantities in pairs.items():
        name = {"p": P, "q": Q, "r": R}[letter]
        for leg, quantity in zip(name.split("/"), quantities, strict=True):
            parts.setdefault(f"{leg}-LINEAR.BYBIT", {})[name] = str(quantity)
    targets = tuple(Target(instrument=n, price=prices[n], parts=parts[n]) for n in sorted(parts))
    ts = JANUARY + hour * HOUR
    return Decision(
        strategy="pairs", ts=ts, data_ts=ts, kind="rebalance", equity="1", targets=targets
    )


def filled(decision, instrument, quantity, price, fee, slip="0", hours=0.0, **more):
    ts = (decision.ts if decision else JANUARY) + int(hours * HOUR)
    row = a_fill(quantity, price, fee, instrument=instrument, strategy="pairs", ts=ts, **more)
    decision_id = decision.id if decision else ""
    return fill_columns(replace(row, decision_id=decision_id)) | {"slippage": slip}


def happened(hour, kind, **facts):
    return PairEvent(strategy="pairs", ts=JANUARY + hour * HOUR, kind=kind, facts=facts)


def entered(hour, pair, side, z):
    return happened(hour, "enter", pair=pair, trade={"side": side, "z": z})


# P and Q sell A in one order. Then P leaves, and R buys 4 of the 20 B that P sells.
first = decided(1, PRICES, p=(-10, 20), q=(-5, 10))
second = decided(2, {**PRICES, B: 51}, p=(0, 0), q=(-5, 10), r=(4, -4))
EVENTS = [
    entered(1, P, -1, 2.1), entered(1, Q, -1, 2.5), entered(2, R, 1, -2.2),
    happened(1, "ended", pair=P, cut="", seconds=1.0, value_seconds=1000.0),
    happened(2, "leave", pair=P, cause="mean", z=0.1),
]  # fmt: skip
FILLS = [
    filled(first, A, -15, 100, "0.3", "1.5"),
    filled(first, B, 20, 50, "0.2"),
    filled(first, C, 10, 50, "0.1"),
    filled(second, A, 10, 98, "0.2"),
    filled(second, B, -16, 52, "0.32"),
    filled(second, C, -4, 50, "0.04"),
]
FUNDING = [{"ts": JANUARY + 5 * HOUR // 4, "instrument": A, "amount": "0.3"}]


def results(fills=FILLS, decisions=(first, second)):
    found = pair_results(decisions, fills, FUNDING, EVENTS, LAST)
    return {result.name: result for result in found}


def test_a_fill_shared_by_pairs_is_split_with_its_fee_and_slippage():
    p, q = results([FILLS[0], FILLS[1], FILLS[2]], [first]).values()
    assert [(r.legs[A].held, r.legs[A].cash, r.legs[A].fees) for r in (p, q)] == [
        (D(-10), D(1000), D("0.2")), (D(-5), D(500), D("0.1"))
    ]  # fmt: skip
    assert (p.legs[A].slippage, q.legs[A].slippage) == (D("1.0"), D("0.5"))
    assert (p.legs[A].funding, q.legs[A].funding) == (D("0.2"), D("0.1"))


def test_money_and_causes_of_pairs_that_trade_with_each_other():
    p, q, r = results().values()
    # P: A sold at 100, bought at 98; B bought at 50, 4 sold to R at 51 and 16 at 52.
    assert [(leg.cash, leg.fees, leg.held) for leg in p.legs.values()] == [
        (D(20), D("0.4"), 0), (D(36), D("0.52"), 0)
    ]  # fmt: skip
    (trade,) = p.trades
    assert (trade.opened, trade.closed) == (first.ts, second.ts)
    assert (trade.side, trade.z_entry, trade.z_exit, trade.cause) == (-1, 2.1, 0.1, "mean")
    assert trade.net == p.net(LAST) == D("55.28")
    assert (p.unhedged, p.cuts) == ([(1.0, 1000.0)], Counter())
    # The others are open, at the last prices.
    assert (q.net(LAST), r.net(LAST)) == (D("-0.1"), D("3.96"))
    assert [(one.trades[0].closed, one.trades[0].net) for one in (q, r)] == [
        (None, D("-0.1")), (None, D("3.96"))
    ]  # fmt: skip


def test_what_is_no_pairs_stands_apart_and_all_adds_up_to_the_last_digit():
    beyond = filled(second, A, -1, 100, "0.01", hours=1)
    guards = filled(None, A, 6, 101, "0.06", hours=4)
    fills = [FILLS[0] | {"fee": D("0.1")}, *FILLS[1:], beyond, guards]
    found = results(fills)
    # What was sold beyond any need is nobody's; a guard bought it back, and Q's 5.
    assert (found[Q].legs[A].held, found[Q].legs[A].cash) == (D(0), D(500 - 505))
    nobody = found.pop(NO_PAIR).legs
    assert {name: (leg.held, leg.cash, leg.fees) for name, leg in nobody.items()} == {
        A: (D(0), D(100 - 101), D("0.02"))
    }
    legs = [leg for one in found.values() for leg in one.legs.values()] + list(nobody.values())
    assert sum(leg.fees for leg in legs) == sum(D(fill["fee"]) for fill in fills)
    assert sum(leg.slippage for leg in legs) == D("1.5")
    signed = [fill["quantity"] * (1 if fill["side"] == "BUY" else -1) for fill in fills]
    assert sum(leg.held for leg in legs) == sum(signed)


def test_late_fills_of_a_decision_come_before_the_next_one_of_that_moment():
    late = [filled(first, row["instrument"], q, row["price"], row["fee"], hours=1)
            for row, q in zip(FILLS[:3], (-15, 20, 10), strict=True)]  # fmt: skip
    assert results([*FILLS[3:], *late])[P].legs[B].cash == D(36)


def pairs_record(**params):
    """Return the run above: gross 60, of it 56 of P and 4 of R, fees 1.16, funding 0.3."""
    rules = {"pairs": [[A, B], [A, C], [B, C]], "stop": 3.0} | params
    rows = [{"ts": e.ts, "strategy": "pairs", "kind": e.kind, "payload": encode(e)} for e in EVENTS]
    record = small_record(
        config_yaml=yaml.safe_dump({"strategies": {"pairs": {"params": rules}}}),
        ending_equity=D("1059.14"), gross_pnl=D(60), fees=D("1.16"), funding=D("0.3"),
        slippage=D("1.5"),
    )  # fmt: skip
    curves = PairCurves(record.start_ns, record.end_ns)
    for hour, z in ((1, 2.1), (2, 0.1), (30, float("nan"))):
        curves.add(happened(hour, "candle", z={P: z, Q: z, R: -z}, spread={P: z / 100, Q: 0, R: 0}))
    values = np.array([[1000.0, 1000, 0, 0, 0]] + [[1059.14, 1059.14, 0, 100, 50]] * 4)
    equity = equity_table(JANUARY + np.arange(5) * DAY, values)
    rest = trip("AAAUSDT", "SHORT", first.ts, second.ts, "15", 100, 98, "60", "1.16", "0.3")
    # C has none, as if pairs had only traded it with each other: its decision's price counts.
    prices = [
        {"ts": record.end_ns, "instrument": name, "close": price, "low": price, "high": price}
        for name, price in ((A, 100.0), (B, 52.0))
    ]
    settled = settlement(FUNDING[0]["ts"], "AAAUSDT", "0.0002", "100", "-15", "0.3")
    tables = tables_of([], [rest], [settled | {"strategy": "pairs"}], equity) | {
        "fills": table("fills", FILLS), "prices": table("prices", prices),
        "decisions": table("decisions", [
            {"ts": d.ts, "strategy": "pairs", "data_ts": d.ts, "kind": d.kind, "equity": "1",
             "gross": 0.0, "net": 0.0, "note": "", "payload": encode(d), "decision_id": d.id}
            for d in (first, second)]),
        "pair_events": table("pair_events", rows), "pair_curves": curves.table(),
    }  # fmt: skip
    return replace(record, tables=tables)


def test_the_page_has_results_exits_and_curves_of_pairs(tmp_path):
    page = page_of(pairs_record(), tmp_path)
    seen = words(section(page, "pairs"))
    assert f"{P} +55.28 1 100 % 1.0 h +56.00 −0.92 +0.20 −1.00" in seen
    assert "All +59.14 3 100 % 1.0 h +60.00 −1.16 +0.30 −1.50" in seen
    assert f"{P} BBBUSDT +36.00 −0.52 0.00 0.00" in seen
    assert f"{P} 1 0 1.0 1.0 1,000 1,000" in seen
    assert "Several pairs may share one" in words(section(page, "exits"))
    drawn = tables_in(page)["pairs"][P]
    assert drawn["levels"] == {"entry": 2.0, "exit": 0.5, "stop": 3.0}
    assert (drawn["z"], drawn["high"]) == ([2.1, 0.1], [2.1, 0.1])
    assert drawn["spread"] == [0.021, 0.001]
    hour = JANUARY // 10**9 + 3600
    assert drawn["trades"] == [[hour, hour + 3600, 2.1, 0.1, -1, 55.28, "Mean"]]


def test_the_page_has_how_pairs_were_selected(tmp_path):
    record = pairs_record(pairs=[], select={"level": 0.1, "min_correlation": 0.3})
    event = happened(1, "selected", possible=1225, tested=300, significant=3, threshold=0.0004,
                     chosen=[P, Q])  # fmt: skip
    row = {"ts": event.ts, "strategy": "pairs", "kind": "selected", "payload": encode(event)}
    record.tables["pair_events"] = table("pair_events", [row])
    seen = words(section(page_of(record, tmp_path), "pairs"))
    assert f"1 Jan 2024 1,225 300 3 2 0.0004 {P}, {Q}" in seen
    assert "on 2,160 candles, of those that correlate by 0.3 or more, at 10.0 %" in seen
    assert "Benjamini-Hochberg" in seen


def test_a_run_without_pairs_shows_nothing_of_them(tmp_path):
    page = page_of(small_record(), tmp_path)
    assert "pair-name" not in page.split("<script>")[0]
    assert 'id="pairs"' not in page
    assert "Several pairs" not in page


def test_curves_keep_the_last_the_lowest_and_the_highest_of_a_stretch():
    curves = PairCurves(0, 500 * 10)
    for ts, z in ((0, 1.0), (4, -3.0), (10, 2.0), (11, 5.0)):
        facts = {"z": {P: z}, "spread": {P: z / 100}}
        curves.add(PairEvent(strategy="pairs", ts=ts, kind="candle", facts=facts))
    rows = [(r["ts"], *list(r.values())[3:]) for r in curves.table().to_pylist()]
    assert rows == [(10, 2.0, -3.0, 2.0, 0.02), (20, 5.0, 5.0, 5.0, 0.05)]
