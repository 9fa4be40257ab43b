"""`perpdesk export`: CSV files of a backtest's result and of a node's journal."""

from __future__ import annotations

import csv
import json
from copy import deepcopy
from dataclasses import replace
from decimal import Decimal as D
from pathlib import Path
from typing import Any

import pytest
import yaml
from msgspec import structs
from typer.testing import CliRunner

from actors.records.journal import Journal
from backtests.results.result import read
from live_nodes.local.folder import node_document, state_folder
from live_nodes.node.excursions import OWNER, name_of
from live_nodes.operate.export import time_text
from perpdesk import build_app
from strategies.messages import Decision, Target
from tests.actors.test_journal import FILL, ORDER
from tests.backtests.book_runs import document, write_books
from tests.backtests.test_scalper_runs import SOON
from tests.live_nodes.documents import node_file

DECIDED = Decision(
    strategy="rev",
    ts=900,
    data_ts=899,
    kind="scalp",
    equity="10000",
    targets=(Target(instrument=FILL.instrument, score=0.5, scores={"sweep": None, "iceberg": 1}),),
    refusals={"cost": 3, "pause": 1},
)

FILES = ("decisions", "orders", "trades", "fills", "pnl")


def exported(source: Path, *options: str) -> dict[str, list[dict[str, str]]]:
    done = CliRunner().invoke(build_app(), ["export", str(source), "--csv", "--json", *options])
    assert done.exit_code == 0, done.output
    files = {Path(name): rows for name, rows in json.loads(done.stdout).items()}
    found = {file.stem: list(csv.DictReader(file.open(encoding="utf-8"))) for file in files}
    assert {file.stem: count for file, count in files.items()} == {
        name: len(rows) for name, rows in found.items()
    }
    return found


@pytest.fixture
def node(tmp_path: Path) -> Path:
    """Return a node whose journal has a trade of two coins, a funding payment and a stop."""
    file = node_file(tmp_path, state=str(tmp_path / "state"))
    journal = Journal.open(state_folder(node_document(file)), node="n", clock_ns=lambda: 5000)
    journal.begin_run(environment="practice", document="abc")
    journal.decision(DECIDED)
    # Of the same moment: what a verdict left of an entry has no score.
    plain = Target(instrument=FILL.instrument)
    journal.decision(structs.replace(DECIDED, kind="shrink", targets=(plain,), refusals={}))
    stop = structs.replace(
        ORDER, client_order_id="n-rev-abc-2", ts=2001, side="SELL", reason="stop", price=None
    )
    for order in (ORDER, structs.replace(stop, trigger_price=D(49000))):
        journal.intended(order)
    opened = replace(FILL, price=D(50000), reference_price=D(49990), decision_id="rev@900")
    paid = replace(FILL, execution_id="f", ts=2500, side="", kind="Funding", fee=D("0.2"))
    left = replace(FILL, execution_id="e-2", ts=3000, side="SELL", price=D(50500))
    for fill in (opened, paid, replace(left, client_order_id="n-rev-abc-2")):
        journal.fill(fill)
    journal.state(OWNER).save(name_of("rev", FILL.instrument, 3000), b"[49900.0,50400.0]")
    journal.close()
    return file


