"""Verdicts in the report: spans and bars by hand, what guards did, nothing that injects."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backtests.report import guards
from backtests.report.guards import GuardActs, acts
from backtests.report.report_data import VerdictSpan, stood_for, tripped, verdict_spans
from backtests.report.verdict_lanes import BARS, STRICTNESS, bars, lanes, when
from backtests.results.result import RunRecord
from backtests.results.tables import ALL, table
from backtests.session import backtest_document
from tests.backtests.planned import write_planned
from tests.backtests.report_pages import charts_of, page_of, section, without_plotly, words
from tests.builders import DAY, HOUR, JANUARY, large_record, small_record, with_rows
from tests.builders_engine import A, B

AAA, BBB = "instrument:AAAUSDT-LINEAR.BYBIT", "instrument:BBBUSDT-LINEAR.BYBIT"
EVIL = "</script><img src=x onerror=alert(1)> & <a href='x'>"
END = JANUARY + 4 * DAY
TABLES = ("orders", "fills", "positions", "decisions")


def said(
    hour: float, action: str = "flatten", guard: str = "daily", scope: str = "desk", **more: Any
) -> dict[str, Any]:
    known = {"multiplier": 1.0, "until": None, "measured": 0.031, "limit": 0.03, "reason": "3 %"}
    when = JANUARY + round(hour * HOUR)
    return {"ts": when, "guard": guard, "scope": scope, "action": action, **known, **more}


def hours(found: list[VerdictSpan]) -> list[tuple[Any, ...]]:
    return [
        (s.guard, s.scope, s.action, (s.begin - JANUARY) / HOUR, (s.end - JANUARY) / HOUR)
        for s in found
    ]


def spans_of(*rows: dict[str, Any]) -> list[VerdictSpan]:
    return verdict_spans(table("verdicts", rows), END)


def with_verdicts(*rows: dict[str, Any], record: RunRecord | None = None, **more: Any) -> RunRecord:
    return replace(with_rows(record or small_record(), verdicts=list(rows)), **more)


def guard_words(page: str) -> str:
    return words(section(page, "guards"))


def lanes_of(page: str) -> list[dict[str, Any]]:
    return [trace for trace in charts_of(page)["equity"]["data"] if trace.get("yaxis") == "y3"]


# -- verdict spans --------------------------------------------------------------------------------


def test_a_verdict_without_an_end_stands_to_the_end_whatever_its_until():
    (found,) = spans_of(said(5, until=JANUARY + DAY))
    assert hours([found]) == [("daily", "desk", "flatten", 5, 96)]
    assert found.open


def test_a_repeated_verdict_is_one_span_with_its_first_reason():
    (found,) = spans_of(said(5, until=1), said(6, until=2, reason="4 %"), said(7, "none"))
    assert hours([found]) == [("daily", "desk", "flatten", 5, 7)]
    assert (found.reason, found.until) == ("3 %", 2)


def test_another_action_or_size_is_another_span_of_the_same_trip():
    found = spans_of(
        said(1, "shrink", multiplier=0.75),
        said(3, "shrink", multiplier=0.5),
        said(4, "flatten"),
        said(6, "none"),
        said(9, "shrink", multiplier=0.75),
    )
    assert [(s.action, s.multiplier) for s in found] == [
        ("shrink", 0.75),
        ("shrink", 0.5),
        ("flatten", 1.0),
        ("shrink", 0.75),
    ]
    assert [h[3:] for h in hours(found)] == [(1, 3), (3, 4), (4, 6), (9, 96)]
    assert tripped(found) == 2


def test_guards_and_scopes_stand_beside_each_other():
    found = spans_of(
        said(1, scope=AAA), said(2, scope=BBB), said(3, "none", scope=AAA), said(3, guard="max")
    )
    assert hours(found) == [
        ("daily", AAA, "flatten", 1, 3),
        ("daily", BBB, "flatten", 2, 96),
        ("max", "desk", "flatten", 3, 96),
    ]
    assert tripped(found) == 3
    # From 1 to the end; once each hour, however much stood.
    assert stood_for(found) == 95 * HOUR


STEPS = st.lists(
    st.tuples(
        st.integers(0, 90),
        st.sampled_from(["desk", AAA, BBB]),
        st.sampled_from(["none", *STRICTNESS]),
    ),
    max_size=25,
)


@given(STEPS)
def test_spans_and_bars_show_the_newest_verdict_of_each_hour(steps):
    rows = [said(hour, action, scope=scope) for hour, scope, action in sorted(steps)]
    found = spans_of(*rows)
    drawn = bars(found)
    for half_past in range(96):
        now = JANUARY + half_past * HOUR + HOUR // 2
        last = {row["scope"]: row["action"] for row in rows if row["ts"] <= now}
        expected = {scope: action for scope, action in last.items() if action != "none"}
        assert {s.scope: s.action for s in found if s.begin <= now < s.end} == expected
        strictest = [bar.lead.action for bar in drawn if bar.begin <= now < bar.end]
        assert strictest == ([max(expected.values(), key=STRICTNESS.index)] if expected else [])


# -- how they are drawn ----------------------------------------------------------------------------


def test_without_verdicts_the_equity_chart_is_as_it_was(tmp_path):
    chart = charts_of(page_of(small_record(), tmp_path))["equity"]
    assert "yaxis3" not in chart["layout"]
    assert "shapes" not in chart["layout"]
    assert chart["layout"]["yaxis"]["domain"] == [0.32, 1]


def test_each_guard_has_a_lane_with_its_spans_from_the_table(tmp_path):
    record = with_verdicts(
        said(5 - 1e-12, "shrink", guard="tiers", multiplier=0.5, reason="5 % below the peak"),
        said(24, guard="daily", until=JANUARY + 2 * DAY),
        said(48, "none", guard="daily"),
    )
    page = page_of(record, tmp_path)
    daily, tiers = lanes_of(page)
    assert (daily["name"], tiers["name"]) == ("daily", "tiers")
    assert (daily["base"], daily["x"]) == (["2024-01-02T00:00:00"], [86_400_000])
    assert daily["marker"]["color"] == ["@flatten/1.00"]
    assert daily["customdata"] == [
        "<b>daily</b>: flatten, desk<br>2 Jan 2024 00:00 – 3 Jan 2024 00:00 UTC<br>3 %<br>"
        "measured 0.031, limit 0.03<br>until 3 Jan 2024 00:00 at least"
    ]
    assert tiers["base"] == ["2024-01-01T05:00:00"]
    assert (
        "<b>tiers</b>: shrink to 50\u202f%, desk<br>1 Jan 2024 05:00 – the end"
        in (tiers["customdata"][0])
    )
    # The desk was shrunk from 5:00 on, and flat in between.
    bands = charts_of(page)["equity"]["layout"]["shapes"]
    assert [(b["x0"], b["x1"]) for b in bands] == [
        ("2024-01-01T05:00:00", "2024-01-02T00:00:00"),
        ("2024-01-02T00:00:00", "2024-01-03T00:00:00"),
        ("2024-01-03T00:00:00", "2024-01-05T00:00:00"),
    ]
    assert [b["fillcolor"].split("/")[0] for b in bands] == ["@shrink", "@flatten", "@shrink"]


def test_verdicts_on_instruments_are_in_the_lane_but_no_band_behind_the_curve(tmp_path):
    record = with_verdicts(
        said(5, guard="jump", scope=AAA),
        said(6, guard="jump", scope=BBB),
        said(7, "none", guard="jump", scope=AAA),
        said(9, "none", guard="jump", scope=BBB),
    )
    page = page_of(record, tmp_path)
    assert charts_of(page)["equity"]["layout"]["shapes"] == []
    (lane,) = lanes_of(page)
    assert (lane["base"], lane["x"]) == (["2024-01-01T05:00:00"], [4 * 3_600_000])
    assert "flatten, AAAUSDT<br>" in lane["customdata"][0]
    assert lane["customdata"][0].endswith("with others: up to 2 verdicts at once")


def test_thousands_of_verdicts_make_few_bars_and_a_short_table(tmp_path):
    record = large_record(days=300, symbols=8)
    end = record.end_ns
    rows = [
        row
        for hour in range(0, 7_000, 2)
        for row in (
            said(hour, "halt_entries", guard="jump", scope=AAA),
            said(hour + 1, "none", guard="jump", scope=AAA),
        )
    ]
    drawn, gap = lanes(verdict_spans(table("verdicts", rows), end), (JANUARY, end))
    assert len(drawn["jump"]) <= BARS
    assert gap > HOUR
    page = page_of(with_verdicts(*rows, record=record), tmp_path)
    seen = guard_words(page)
    assert f"Showing the first {guards.SHOWN} of 3,500; verdicts.parquet has all." in seen
    assert section(page, "guards").count("<tr>") < guards.SHOWN + 10


def test_a_nanosecond_before_a_stamp_is_shown_as_the_stamp():
    assert when(JANUARY + 5 * HOUR - 1) == when(JANUARY + 5 * HOUR) == "1 Jan 2024 05:00"


# -- what the guards did ---------------------------------------------------------------------------


def cost(guard: str, saved: str, ending: str, **more: Any) -> dict[str, Any]:
    known = {"rerun": True, "max_drawdown": 0.21, "trades": 2, "fees": 0.5, "liquidated_at": None}
    return {"guard": guard, "saved": saved, "ending_equity": ending, **known, **more}


def test_a_run_without_guards_says_so(tmp_path):
    page = page_of(small_record(guard_costs=table("guard_costs", [])), tmp_path)
    assert guard_words(page).strip() == "What the guards did This run had no guards."


def test_guards_without_a_verdict_take_one_line(tmp_path):
    rows = [cost(key, "0", "1007.7", rerun=False) for key in ("daily", "max", ALL)]
    page = page_of(small_record(guard_costs=table("guard_costs", rows)), tmp_path)
    assert "2 guards watched and had nothing to say" in guard_words(page)
    assert "<table" not in section(page, "guards")


def test_each_guard_stands_with_what_it_saved_or_cost(tmp_path):
    rows = [
        cost("daily", "12.5", "995.2"),
        cost("far", "0", "1007.7", rerun=False),
        cost(ALL, "-3", "1010.7", liquidated_at=JANUARY + DAY),
    ]
    record = with_verdicts(said(5), said(24, "none"), guard_costs=table("guard_costs", rows))
    seen = guard_words(page_of(record, tmp_path))
    assert "daily +12.50 21.00 % 995.20 1 19.0 h 0 0 0" in seen
    assert "All of them −3.00 21.00 % 1,010.70" in seen
    assert "One more stood by: far. It gave no verdict and refused no order" in seen
    assert "Without any guard the account is liquidated on 2 Jan 2024." in seen
    assert "1 Jan 2024 05:00 2 Jan 2024 00:00 daily desk flatten 0.031 0.03 3 %" in seen


def test_guard_costs_that_are_missing_are_named(tmp_path):
    seen = guard_words(page_of(with_verdicts(said(5)), tmp_path))
    assert "daily 1 3.8 days 0 0 1" in seen
    assert "perpdesk backtest --guard-costs" in seen
    assert "Saved, USDT" not in seen


@pytest.mark.parametrize(
    ("scope", "begin", "end", "closed", "action"),
    [
        ("desk", 70, 74, 1, "flatten"),
        ("desk", 70, 74, 0, "reduce_only"),
        ("desk", 73, 74, 1, "flatten"),
        ("desk", 74, 80, 0, "flatten"),  # It had sent its exit before.
        ("desk", 20, 74, 1, "flatten"),  # Only AAA: BBB was not open when it was said.
        (AAA, 20, 26, 1, "flatten"),
        (AAA, 26, 74, 0, "flatten"),
        (BBB, 70, 74, 1, "flatten"),
        ("strategy:reversal", 70, 74, 1, "flatten"),
        ("strategy:other", 70, 74, 0, "flatten"),
    ],
)
def test_positions_that_a_flatten_closed_are_counted(scope, begin, end, closed, action):
    """AAA is held from hour 2 on, its exit sent at 25; BBB from 27 on, its exit sent at 73."""
    record = small_record()
    found = spans_of(said(begin, action, scope=scope), said(end, "none", scope=scope))
    expected = GuardActs(tripped=1, stood=(end - begin) * HOUR, closed=closed)
    assert acts(found, *(record.tables[name] for name in TABLES)) == {"daily": expected}


def test_orders_that_a_guard_refused_are_counted():
    record = small_record()
    orders = record.tables["orders"].to_pylist()
    denied = {"status": "DENIED", "filled": "0", "refused_by": "max"}
    orders += [orders[0] | denied | {"client_order_id": f"O-{n}-{n}"} for n in (7, 8)]
    rest = (record.tables[name] for name in TABLES[1:])
    assert acts([], table("orders", orders), *rest) == {"max": GuardActs(refused=2)}


def test_the_guards_of_a_whole_run_are_in_its_report(tmp_path):
    closes = {A: [100, 94, 94, 94, *[50] * 20], B: [100] * 24}
    file = write_planned(
        tmp_path,
        closes,
        [(1, A, "5"), (1, B, "2"), (4, B, "1")],
        {
            "max": (
                "actors.guards.max_drawdown:MaxDrawdown",
                {"limit_pct": 0.03, "action": "flatten"},
            )
        },
    )
    out = backtest_document(file, out=tmp_path / "out", costs=True)
    page = without_plotly((out / "report.html").read_text("utf-8"))
    seen = guard_words(page)
    # Down 30 of 1,000 at 2:00, to the end at 24:00; both positions went; the third order was
    # refused. Without the guard 5 x 50 were lost.
    assert "max +220.00 25.00 % 750.00 1 22.0 h 1 0 2" in seen
    (lane,) = lanes_of(page)
    assert lane["base"] == ["2023-11-15T02:00:00"]


# -- safe ------------------------------------------------------------------------------------------


def test_a_verdicts_text_cannot_inject_markup(tmp_path):
    record = with_verdicts(
        said(5, guard=EVIL, scope=f"strategy:{EVIL}", reason=EVIL),
        guard_costs=table("guard_costs", [cost(EVIL, "1", "2"), cost(ALL, "1", "2")]),
    )
    page = page_of(record, tmp_path)
    assert "<img" not in page
    assert "<a href='x'" not in page
    # Of charts, of tables, of plotly and of the page's own.
    assert page.count("</script>") == 4
    (lane,) = lanes_of(page)
    assert "&lt;img" in lane["customdata"][0]
    assert "<img" not in lane["customdata"][0]
