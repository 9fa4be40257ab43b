"""What `validate` says of a backtest and its catalog."""

from __future__ import annotations

from pathlib import Path

from backtests import checks
from config.validate import validate
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
