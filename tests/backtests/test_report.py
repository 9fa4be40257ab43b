"""The report: complete, true to the result, safe to open, and drawn by a real browser offline."""

import json
import re
from dataclasses import replace
from decimal import Decimal
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from typer.testing import CliRunner

from backtests.engine.feed import PriceGrid
from backtests.report import charts, formats
from backtests.report import provenance as origin
from backtests.report import report_data as breakdown
from backtests.report.matching import matching
from backtests.report.page import SECTIONS
from backtests.report.report_data import downsample
from backtests.results.curves import PriceCurves
from backtests.results.result import RunRecord, write
from backtests.results.tables import table
from perpdesk import build_app
from tests.backtests.report_pages import (
    CHROMIUM,
    charts_of,
    drawn_by_a_browser,
    page_of,
    section,
    tables_in,
    whole_page,
    words,
)
from tests.backtests.test_pair_results import pairs_record
from tests.builders import (
    DAY,
    HOUR,
    equity_table,
    fill,
    idle_record,
    large_record,
    provenance,
    small_record,
    tables_of,
    trip,
    with_rows,
)


@pytest.fixture(scope="module")
def large() -> RunRecord:
    return large_record(days=300, symbols=30)


@pytest.fixture(scope="module")
def page(tmp_path_factory) -> str:
    """Return the page of the small run, without plotly's own script."""
    return page_of(small_record(), tmp_path_factory.mktemp("small"))


# -- what it says ----------------------------------------------------------------------------------


def test_every_section_is_there_and_in_the_menu(page, tmp_path):
    rows = [{"name": "Fees x2", "sharpe": 1.0}]
    stressed = page_of(small_record(stress=rows, ablations=rows, ladder=rows), tmp_path)
    for key, word, title, _ in (
        found for found in SECTIONS if found[0] not in ("pairs", "matching", "scalper")
    ):
        assert f'<section id="{key}"><h2>{title}</h2>' in stressed
        assert f'<a href="#{key}">{word}</a>' in stressed
    assert 'id="stress"' not in page
    assert 'id="ablations"' not in page


def test_stress_rows_stand_below_the_run_as_specified(tmp_path):
    rows = [
        {"name": "as specified", "sharpe": 1.48, "max_drawdown": 0.04, "net_profit": 7.7},
        {"name": "fees x2", "sharpe": 1.25, "max_drawdown": 0.21, "net_profit": -5.5},
    ]
    seen = words(page_of(small_record(stress=rows), tmp_path))
    assert re.search(r"As specified 1\.48 4\.0 % \+7\.70 Fees x2 1\.25 21\.0 % −5\.50", seen)


def test_the_figures_are_those_of_the_run(page):
    seen = words(page)
    assert "Sharpe &gt; 1.50 – undefined" in seen
    assert "Max drawdown &lt; 20.0 % 4.0 % met" in seen
    # Exactly the target is not above it.
    assert "Win rate &gt; 50.0 % 50.0 % missed" in seen
    assert "Before slippage +11.00 +1.10 % +253.46" in seen
    assert "Gross +8.00 +0.80 % +184.33" in seen
    assert "Net profit +7.70 +0.77 % +177.42" in seen
    assert charts_of(page)["costs"]["data"][0]["y"] == [11.0, -3.0, 8.0, -0.5, 0.2, 7.7]
    assert 'title="Jan 2024: +0.77\u202f%"' in page
    assert "2024 +0.8 +0.8 %" in seen


def test_profit_by_symbol_and_side_add_up_to_the_net_profit(large):
    for by in ("instrument", "side", "strategy"):
        found = breakdown.shares(large.tables["positions"], by)
        total = large.ending_equity - large.starting_equity
        assert sum(share.net for share in found) == pytest.approx(float(total))
        assert [s.net for s in found] == sorted((s.net for s in found), reverse=True)


def test_the_breakdown_counts_open_positions_in_money_but_not_as_trades():
    rows = small_record().tables["positions"].to_pylist()
    rows[1] |= {"open": True, "ts_closed": None, "exit_px": None}
    found = {share.name: share for share in breakdown.shares(table("positions", rows), "side")}
    assert (found["SHORT"].trades, found["SHORT"].net) == (0, -12.5)
    assert (found["LONG"].trades, found["LONG"].win_rate) == (1, 1.0)