def test_a_journal_becomes_decisions_orders_and_trades(node: Path) -> None:
    found = exported(node)
    decision, shrink = found["decisions"]
    assert (shrink["kind"], shrink["score"]) == ("shrink", "")
    assert decision["ts"] == "1970-01-01T00:00:00.000000900Z"
    assert (decision["score"], decision["score_iceberg"]) == ("0.5", "1.0")
    assert decision["score_sweep"] == ""
    assert decision["refusals"] == "cost 3, pause 1"
    orders = [(o["client_order_id"], o["trigger_price"], o["limit_price"]) for o in found["orders"]]
    assert orders == [("n-rev-abc-1", "", "50000.1"), ("n-rev-abc-2", "49000", "")]
    (trade,) = found["trades"]
    # 0.004 coins up 500, with two fees of 0.11 and 0.2 of funding; the stop was 1000 below.
    assert {key: trade[key] for key in ("side", "quantity", "gross", "fees", "funding", "net")} == {
        **{"side": "LONG", "quantity": "0.004", "gross": "2.000"},
        **{"fees": "0.22000000", "funding": "-0.2", "net": "1.58000000"},
    }
    assert (float(trade["risk"]), float(trade["r"])) == (4.0, 0.395)
    assert (trade["slippage_in"], trade["slippage_out"]) == ("0.040", "")
    # The mids went from 49,900 to 50,400; it was sold at 50,500.
    assert (float(trade["mae_bps"]), float(trade["mfe_bps"])) == (20.0, 100.0)
    assert (trade["reason"], trade["decision_id"]) == ("stop", "rev@900")
    bought, _ = found["fills"]
    assert (bought["symbol"], bought["side"]) == (FILL.instrument, "BUY")
    assert (bought["edge"], bought["slippage"]) == ("0.5", "0.040")
    # 0.004 bought at 50,000 with 0.11 of fee; 0.2 of funding; sold 500 higher with 0.11 of fee.
    pnl = [(float(row["realised"]), float(row["unrealised"])) for row in found["pnl"]]
    assert pnl == [(-0.11, 0.0), (-0.31, 0.0004), (1.58, 0.0)]


def test_a_result_becomes_the_same_files_and_adds_up(tmp_path: Path) -> None:
    write_books(tmp_path)
    file = document(tmp_path, market="book", latency={"orders": {"base": 10}})
    text = yaml.safe_load(file.read_text())
    text["strategies"] = {"scalp": {"use": "strategies.scalper:Scalper", "params": deepcopy(SOON)}}
    params = text["strategies"]["scalp"]["params"]
    params["signals"]["volatility_regime"] |= {"short_s": 5}
    text["window"]["end"] = "2023-11-15 03:12"
    file.write_text(yaml.safe_dump(text))
    options = ["--out", str(tmp_path / "result")]
    done = CliRunner().invoke(build_app(), ["backtest", str(file), *options])
    assert done.exit_code == 0, done.output
    found, result = exported(tmp_path / "result"), read(tmp_path / "result")
    trades, orders = found["trades"], found["orders"]
    assert len(trades) >= 3
    assert len(orders) == len(result.table("orders"))
    gained = result.summary["ending_equity"] - result.summary["starting_equity"]
    assert float(sum(D(trade["net"]) for trade in trades)) == pytest.approx(gained)
    last = {row["symbol"]: D(row["realised"]) + D(row["unrealised"]) for row in found["pnl"]}
    assert float(sum(last.values())) == pytest.approx(gained)
    # Equity has the row's own booking: the first valuation from it on.
    curve = [(time_text(e["ts"]), e["equity"]) for e in result.table("equity").to_pylist()]
    for row in found["pnl"]:
        worth = next(value for ts, value in curve if ts >= row["timestamp"])
        assert float(row["equity"]) == pytest.approx(worth)
    assert len(found["fills"]) == len(result.table("fills"))
    slips = sum(D(t[way] or 0) for t in trades for way in ("slippage_in", "slippage_out"))
    assert slips == sum(D(f["slippage"] or 0) for f in result.table("fills").to_pylist())
    decided: Any = {row["decision_id"] for row in found["decisions"]}
    for trade in trades:
        assert float(trade["mae_bps"]) >= 0 <= float(trade["mfe_bps"])
        assert float(trade["risk"]) > 0
        assert trade["reason"]
        assert trade["decision_id"] in decided


def test_a_node_that_did_nothing_has_files_with_headings_alone(tmp_path: Path) -> None:
    file = node_file(tmp_path, state=str(tmp_path / "state"))
    Journal.open(state_folder(node_document(file)), node="n", clock_ns=lambda: 1).close()
    assert exported(file, "--out", str(tmp_path / "out")) == {name: [] for name in FILES}
    first = [(tmp_path / "out" / f"{name}.csv").read_text().partition(",")[0] for name in FILES]
    assert first == ["ts", "client_order_id", "strategy", "timestamp", "timestamp"]
