"""What `validate` says of a backtest and its catalog."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from msgspec.structs import replace

from backtests import checks
from backtests.run import prepare
from catalog.providers.base import Import
from catalog.storage.writer import CatalogWriter
from config.errors import DeskError, InputError
from config.load import load
from config.validate import validate
from tests.backtests.planned import Planned, write_planned
from tests.builders_engine import A, info
from tests.conftest import WriteRun

checks.register()


def said(file: Path) -> list[str]:
    return [str(problem) for problem in validate(file)]


def test_a_document_that_its_catalog_can_serve_is_well(write_run: WriteRun) -> None:
    assert said(write_run()) == []


def test_a_window_outside_the_data_is_named_at_both_ends(write_run: WriteRun) -> None:
    file = write_run(window={"start": "2022-12-31", "end": "2023-05-02"})
    lines = file.read_text(encoding="utf-8").splitlines()
    start = 1 + next(n for n, line in enumerate(lines) if "start" in line)
    first, second = said(file)
    assert first.startswith(f"{file}:{start}:")
    assert "window.start: the data of the universe begin 2023-01-01 00:00 UTC" in first
    assert second.startswith(f"{file}:{start + 1}:")
    assert "window.end: the data of the universe end 2023-05-01 00:00 UTC" in second


def test_the_whole_of_the_data_is_a_window(write_run: WriteRun) -> None:
    assert said(write_run(window={"start": "2023-01-01", "end": "2023-05-01"})) == []


def test_candles_that_the_catalog_lacks_are_named_with_those_it_has(write_run: WriteRun) -> None:
    file = write_run(
        venue={"execution_interval": "5m"},
        strategies={
            "reversal": {"use": "strategies.xs_reversal:XSReversal", "params": {"interval": "4h"}}
        },
    )
    found = said(file)
    assert len(found) == 2
    assert all("has 1h, 1d" in problem for problem in found)
    assert "strategies.reversal.params.interval: no 4h candles" in "".join(found)
    assert "venue.execution_interval: no 5m candles" in "".join(found)


def test_a_catalog_that_is_not_made_yet_is_no_fault_of_the_document(
    write_run: WriteRun, tmp_path: Path
) -> None:
    assert said(write_run(catalog=str(tmp_path / "none"))) == []


def test_spot_that_would_be_sold_short_is_named_with_its_line(write_run: WriteRun) -> None:
    file = write_run(universe={"instruments": ["*"]})
    (found,) = said(file)
    assert found.startswith(f"{file}:")
    assert "strategies.reversal.params.side: spot can't be sold short: use long_only" in found
    assert "leave out BTCUSDT-SPOT.BYBIT, ETHUSDT-SPOT.BYBIT" in found


def test_spot_that_a_scorer_of_a_blend_would_sell_short_is_named(write_run: WriteRun) -> None:
    for side, count in (("long_only", 0), ("long_short", 1)):
        own = {"use": "strategies.xs_reversal:XSReversal", "weight": 1.0, "params": {"side": side}}
        blend = {"use": "strategies.blend:XSBlend", "params": {"scorers": {"own": own}}}
        file = write_run(universe={"instruments": ["*"]}, strategies={"blend": blend})
        assert ["spot can't be sold short" in found for found in said(file)] == [True] * count


def test_spot_among_what_pairs_are_selected_from_is_named(write_run: WriteRun) -> None:
    pairs = {"use": "strategies.pairs:Pairs", "params": {"select": {}, "interval": "1h"}}
    (found,) = said(write_run(universe={"instruments": ["*"]}, strategies={"pairs": pairs}))
    assert "strategies.pairs: spot can't be sold short: leave out BTCUSDT-SPOT.BYBIT, " in found


class Blind(Planned):
    """Asks for no candles."""

    def history_needed(self) -> dict[str, int]:
        return {}


@pytest.mark.parametrize("chosen", ["auto", "1h"])
def test_a_strategy_that_names_no_candles_is_refused(tmp_path: Path, chosen: str) -> None:
    file = write_planned(tmp_path, {A: [100.0] * 24}, [], {}, execution_interval=chosen)
    blind = ["strategies.plan.use=tests.backtests.test_checks:Blind"]
    words = "strategies.plan.use: names no interval in history_needed: "
    (found,) = map(str, validate(file, blind))
    assert words in found
    with pytest.raises(InputError, match=words):
        prepare(load(file, blind).document)


class Ending(Blind):
    """Ends the process where it is asked."""

    def history_needed(self) -> dict[str, int]:
        sys.exit(0)


def test_a_strategy_that_ends_the_process_when_it_is_checked_is_an_error(tmp_path: Path) -> None:
    file = write_planned(tmp_path, {A: [100.0] * 24}, [], {})
    words = r"plan \(tests.backtests.test_checks:Ending\) ends the process, by SystemExit\(0\) at"
    with pytest.raises(DeskError, match=words):
        validate(file, ["strategies.plan.use=tests.backtests.test_checks:Ending"])


def test_a_guard_under_strategies_is_refused_once(tmp_path: Path) -> None:
    file = write_planned(tmp_path, {A: [100.0] * 24}, [], {})
    guard = ["allow=[tests]", "strategies.plan.use=tests.actors.tiny_guards:LossGuard"]
    (found,) = map(str, validate(file, guard))
    words = "strategies.plan.use: tests.actors.tiny_guards:LossGuard is a guard, and belongs under"
    assert words in found


def test_what_does_not_settle_in_the_coin_of_the_account_is_refused(tmp_path: Path) -> None:
    file = write_planned(tmp_path, {A: [100.0] * 24}, [], {})
    assert said(file) == []
    others = [
        replace(info(f"{base}{coin}-{product}.BYBIT"), base=base, quote=coin, settle=coin)
        for base, coin, product in (
            ("BTC", "USDC", "LINEAR"),
            ("ETH", "BTC", "SPOT"),
            ("ETH", "USDC", "SPOT"),
        )
    ]
    with CatalogWriter(tmp_path / "catalog") as writer:
        writer.add(Import("by hand", "bybit", others, {}))
    (found,) = map(str, validate(file, ["universe.instruments=['*']"]))
    assert found.endswith(
        "universe: BTCUSDC-LINEAR.BYBIT, ETHUSDC-SPOT.BYBIT settle in USDC, ETHBTC-SPOT.BYBIT "
        "settles in BTC, the account is in USDT: leave them out (universe.exclude)"
    )
    (found,) = said(file)
    line = (
        "universe: BTCUSDC-LINEAR.BYBIT settles in USDC, the account is in USDT: leave it out "
        "(universe.exclude)"
    )
    assert found.endswith(line)
    with pytest.raises(InputError) as refused:
        prepare(load(file).document)
    assert str(refused.value) == f"planned: {line}"
    assert validate(file, ["universe.exclude=['*USDC-*']"]) == []
    # What no strategy trades may stay in the universe.
    assert validate(file, [f"strategies.plan.instruments=[{A}]"]) == []
