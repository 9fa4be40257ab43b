"""Screening the scalper: the same scores as event by event, and moves by hand."""

from __future__ import annotations

import json
from collections import Counter
from copy import deepcopy
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
import yaml
from msgspec import UNSET
from typer.testing import CliRunner

from backtests.results.recorder import decisions_of
from backtests.run import prepare, run
from backtests.screening.scalps import Scored, fused, judge, score, scored, screen_scalper
from catalog.demo.order_flow import COINS
from catalog.series import AFTER_LOSS, SNAPSHOT
from config.documents import Backtest
from config.errors import InputError
from config.load import load
from perpdesk import build_app
from strategies.scalper import ScalperConfig
from strategies.signals.book_scores import BookScores
from strategies.signals.scalper_parameters import SIGNALS, FusionRules, ScalperSignals
from tests.backtests.book_runs import FIRST, NAMES, document, write_books
from tests.backtests.test_scalper_runs import SOON
from tests.builders_engine import at
from tests.catalog.test_tick_formats import imported, real
from tests.strategies.signals.tapes import demo_tapes

SECOND = 10**9
RUNS = Path(__file__).resolve().parents[2] / "backtests" / "runs"


def spoilt(rows: pa.Table, flag: int, above: float) -> pa.Table:
    """Return ticks at higher prices, the book with a flag at a message six minutes in."""
    if "price" in rows.column_names:
        higher = pc.round(pc.add(rows["price"], above), 2)
        rows = rows.set_column(rows.column_names.index("price"), "price", higher)
    if "flags" not in rows.column_names:
        return rows
    again = pc.equal(rows["seq"], 1080)
    flags = pc.if_else(again, pa.scalar(flag, pa.int8()), rows["flags"])
    return rows.set_column(rows.column_names.index("flags"), "flags", flags)


def scalper_file(folder: Path, flag: int = SNAPSHOT, above: float = 0.0) -> Path:
    write_books(folder, spoil=partial(spoilt, flag=flag, above=above))
    file = document(folder, market="book", latency={"orders": {"base": 10}})
    text = yaml.safe_load(file.read_text())
    params = deepcopy(SOON) | {"look": "1ms"}
    params["signals"]["volatility_regime"] |= {"short_s": 5}
    learns = {"least_samples": 20, "horizons_s": [4, 10], "horizon_s": 10, "edge_scale_bps": 20}
    params["fusion"] |= learns
    text["strategies"] = {"scalp": {"use": "strategies.scalper:Scalper", "params": params}}
    text["window"]["end"] = "2023-11-15 03:12"
    file.write_text(yaml.safe_dump(text))
    return file


def test_a_tape_scores_the_same_bits_as_its_events_one_by_one() -> None:
    parts, _ = demo_tapes(COINS[0], 7, 1200)
    known = list(parts)
    found = score(iter(known), 1.0, ScalperSignals())
    one_by_one, row, again = BookScores(ScalperSignals(), 1.0), 0, 0
    for part in known:
        for event, (ts, place) in enumerate(
            zip(part.ts.tolist(), part.books.tolist(), strict=True)
        ):
            again += event in part.whole
            if place >= 0:
                one_by_one.on_book(ts, part.bids[place], part.asks[place])
            else:
                price, size, side = part.trades[-1 - place]
                one_by_one.on_trade(ts, price, size, int(side))
            assert one_by_one.scores(ts).tobytes() == found.scores[row].tobytes()
            row += 1
    assert row == len(found.ts) > 10_000
    # What the demo sends whole again is the book as it stands.
    assert again > 1
    assert not np.isnan(found.scores[-1]).any()


# At such prices the engine's floats differ from the nearest ones.
@pytest.mark.parametrize(("flag", "above"), [(SNAPSHOT, 0), (AFTER_LOSS, 0), (SNAPSHOT, 60_000)])
def test_a_screen_has_the_scores_that_a_backtest_decided_on(
    tmp_path: Path, flag: int, above: float
) -> None:
    # With several, what another instrument last saw would have another time.
    file = scalper_file(tmp_path, flag, above)
    resolved = load(file, [f"universe.instruments=[{NAMES[0]}]"]).document
    assert isinstance(resolved, Backtest)
    outcome = run(prepare(resolved))
    decided = [d for d in decisions_of(outcome.tables["decisions"]) if d.targets]
    assert len(decided) > 10
    ((name, rules, found),) = scored(resolved, "scalp")
    # Six minutes in, the book is sent whole again, or messages were lost: all begins anew.
    resent = int(np.searchsorted(found.ts, at(FIRST, 360)))
    assert not np.isnan(found.scores[resent - 1, 0])
    assert np.isnan(found.scores[resent, 0])
    for decision in decided:
        row = int(np.searchsorted(found.ts, decision.data_ts, "right")) - 1
        scores = [None if np.isnan(each) else each for each in found.scores[row].tolist()]
        assert decision.targets[0].scores == dict(zip(SIGNALS, scores, strict=True))
    # So are the fused scores, whose weights have moved: looks are the same, and what was learned.
    fees = resolved.venue.fees.linear
    rows, values = fused(name, found, rules, float(fees.maker), float(fees.taker))
    for decision in decided:
        value = values[np.searchsorted(found.ts[rows], decision.data_ts, "right") - 1]
        assert decision.targets[0].score == (None if np.isnan(value) else value)
    learned = [d.targets[0].learned for d in decided if d.targets[0].learned is not UNSET]
    assert learned[0].weights != learned[-1].weights