def test_all_trades_are_listed_with_why_they_were_closed(tmp_path):
    record = small_record()
    orders = record.tables["orders"].to_pylist()
    orders[1]["reason"] = "stop at 12 R"
    fills = record.tables["fills"].to_pylist()
    fills[3]["kind"] = "liquidation"
    page = page_of(with_rows(record, orders=orders, fills=fills), tmp_path)
    trades = tables_in(page)["trades"]
    assert trades["reason"] == {"names": ["liquidation", "stop at 12 R"], "index": [1, 0]}
    assert trades["symbol"] == {"names": ["AAAUSDT", "BBBUSDT"], "index": [0, 1]}
    assert (trades["net"], trades["exit"]) == ([20.2, -12.5], [12.1, 22.4])
    assert trades["closed"][0] - trades["opened"][0] == 86_400
    seen = words(section(page, "exits"))
    assert "Stop at 12 R +20.20 1 100 %" in seen
    assert "Liquidation −12.50 1 0 %" in seen
    # All are of one strategy.
    assert 'data-sort="reason"' in page
    assert 'data-sort="strategy"' not in page


def test_a_flip_closes_one_position_and_opens_the_next():
    times = (HOUR, 2 * HOUR, 3 * HOUR, 4 * HOUR)
    sides = ("BUY", "SELL", "SELL", "BUY")
    quantities = ("2", "1", "3", "2")
    fills = [
        fill(ts, "AAAUSDT", side, quantity, "10", "10", "0")
        for ts, side, quantity in zip(times, sides, quantities, strict=True)
    ]
    positions = [
        trip("AAAUSDT", "LONG", HOUR, 3 * HOUR, "2", 10, 10, "0", "0", "0"),
        trip("AAAUSDT", "SHORT", 3 * HOUR, 4 * HOUR, "2", 10, 10, "0", "0", "0"),
        trip("AAAUSDT", "LONG", 5 * HOUR, None, "1", 10, None, "0", "0", "0"),
    ]
    closing = breakdown.closing_fills(table("positions", positions), table("fills", fills))
    assert closing == [("O-reversal-3", "order"), ("O-reversal-4", "order"), ("", "")]


def test_two_positions_that_close_in_one_candle_keep_their_own_exits():
    sent = (("entry", 1, "BUY"), ("stop", 2, "SELL"), ("again", 2, "BUY"), ("target", 2, "SELL"))
    fills = [
        fill(hour * HOUR, "AAAUSDT", side, "1", "10", "10", "0") | {"client_order_id": name}
        for name, hour, side in sent
    ]
    positions = [
        trip("AAAUSDT", "LONG", hour * HOUR, 2 * HOUR, "1", 10, 10, "0", "0", "0")
        for hour in (1, 2)
    ]
    closing = breakdown.closing_fills(table("positions", positions), table("fills", fills))
    assert closing == [("stop", "order"), ("target", "order")]


def test_prices_of_a_run_keep_the_extremes_whatever_the_slices():
    # A thousand hours in 500 stretches: two hours each.
    closes = np.array([[1.0, np.nan], [3.0, np.nan], [2.0, 5.0], [4.0, 7.0]])
    ts = np.array([1, 2, 3, 4]) * HOUR
    found = []
    for cuts in ([4], [1, 3, 4]):
        curves, first = PriceCurves(0, 1_000 * HOUR), 0
        for cut in cuts:
            part = closes[first:cut]
            curves.extend(PriceGrid(ts=ts[first:cut], close=part, low=part, high=part))
            first = cut
        found.append(curves.table(("A", "B"), {"A", "B"}).to_pylist())
    assert found[0] == found[1]
    rows = [tuple(row.values()) for row in found[0]]
    assert rows == [
        (2 * HOUR, "A", 3.0, 1.0, 3.0),
        (4 * HOUR, "A", 4.0, 2.0, 4.0),
        (4 * HOUR, "B", 7.0, 5.0, 7.0),
    ]


def test_value_at_risk_says_its_level_horizon_and_formula(large, tmp_path):
    seen = words(section(page_of(large, tmp_path), "risk"))
    assert "95 %" in seen
    assert "Horizon: one UTC day. Historical, from 300 daily returns" in seen


