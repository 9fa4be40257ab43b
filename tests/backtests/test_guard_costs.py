"""What guards and parts of a strategy bring, and stressed runs: most on markets of 24 candles.

Every figure is by hand.

1,000 USDT, no fees, no slippage, no funding. What is sent when a candle opens fills at that open,
which is the close before.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace
from typer.testing import CliRunner

from backtests.results.refusals import held_back
from backtests.results.result import read
from backtests.results.tables import SCHEMAS
from backtests.run import Prepared, RunOutcome, prepare, run
from backtests.session import backtest_document
from backtests.variants import (
    ALL,
    Variants,
    ablation_rows,
    acting,
    guard_costs,
    stress_rows,
    switched_on,
)
from config.documents import Backtest
from config.load import load
from config.validate import checked
from perpdesk import build_app
from strategies.messages import Decision, Target, encode
from tests.backtests.planned import write_planned
from tests.builders_engine import A

CRASH = {A: [100, 94, 94, 94, *[50] * 20]}
"""Ten coins bought at 100 have lost 60 at the second close, and in the end 500."""
RALLY = {A: [100, 94, 94, 94, *[150] * 20]}
BOUGHT = [(1, A, "10")]

MAX = (
    "actors.guards.max_drawdown:MaxDrawdown",
    {"limit_pct": 0.05, "action": "flatten", "release": "manual"},
)
DAILY = ("actors.guards.daily_loss:DailyLoss", {"limit_pct": 0.05, "action": "flatten"})
FAR = ("actors.guards.max_drawdown:MaxDrawdown", {"limit_pct": 0.9, "action": "flatten"})


def prepared(
    folder: Path,
    closes: Mapping[str, list[float]],
    plan: list[tuple[int, str, str]],
    actors: Mapping[str, tuple[str, dict[str, Any]]],
    **venue: Any,
) -> Prepared:
    document = checked(write_planned(folder, closes, plan, actors, **venue)).document
    assert isinstance(document, Backtest)
    return prepare(document)


def costs(made: Prepared) -> tuple[RunOutcome, dict[str, dict[str, Any]], list[str]]:
    """Return the run, the rows by guard, and the names of the runs that were made for them."""
    base = run(made)
    names: list[str] = []
    rows = guard_costs(made, base, lambda name: names.append(name))
    return base, {row["guard"]: row for row in rows.to_pylist()}, names


@pytest.mark.parametrize(
    ("closes", "ending", "saved", "drawdown"),
    [(CRASH, 500, 440, 0.5), (RALLY, 1500, -560, 0.06)],
    ids=["before a crash", "before a rally"],
)
def test_a_guard_that_flattened_saved_or_cost_what_is_made_without_it(
    tmp_path, closes, ending, saved, drawdown
):
    base, rows, _ = costs(prepared(tmp_path, closes, BOUGHT, {"max": MAX}))
    # Down 6 % at the close of 94; sold at the open of 94.
    assert base.ending_equity == 940
    assert Decimal(rows["max"]["ending_equity"]) == ending
    assert Decimal(rows["max"]["saved"]) == saved
    assert rows["max"]["max_drawdown"] == pytest.approx(drawdown)


def test_a_guard_that_halted_before_a_rally_cost_the_entry_that_it_refused(tmp_path):
    halt = ("actors.guards.daily_loss:DailyLoss", {"limit_pct": 0.04, "action": "halt_entries"})
    closes = {A: [100, 90, 90, 90, *[120] * 20]}
    base, rows, _ = costs(prepared(tmp_path, closes, [(1, A, "5"), (3, A, "5")], {"daily": halt}))
    # 5 x 20 with it; 5 x 30 more without, bought at the open of 90.
    assert base.ending_equity == 1100
    assert base.refused_by == {"daily": 1}
    assert Decimal(rows["daily"]["saved"]) == -150


def test_a_guard_that_only_refused_is_run_without_too(tmp_path):
    caps = ("actors.guards.exposure_caps:ExposureCaps", {"leverage": 0.5})
    base, rows, _ = costs(prepared(tmp_path, RALLY, BOUGHT, {"caps": caps}))
    assert base.tables["verdicts"].num_rows == 0
    assert acting(base) == {"caps"}
    assert Decimal(rows["caps"]["saved"]) == -500


def test_of_two_guards_that_stop_the_same_loss_each_alone_saved_nothing_but_both_did(tmp_path):
    both = {"max": MAX, "daily": DAILY}
    base, rows, names = costs(prepared(tmp_path, CRASH, BOUGHT, both))
    assert {key: Decimal(row["saved"]) for key, row in rows.items()} == {
        "max": 0,
        "daily": 0,
        ALL: 440,
    }
    assert all(row["rerun"] for row in rows.values())
    assert names == ["without max", "without daily", "without guards"]
    assert base.ending_equity == 940


def test_a_guard_that_never_acted_cost_nothing_and_no_run(tmp_path):
    base, rows, names = costs(prepared(tmp_path, CRASH, BOUGHT, {"far": FAR, "max": MAX}))
    assert names == ["without max", "without guards"]
    assert rows["far"] == rows["far"] | {"rerun": False, "saved": "0"}
    assert Decimal(rows["far"]["ending_equity"]) == base.ending_equity


def test_where_no_guard_acted_nothing_is_run(tmp_path):
    _, rows, names = costs(prepared(tmp_path, CRASH, BOUGHT, {"far": FAR}))
    assert names == []
    assert {key: (row["rerun"], Decimal(row["saved"])) for key, row in rows.items()} == {
        "far": (False, 0),
        ALL: (False, 0),
    }


def test_a_run_without_guards_has_no_rows(tmp_path):
    _, rows, names = costs(prepared(tmp_path, CRASH, BOUGHT, {}))
    assert rows == {}
    assert names == []


@pytest.mark.parametrize("fills", ["next_open", "signal_close"])
def test_guards_that_never_act_change_nothing_in_a_run(tmp_path, fills):
    plan = [(1, A, "10"), (3, A, "-4"), (5, A, "-12"), (9, A, "6")]
    runs = []
    for name, actors in (("with", {"far": FAR, "daily": (DAILY[0], {"limit_pct": 0.9})}), ("", {})):
        folder = tmp_path / (name or "without")
        folder.mkdir()
        runs.append(run(prepared(folder, CRASH, plan, actors, fills=fills)))
    for name in SCHEMAS.keys() & runs[0].tables.keys():
        assert runs[0].tables[name].equals(runs[1].tables[name]), name
    assert len(runs[0].tables["fills"]) == 4


def test_what_a_guard_saved_and_what_is_left_without_it_are_the_run_exactly(tmp_path):
    made = prepared(
        tmp_path,
        CRASH,
        [(1, A, "3.333"), (4, A, "1.117")],
        {"max": (MAX[0], {"limit_pct": 0.01, "release": "2h"}), "daily": DAILY, "far": FAR},
        fees={"linear": {"maker": 0.0002, "taker": 0.00055}},
    )
    base, rows, _ = costs(made)
    for row in rows.values():
        assert Decimal(row["saved"]) + Decimal(row["ending_equity"]) == base.ending_equity
    assert guard_costs(made, base).to_pylist() == list(rows.values())


def test_a_liquidation_that_a_guard_prevented_is_named(tmp_path):
    closes = {A: [100, 98, 98, 98, *[70] * 20]}
    tight = (MAX[0], MAX[1] | {"limit_pct": 0.05})
    base, rows, _ = costs(prepared(tmp_path, closes, [(1, A, "45")], {"max": tight}))
    # 45 x 2 lost is 9 %; at 70 it would be 1,350.
    assert base.ending_equity == 910
    assert base.liquidated_at is None
    assert rows["max"]["liquidated_at"] is not None
    assert Decimal(rows["max"]["ending_equity"]) < 100


def test_the_result_has_the_costs_as_a_table_and_in_the_summary(tmp_path):
    shown: list[tuple[float, str]] = []

    def progress(name: str, done: float, *_: int) -> None:
        shown.append((done, name))

    file = write_planned(tmp_path, CRASH, BOUGHT, {"max": MAX})
    result = read(backtest_document(file, out=tmp_path / "out", costs=True, progress=progress))
    assert [row["guard"] for row in result.table("guard_costs").to_pylist()] == ["max", ALL]
    summary = {row["guard"]: row for row in result.summary["guard_costs"]}
    assert summary["max"] == summary[ALL] | {"guard": "max"}
    assert (summary["max"]["saved"], summary["max"]["ending_equity"]) == (440.0, 500.0)
    # One guard is all guards: without it and without any is one run.
    assert list(dict.fromkeys(n for _, n in shown)) == ["planned (1 of 2)", "without max (2 of 2)"]
    # The time left is that of both.
    assert shown == sorted(shown)
    assert all((done > 0.5) == name.startswith("without") for done, name in shown if done != 0.5)


def test_costs_are_worked_out_only_when_asked_for(tmp_path):
    file = write_planned(tmp_path, CRASH, BOUGHT, {"max": MAX})
    out = tmp_path / "out"
    done = CliRunner().invoke(build_app(), ["backtest", str(file), "--out", str(out)])
    assert done.exit_code == 0, done.output
    assert read(out).summary["guard_costs"] is None
    page = (out / "report.html").read_text(encoding="utf-8")
    assert "was not worked out (<code>perpdesk backtest --guard-costs</code>)" in page


def test_stress_rows_have_their_costs_doubled_or_tripled_or_come_one_bar_late(tmp_path):
    closes = {A: [100, 110, 120, 130, 140, *[130] * 19]}
    made = prepared(
        tmp_path,
        closes,
        [(1, A, "10"), (5, A, "-10")],
        {},
        fees={"linear": {"maker": 0, "taker": 0.001}},
        slippage={"model": "fixed_bps", "bps": 10},
    )
    base = run(made)
    # Bought at 100 and sold at 140: 1 and 1.4 of slippage.
    assert (base.fees, base.slippage) == (Decimal("2.3996"), Decimal("2.4"))
    assert base.gross_pnl == Decimal("397.6")
    names: list[str] = []
    rows = {row["name"]: row for row in stress_rows(made, base, lambda name: names.append(name))}
    asked = Variants(stress=True, ablate=False, costs=False)
    assert len(names) == asked.after(made.document, base) == asked.at_most(made.document)
    assert [rows[name]["fees"] for name in rows][:4] == pytest.approx(
        [2.3996, 4.7992, 2.3988, 2.3998]
    )
    assert [rows[name]["slippage"] for name in rows][:4] == pytest.approx([2.4, 2.4, 7.2, 2.4])
    # One bar later it is bought at 110 and sold at 130.
    assert [rows[name]["gross_before_slippage"] for name in rows] == [400, 400, 400, 200, 2.4]
    assert rows["without the 5 best trades"]["trades"] == 0


def test_each_part_that_is_on_is_left_out_in_turn(write_run):
    window = {"start": "2023-02-01", "end": "2023-02-20"}

    def made(**params):
        use = {"use": "strategies.xs_reversal:XSReversal", "params": {"lookback": 2, **params}}
        return prepare(load(write_run(window=window, strategies={"r": use})).document)

    both = made(skip=1, no_trade_band=0.15, top_n=None, min_price=0)
    rows = {row["name"]: row["net_profit"] for row in ablation_rows(both, run(both))}
    others = [made(skip=1), made(no_trade_band=0.15)]
    alone = [float(run(other).ending_equity) - 100_000 for other in others]
    assert list(rows) == ["all on", "without r.no_trade_band", "without r.skip"]
    assert list(rows.values())[1:] == pytest.approx(alone, abs=0.01)
    assert len({round(value, 2) for value in rows.values()}) == 3


def test_each_scorer_of_a_blend_is_left_out_in_turn(write_run):
    def made(**weights):
        scorers = {
            name: {"use": "strategies.xs_reversal:XSReversal", "weight": weight, "params": own}
            for (name, weight), own in zip(weights.items(), [{}, {"lookback": 3}], strict=True)
        }
        use = {"use": "strategies.blend:XSBlend", "params": {"scorers": scorers}}
        window = {"start": "2023-02-01", "end": "2023-02-15"}
        return prepare(load(write_run(window=window, strategies={"b": use})).document)

    both = made(fast=0.5, slow=0.25)
    rows = {row["name"]: row["net_profit"] for row in ablation_rows(both, run(both))}
    assert list(rows)[1:] == ["without b.scorers.fast.weight", "without b.scorers.slow.weight"]
    alone = float(run(made(fast=0.5, slow=0.0)).ending_equity) - 100_000
    assert rows["without b.scorers.slow.weight"] == pytest.approx(alone, abs=0.01)
    assert len({round(value, 2) for value in rows.values()}) == 3


# -- who refused -----------------------------------------------------------------------------------


def test_what_strategies_held_back_is_counted_but_not_their_exits():
    targets = (
        Target(instrument="a", order="0", held_back_by="daily"),
        # Turned short by the decision, cut down to the exit.
        Target(instrument="b", order="-2", held_back_by="daily"),
        Target(instrument="c", order="0", reason="inside the no-trade band"),
    )
    decision = Decision(
        strategy="s", ts=1, data_ts=0, kind="rebalance", equity="1", targets=targets
    )
    assert held_back([encode(decision), encode(decision)]) == {"daily": 2}
    # Made smaller by a verdict.
    assert held_back([encode(replace(decision, kind="shrink"))]) == {"daily": 2}


def test_what_a_strategy_can_not_do_without_is_no_part_of_it():
    document = checked("backtests/runs/pairs_demo.yaml").document
    assert [parameter for _, parameter, _ in switched_on(document)] == ["time_stop"]