def test_moves_are_those_of_the_mid_in_the_direction_of_the_score() -> None:
    rules = ScalperConfig(
        key="s", instruments=("X",), fusion=FusionRules(horizons_s=(1, 2), horizon_s=2)
    )
    mid = np.array([100.0, 101, 101, 100, 100, 100])
    scores = np.zeros((6, 8))
    # All weight of a score of 1 in the largest signal: 0.3. Two of six moments lack the horizon.
    scores[:, 0] = 1.0, -1.0, -1.0, 1.0, 1.0, 1.0
    ts = np.arange(1, 7) * SECOND
    found = judge(
        "X", Scored(ts, np.arange(6), mid - 0.01, mid + 0.01, scores, ts), rules, 0.0002, 0.00055
    )
    assert (found.samples, found.events) == (4, 6)
    # +100, 0, +99.01 and 0 basis points after one second; +100, +99.01, +99.01 and 0 after two.
    one, two = (100 + 1e4 / 101) / 4, (100 + 2e4 / 101) / 4
    assert found.signals["book_imbalance"] == [pytest.approx(one), pytest.approx(two)]
    assert found.signals["sweep"] == [None, None]
    counts = {least: count for least, count, _ in found.fused}
    assert counts == {0.0: 4, 0.05: 4, 0.1: 4, 0.15: 4, 0.2: 4, 0.25: 4, 0.3: 4}
    # Maker in, taker out, half a spread of two basis points, one of slippage.
    assert found.cost_bps == pytest.approx(2 + 5.5 + 1 + 1, abs=0.02)


def test_the_command_screens_each_combination(tmp_path: Path) -> None:
    file = scalper_file(tmp_path)
    varied = "strategies.scalp.params.signals."
    words = ["screen", str(file), "--vary", f"{varied}levels=3,5"]
    words += ["--vary", f"{varied}vwap_deviation.window_s=10,60"]
    done = CliRunner().invoke(build_app(), [*words, "--json"])
    assert done.exit_code == 0, done.output
    said = json.loads(done.stdout)
    assert len(said) == 4 * 3
    assert said[0]["set"] == [f"{varied}levels=3", f"{varied}vwap_deviation.window_s=10"]
    sweeps: Any = {json.dumps(each["signals"]["vwap_deviation"]) for each in said[::3]}
    assert len(sweeps) == 2
    assert "a round trip costs" in CliRunner().invoke(build_app(), words[:2]).stdout


def test_varied_values_need_a_scalper(tmp_path: Path) -> None:
    write_books(tmp_path)
    words = ["screen", str(document(tmp_path, market="book")), "--vary", "name=a,b"]
    done = CliRunner().invoke(build_app(), words)
    assert isinstance(done.exception, InputError)
    assert "no scalper" in str(done.exception)


@pytest.mark.slow
def test_a_real_recording_gives_what_the_readme_says_of_it(tmp_path: Path) -> None:
    path = real("binance/l2_ticks_spot_perp/binance_linear*wsraw*.gz")
    catalog = imported(tmp_path / "catalog", "binance_stream", path)
    document = load(RUNS / "scalper_btc.yaml", [f"catalog={catalog.path}"]).document
    assert isinstance(document, Backtest)
    (found,) = screen_scalper(document, "scalper")
    assert found.cost_bps == pytest.approx(8.5, abs=0.05)
    _, moments, moves = next(row for row in found.fused if row[0] == 0.2)
    assert moments == 26
    assert moves[0] == pytest.approx(0.7, abs=0.05)
    assert moves[2] == pytest.approx(2.8, abs=0.05)
    outcome = run(prepare(document))
    assert len(outcome.tables["orders"]) == 0
    counted: Counter[str] = Counter()
    for decision in decisions_of(outcome.tables["decisions"]):
        counted.update(decision.refusals or {})
    assert counted == {"warm_up": 1925, "threshold": 2332, "uncalibrated": 83, "cost": 183}