def test_warnings_come_before_the_figures(tmp_path):
    warned = page_of(small_record(warnings=["The account was liquidated."]), tmp_path)
    assert warned.index("The account was liquidated.") < warned.index('class="tiles"')


@pytest.mark.parametrize(
    ("imports", "sentences"),
    [
        (
            [{"source_venue": "binance"}, {}],
            [
                "Data of Binance stand in for Bybit's (2 instruments): prices, volumes and funding "
                "there are similar, not the same."
            ],
        ),
        (
            [{"source_venue": "", "instruments": ["AUSDT-SPOT.BYBIT"]}],
            ["Where the prices of AUSDT spot come from is not recorded."],
        ),
        ([{}], []),
    ],
    ids=["another venue", "unknown venue", "Bybit's own"],
)
def test_prices_of_another_venue_are_reported(imports, sentences):
    assert origin.stand_ins([provenance(**changes) for changes in imports]) == sentences


def test_an_invented_market_is_reported():
    (sentence,) = origin.stand_ins([provenance(source_venue="simulated", source="demo seed 7")])
    assert sentence.startswith("The market is invented (demo seed 7)")


def test_how_the_run_was_made_can_be_read(tmp_path):
    page = page_of(small_record(provenance=[provenance(inferred=2)]), tmp_path)
    seen = words(page)
    for wanted in ("2 (2 with guessed facts)", "kline.json", "ab" * 32, "decade" * 8):
        assert wanted in seen
    assert "Orders fill whole at the open of the next 1h candle." in seen
    assert "fixed_bps (bps 5.0)" in seen
    assert "name small Strategy reversal use strategies.xs_reversal:XSReversal lookback 1" in seen
    assert "weighting rank Venue starting_balance 1000" in seen
    assert "use: strategies.xs_reversal:XSReversal" in page


def test_a_run_that_did_nothing_still_has_a_report(tmp_path):
    idle = replace(idle_record(), benchmarks=table("benchmarks", []), provenance=[])
    seen = words(page_of(idle, tmp_path))
    assert "No trade was closed." in seen
    assert "Nothing was traded." in seen
    assert "Sharpe &gt; 1.50 – undefined" in seen
    assert "nan" not in seen.lower().split()


def test_a_ruined_run_has_a_report_and_a_full_drawdown(tmp_path):
    record = small_record()
    equity = np.array([1000.0, 600.0, 200.0, -5.0, -5.0])
    values = np.column_stack([equity, equity, 0 * equity, 0 * equity, 0 * equity])
    trips = record.tables["positions"].to_pylist()[:1]
    trips[0] |= {"gross": "-1005", "fees": "0", "funding": "0", "net": "-1005"}
    ruined = replace(
        idle_record(),
        tables=tables_of([], trips, [], equity_table(record.start_ns + np.arange(5) * DAY, values)),
        end_ns=record.start_ns + 40 * DAY,
        ending_equity=Decimal(-5),
        gross_pnl=Decimal(-1005),
    )
    seen = words(page_of(ruined, tmp_path))
    assert "CAGR −100.0 %" in seen
    assert "Max drawdown 100.5 %" in seen


# -- curves ----------------------------------------------------------------------------------------


def test_a_long_curve_is_thinned_and_says_so_but_its_figures_are_not(large, tmp_path):
    page = page_of(large, tmp_path)
    assert "The curve has 7,201 samples, of which" in words(page)
    strategy, *_, drawdown = charts_of(page)["equity"]["data"]
    assert len(strategy["y"]) <= 5_000
    curve = large.tables["equity"].column("equity").to_numpy()
    assert max(strategy["y"]) == pytest.approx(curve.max(), abs=0.01)
    assert min(strategy["y"]) == pytest.approx(curve.min(), abs=0.01)
    deepest = large.tables["equity"].column("drawdown").to_numpy().min()
    assert min(drawdown["y"]) == pytest.approx(deepest, abs=1e-6)


