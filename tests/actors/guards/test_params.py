"""Parameters of guards: combinations that guard nothing or contradict each other, and durations."""

from typing import Any

import msgspec
import pytest

from actors.guards.core.params import span_ns
from config.components import resolve, shipped_addresses
from tests.actors.guards.moments import BTC, HOUR, MINUTE, MS, SECOND

GUARDS = {use.partition(":")[2]: use for use in shipped_addresses() if use.startswith("actors.")}
PERP, SPOT = BTC, "BTCUSDT-SPOT.BYBIT"


def tiers(*rows: tuple[float, float | str]) -> dict[str, Any]:
    return {"tiers": [{"at": at, "size": size} for at, size in rows]}


def window(start: str, end: str) -> dict[str, Any]:
    return {"windows": [{"start": start, "end": end}]}


@pytest.mark.parametrize(
    ("guard", "params", "field", "message"),
    [
        ("AssetCaps", {"net": None}, "net", ""),
        ("AssetCaps", {"assets": {"1000PEPE": {"net": 1.0}}}, "assets.1000PEPE", ""),
        ("AssetCaps", {"assets": {"BTCUSDT": {"net": 1.0}}}, "assets.BTCUSDT", ""),
        ("AssetCaps", {"assets": {BTC: {"net": 1.0}}}, f"assets.{BTC}", ""),
        ("AssetCaps", {"assets": {"btc": {"net": 1.0}}}, "assets.btc", ""),
        ("AssetCaps", {"assets": {"BTC": {}}}, "assets.BTC", ""),
        ("ClusterCaps", {}, "clusters", ""),
        ("ClusterCaps", {"clusters": {"all": {"instruments": ["BTC*"]}}}, "clusters.all", ""),
        ("Cooldown", {"after_trade": "0s", "after_loss": "0ms"}, "after_trade",
         "is 0s, and after_loss too; one must be longer"),
        ("Correlation", {"pairs": [[BTC, BTC]]}, "pairs[0]", ""),
        ("DailyLoss", {}, "limit_pct", "must be set, or limit_currency or limit_r"),
        ("DailyLoss", {"limit_r": 10.0}, "limit_r", "needs the size of R: set r_pct or r_currency"),
        ("DailyLoss", {"limit_r": 10.0, "r_pct": 0.01, "r_currency": 1.0}, "r_pct",
         "can't be set beside r_currency: R has one size"),
        ("DailyLoss", {"limit_pct": 0.1, "r_pct": 0.01}, "r_pct", "is of use only with limit_r"),
        ("DailyLoss", {"limit_pct": 0.1, "r_currency": 1.0}, "r_currency",
         "is of use only with limit_r"),
        ("DrawdownTiers", tiers((0.05, 0.5), (0.05, 0.25)), "tiers",
         "at of tier 2 must be above 0.05"),
        ("DrawdownTiers", tiers((0.1, 0.5), (0.05, 0.25)), "tiers",
         "at of tier 2 must be above 0.1"),
        ("DrawdownTiers", tiers((0.05, 0.5), (0.1, 0.5)), "tiers",
         "size of tier 2 must be below 0.5"),
        ("DrawdownTiers", tiers((0.05, 0.5), (0.1, "flatten"), (0.2, 0.0)), "tiers",
         "size of tier 3 must be below 0"),
        ("DrawdownTiers", {"release": "next_day"}, "release",
         "can't be next_day: no peak begins anew at midnight"),
        ("ExposureCaps", {"leverage": None}, "leverage", ""),
        ("FundingWindow", {"before": "0s", "after": "0s"}, "before",
         "is 0s, and after too; one must be longer"),
        ("LiquidationDistance", {"least": None}, "least", ""),
        ("Maintenance", window("2026-03-29", "2026-03-29"), "windows[0].end",
         "must be after the start 2026-03-29"),
        ("Maintenance", window("soon", "2026-03-29"), "windows[0].start", "must be a UTC date"),
        ("Maintenance", window("2026-03-29", "2026-03-29T06:00:00+02:00"), "windows[0].end",
         "must be in UTC"),
        ("MaxDrawdown", {}, "limit_pct", "must be set, or limit_currency"),
        ("MaxDrawdown", {"limit_pct": 0.1, "release": "next_day"}, "release", ""),
        ("PositionCap", {"limit_pct": None}, "limit_pct", ""),
        ("PriceJump", {"window": "1m", "apart": "10s"}, "apart",
         "must be at least the window 1m, was 10s"),
        ("SessionProfit", {}, "limit_pct", "must be set, or limit_currency"),
        ("SessionProfit", {"limit_pct": 0.1, "session": "all"}, "release", ""),
        ("SpreadGate", {}, "max_ticks", "is missing; set it or max_bps"),
        ("SymbolLoss", {}, "limit_pct",
         "must be set, or limit_currency or trailing_pct or trailing_currency"),
        ("SymbolLoss", {"trailing_pct": 0.1, "release": "next_day"}, "release", ""),
        ("Unhedged", {"legs": [[SPOT, SPOT]]}, "legs[0]", f"{SPOT} can't hedge itself"),
        ("Unhedged", {"legs": [[SPOT, PERP], [PERP, SPOT]]}, "legs[1]", "is given twice"),
        ("Volatility", {"most": None}, "most", ""),
        ("Volatility", {"most": 0.5, "least": 0.5}, "least", ""),
    ],
)  # fmt: skip
def test_parameters_that_guard_nothing_or_contradict_are_named(guard, params, field, message):
    [(found, words)] = msgspec.convert(params, resolve(GUARDS[guard]).Config).check()
    assert (found, message in words) == (field, True)


@pytest.mark.parametrize(
    ("guard", "params"),
    [
        ("AssetCaps", {"net": None, "assets": {"PEPE": {"gross": 1.0}}}),
        ("AssetCaps", {"assets": {"USDE": {"gross": 1.0}}}),
        ("ClusterCaps", {"clusters": {"all": {"instruments": ["BTC*", PERP], "cap": 0.5}}}),
        ("Correlation", {"pairs": [[SPOT, PERP]]}),
        ("DrawdownTiers", tiers((0.05, 0.5), (0.1, "flatten"))),
        ("DrawdownTiers", tiers((0.05, 0.0))),
        ("ExposureCaps", {}),
        ("LiquidationDistance", {}),
        ("MaxDrawdown", {"limit_pct": 0.1, "release": "next_day", "session": "day"}),
        ("PositionCap", {}),
        ("PriceJump", {"window": "1m", "apart": "1m"}),
        ("Volatility", {}),
    ],
)
def test_parameters_that_go_together_pass(guard: str, params: dict[str, Any]) -> None:
    assert msgspec.convert(params, resolve(GUARDS[guard]).Config).check() == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0s", 0),
        ("1ms", MS),
        ("500ms", 500 * MS),
        ("5s", 5 * SECOND),
        ("3m", 3 * MINUTE),
        ("1h", HOUR),
        ("2d", 48 * HOUR),
    ],
)
def test_a_duration_is_read_in_its_unit(text: str, expected: int) -> None:
    assert span_ns(text) == expected


@pytest.mark.parametrize(
    "text", ["", "5", "s", "05s", "1.5s", "-1s", "5 s", "5us", "1w", "123456s"]
)
def test_text_that_is_no_duration_is_refused_with_examples(text: str) -> None:
    with pytest.raises(ValueError, match="such as 500ms, 10s or 3m"):
        span_ns(text)