def test_a_short_curve_is_drawn_whole(page):
    assert "are drawn" not in words(page)
    lines = charts_of(page)["equity"]["data"][:3]
    assert [line["name"] for line in lines] == ["Strategy", "BTC", "Equal weight"]
    assert lines[0]["y"] == [1000.0, 1009.4, 1025.0, 984.0, 1007.7]
    assert [line["y"][0] for line in lines] == [1000.0, 1000.0, 1000.0]
    # Turnover is drawn on the day of the fills.
    bars = charts_of(page)["turnover"]["data"][0]
    assert bars["x"] == [f"2024-01-0{day}T12:00" for day in (1, 2, 3, 4)]
    assert bars["y"] == [0.101, round(221 / 1009.4, 4), 0.0, round(112 / 984, 4)]


@given(arrays(np.float64, st.integers(1, 300), elements=st.floats(-9, 9)), st.integers(4, 60))
def test_thinning_keeps_the_extremes_and_the_ends(values, limit):
    kept = downsample(values, limit)
    assert len(kept) <= max(limit, min(len(values), limit))
    assert (np.diff(kept) > 0).all()
    assert (kept[0], kept[-1]) == (0, len(values) - 1)
    assert values[kept].max() == values.max()
    assert values[kept].min() == values.min()


def test_a_benchmark_without_prices_is_left_out(tmp_path):
    record = small_record()
    without = [row | {"btc": None} for row in record.benchmarks.to_pylist()]
    record = replace(record, benchmarks=table("benchmarks", without))
    data = charts_of(page_of(record, tmp_path))["equity"]["data"]
    assert [line["name"] for line in data] == ["Strategy", "Equal weight", "Drawdown"]


def test_one_edge_of_the_trade_histogram_is_zero():
    for change in ([0.01, 0.02], [-0.03, -0.01], [-0.5, 0.1, 0.2], [0.0]):
        edges = charts.return_edges(np.array(change))
        assert np.abs(edges).min() < 1e-12
        assert len(edges) >= 2


def test_every_closed_trade_is_in_the_histograms(large):
    done = breakdown.trades(large.tables["positions"])
    for chart in (charts.trade_returns(done), charts.holding_times(done)):
        assert sum(chart.data[0]["y"]) == len(done.net) == len(large.tables["positions"])


# -- safe and offline ------------------------------------------------------------------------------


def test_nothing_in_the_page_is_fetched(page):
    assert not re.search(r"""\b(src|href|action|poster|data)\s*=\s*["']?(?!#)[a-z/.]""", page)
    for reference in ("@import", "url(", "http://", "https://"):
        assert reference not in page
    assert "default-src 'none'" in page


def test_names_cannot_inject_markup(tmp_path):
    evil = "</script><img src=x onerror=alert(1)>"
    rows = small_record().tables["positions"].to_pylist()
    rows[0]["instrument"] = f"{evil}-LINEAR.BYBIT"
    record = small_record(name=evil, warnings=[evil], config_yaml=f"name: '{evil}'\n")
    page = page_of(with_rows(record, positions=rows), tmp_path)
    assert "<img" not in page.split('<script type="application/json"')[0]
    assert page.count("</script>") == 4
    assert charts_of(page)["symbols"]["data"][0]["y"][-1] == evil


def test_a_page_is_the_same_whenever_it_is_rendered(page, tmp_path):
    assert page_of(small_record(), tmp_path) == page


@pytest.mark.skipif(CHROMIUM is None, reason="needs chromium to draw the page")
@pytest.mark.parametrize("width", [500, 1400])
def test_a_browser_draws_every_chart_without_an_error_or_a_sideways_scroll(tmp_path, width):
    # The browser has no network here: what the policy or the wire refuses would be an error.
    paired = pairs_record()
    pairs = {name: paired.tables[name] for name in ("pair_events", "pair_curves")}
    tables = small_record().tables | pairs
    record = small_record(config_yaml=paired.config_yaml, tables=tables)
    said = {"guard": "daily", "scope": "desk", "action": "flatten", "reason": "3 % lost"}
    said |= {"ts": record.start_ns + DAY, "multiplier": 1.0}
    page = whole_page(with_rows(record, verdicts=[said]), tmp_path)
    probe = """<script>addEventListener("load", () => {
      const pair = document.getElementById("pair-name");
      pair.selectedIndex = 1;
      pair.onchange(); });</script>"""
    dom = drawn_by_a_browser(page, tmp_path, width, probe)
    assert re.search(r'<div id="pair-chart"[^>]*class="js-plotly-plot"', dom)


# -- the command and the formats -------------------------------------------------------------------


def test_the_command_renders_a_result_again(tmp_path):
    folder = write(small_record(), tmp_path / "out").path
    assert not (folder / "report.html").exists()
    done = CliRunner().invoke(build_app(), ["report", str(folder), "--json"])
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout) == {"report": str(folder / "report.html")}
    assert "<title>small · perpdesk backtest</title>" in (folder / "report.html").read_text("utf-8")
    assert not list(folder.glob(".report*"))


@pytest.mark.parametrize(
    ("shown", "expected"),
    [
        (formats.number(1234.5), "1,234.50"),
        (formats.number(-0.001), "0.00"),
        (formats.number(0.001, signed=True), "0.00"),
        (formats.number(-1.5, 1), "−1.5"),
        (formats.number(None), "–"),
        (formats.number(float("nan")), "–"),
        (formats.percent(0.1234), "12.3\u202f%"),
        (formats.percent(None), "–"),
        (formats.short(0.2), "0.20"),
        (formats.short(-58_385.3), "−58.4k"),
        (formats.short(9_999.0), "9,999"),
        (formats.short(1_250_000), "1.25M"),
        (formats.span(7.46e9), "7.5 s"),
        (formats.span(9.99e9), "10 s"),
        (formats.span(6e10 - 1), "1 min"),
        (formats.span(35 * 6e10), "35 min"),
        (formats.span(7.5 * 3.6e12), "7.5 h"),
        (formats.span(12 * 8.64e13), "12 days"),
        (formats.span(3.6e12 - 1), "1.0 h"),
        (formats.span(48 * 3.6e12 - 1), "2.0 days"),
        (formats.symbol("BTCUSDT-LINEAR.BYBIT"), "BTCUSDT"),
        (formats.symbol("BTCUSDT-SPOT.BYBIT"), "BTCUSDT spot"),
        (formats.date(1_704_067_200_000_000_000), "1 Jan 2024"),
        (formats.moment(1_704_067_500_000_000_000), "1 Jan 2024 00:05"),
    ],
)
def test_numbers_and_times_read_well(shown, expected):
    assert shown == expected


def test_how_orders_were_executed_by_hand() -> None:
    """One of two rested and half of it filled; the other took, and a third was refused."""
    common = {"type": "LIMIT", "limit_price": "100", "ts_created": 0}
    there, taken = 20_000_000, 30_000_000
    orders = [
        {"client_order_id": "rested", "filled": "1", "status": "CANCELED", "ts_arrived": there},
        {"client_order_id": "took", "filled": "2", "status": "FILLED", "ts_arrived": taken},
        {"client_order_id": "post-only", "filled": "0", "status": "REJECTED", "ts_arrived": None},
    ]
    filled = {"kind": "order", "notional": "100", "slippage": "0", "ts": 3_020_000_000}
    fills = [
        {**filled, "client_order_id": "rested", "liquidity": "MAKER", "side": "BUY"},
        {**filled, "client_order_id": "took", "liquidity": "TAKER", "side": "SELL"},
    ]
    mids = {"mid": 100.0, "mid_1s": 99.9, "mid_5s": 100.2, "mid_30s": None}
    noted = pa.Table.from_pylist([mids | {"execution_id": i} for i in ("rested/1", "took/1")])
    tables = SimpleNamespace(
        orders=pa.Table.from_pylist([common | {"quantity": "2"} | order for order in orders]),
        fills=pa.Table.from_pylist(
            [fill | {"execution_id": f"{fill['client_order_id']}/1"} for fill in fills]
        ),
        result=SimpleNamespace(has=lambda name: True, table=lambda name: noted),
    )
    page = " ".join(re.sub(r"<[^>]+>", " ", matching(tables, None)).split())
    rows = "Orders that rested 1 Part of their value that filled 50.0 % Wait in the queue"
    assert rows in page
    assert "maker fill, median 3.00 s" in page
    assert "its arrival, median 25.00 ms" in page
    assert "Maker fills +10.00 −20.00 – Taker fills −10.00 +20.00 –" in page
    assert "no book is known then: 0 after 1 s, 0 after 5 s, 2 after 30 s." in page
