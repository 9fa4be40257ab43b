"""Every key of every shipped file, misspelt, mistyped or out of range, is named by its place."""

from functools import cache, reduce
from itertools import islice
from pathlib import Path
from typing import Any, get_type_hints

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec import Meta

from config.components import resolve
from config.load import load
from config.validate import validate
from tests.config.shipped import (
    DOCUMENTS,
    EVERY_FILE,
    PRESETS,
    ROOT,
    Key,
    copy_all,
    keys_of,
    readers_of,
)
from tests.conftest import EXPLORES

KEYS = [key for file in EVERY_FILE for key in keys_of(file)]
loaded = cache(load)


def counts(key: Key, reader: Path) -> bool:
    """Whether the key's value reaches the reader, rather than that another file replaces it."""
    if key.path == ("extends",):
        return reader == key.file or key.file in PRESETS
    if key.shape == "mapping":
        # Keys of several files merge, unless one of them says null.
        return (
            reduce(lambda at, name: (at or {}).get(name), key.path, loaded(reader).data) is not None
        )
    return loaded(reader).origin(key.path).file == str(key.file)


RAW = {file: yaml.safe_load(file.read_text(encoding="utf-8")) for file in EVERY_FILE}
CLASSES = {
    (room, name): item["use"]
    for raw in RAW.values()
    for room in ("strategies", "actors")
    for name, item in raw.get(room, {}).items()
    if "use" in item
}
"""Which class a strategy or guard of some name is; all shipped files agree about that."""


@pytest.mark.parametrize("use", sorted(set(CLASSES.values())))
def test_a_parameter_has_one_type_with_its_range_and_words(use: str) -> None:
    for name, hint in get_type_hints(resolve(use, ["tests"]).Config, include_extras=True).items():
        assert {type(one) for one in getattr(hint, "__metadata__", ())} <= {Meta}, name


@cache
def declared_in(use: str, parameter: str) -> str:
    """Return the class that declares a parameter: many strategies share most of theirs."""
    classes = resolve(use, ["tests"]).Config.__mro__
    found = [
        cls.__qualname__ for cls in classes if parameter in getattr(cls, "__annotations__", ())
    ]
    return found[-1]


def field_of(key: Key) -> tuple[str, ...]:
    """Return the model's field of a key: keys of one field are read alike."""
    path = list(key.path)
    if path[4:5] and path[3] == "scorers":
        path = ["strategies", *path[4:]]
    if path[0] in ("strategies", "actors") and len(path) > 1:
        use, inner = CLASSES[path[0], path[1]], path[2:]
        return (declared_in(use, inner[1]) if inner[1:] else use), *inner
    for at in range(1, len(path)):
        if path[at - 1] in ("accounts", "symbols", "faults", "clusters"):
            path[at] = "*"
    return RAW[key.file].get("kind", "preset"), *path


@cache
def fields() -> list[Any]:
    """Return the keys as parameters; those of a field that an earlier key has are slow."""
    seen: set[tuple[object, ...]] = set()
    found = []
    for key in KEYS:
        field = field_of(key)
        found.append(pytest.param(key, id=str(key), marks=[pytest.mark.slow] * (field in seen)))
        seen.add(field)
    return found


@cache
def readers(key: Key) -> list[Path]:
    """Return the documents in which a key's value counts; the farthest alone unless exploring."""
    found = (file for file in reversed(readers_of(key.file)) if counts(key, file))
    return list(found if EXPLORES else islice(found, 1))


NO_RANGE = {
    "description", "funding", "liquidation", "flatten_on_empty_targets", "mark", "enabled",
    "volatility_adjusted", "freeze_hedge", "frozen", "record",
}  # fmt: skip
"""Free text and truth values: every value of the right type is in range."""

_NUMBERS = {
    "0": """
        slice_days starting_balance lookback fraction gross_leverage max_weight
        turnover_lookback depth_bps ticks participation max_leg_imbalance depth volatility
        updates_per_second price lot balance idle_exit limit_pct losses count per_minute
        spam_after limit_bps net cap most max_bps heartbeat power forecast_cap length trades
        slope_length correlation_lookback dispersion_lookback trend_lookback least_names
        same_sign_of own_percentile history candles level max_leg risk z_lookback width
        rsi_length volume_lookback least_distance deviation budget max_open most_pairs
        most_per_instrument half_lives moderate_z weak_z formation funding_minutes
        short_s warm_s
    """,
    "-1": """
        bps skip min_turnover min_age_days max_spread_bps min_depth move_bps max_reprices
        max_slippage_bps seed admin_port limit exit_grace entry low_bps high_bps most_bps
        least_bps high_slope_bps low_dispersion_bps hit_rate profit_factor
        enter leave same_sign max_net cooldown stop_width stop_volume volume prior enter_rsi
        leave_rsi strong moderate divergence base jitter delay
    """,
}
OUT_OF_RANGE = {name: value for value, names in _NUMBERS.items() for name in names.split()} | {
    "exit": "-2",
    "extends": "no_such_file.yaml", "kind": "backtset", "name": "Not A Name", "catalog": '""',
    "market": '""', "start": "2024-13-01", "end": "1999-01-01", "venue": "bybt",
    "product": "inverse", "intervals": "[1h, 7m]", "base_url": "ftp://localhost",
    "instruments": '["lower case"]', "exclude": '["lower case"]', "use": "os:system",
    "leverage": "0.99", "maker": "-0.02", "taker": "0.06", "model": "fixed_bsp",
    "fills": "at_once", "path": "optimistic", "execution_interval": "7m", "interval": "7m",
    "every": "0d",
    "at": '"24:00"', "side": "short_only", "weighting": "cap", "volatility_lookback": "1",
    "top_n": "1", "hysteresis": "1", "allocation": "1.01", "no_trade_band": "-0.01",
    "min_price": "-0.5", "tactic": "maker_last", "place": "inside", "reprice_every": "0s",
    "retry_for": "0s",
    "window": "0s", "least_rest": "soon", "after_trade": "soon", "deadline": "3 minutes",
    "after": "3 minutes", "at_deadline": "take_it", "slippage_from": "start",
    "exchange_minimum": "ignore", "environment": "mainent", "tag": "reversal",
    "position_mode": "hedge", "margin_mode": "crossed", "on_stop": "sell", "action": "sell",
    "pace": "hourly", "tick": "-0.1", "products": "[inverse]", "port": "70_000", "update_ms": "5",
    "tiers": "[{at: 0.2, size: 0.5}, {at: 0.1, size: 0.25}]", "release": "tomorrow",
    "session": "week", "of": "everybody", "windows": "[{start: soon, end: later}]",
    "against": "luck", "before": "-1m", "kinds": "[position_difers]", "after_loss": "-5s",
    "partial": "{fraction: 2}", "hold": "{most: soon}", "loss_exit": "{loss: 0}",
    "lookbacks": "[0]", "lookback_weights": "[1]", "past_returns": "log", "winsorize": "0.3",
    "dropped": "hold", "turnover_budget": "0", "stop_cooldown": "0s",
    "loss_streak": "{losses: 0}",
    "volatility_estimator": "garch", "volatility_target": "{annual: 0}",
    "kelly": "{fraction: 0}", "cluster_cap": "{correlation: 1}", "neutral": "{max_net: -0.1}",
    "names": "{least: 0}", "bands": "{entry: -1}",
    "majors": '["lower case"]', "high_correlation": "1.1", "pause": "0s",
    "cut_pause": "0s", "longest_pause": "0s",
    "regime": "{hysteresis: 1}", "majors_gate": "{action: flip}", "market_trend": "{above: 101}",
    "adx_filter": "{length: 1}", "slope_filter": "{sides: up}", "hours_filter": "{hours: [24]}",
    "funding_filter": "{most_bps: -1}", "symbol_record": "{prior: 0}",
    "protection": "{atr: 1}", "atr": "1", "stop": "0", "catastrophic": "0", "trail_atr": "0",
    "break_even": "0", "take": "[{at: 0, fraction: 1}]", "time_stop": "soon",
    "volatility_half_life": "0", "estimator": "oracle", "annual": "0", "correlation": "1",
    "information_coefficient": "0",
    "legs": "[[BTCUSDT-LINEAR.BYBIT, BTCUSDT-LINEAR.BYBIT]]", "external": "some",
    "weight": "1.5", "by": "sign", "combine": "average", "average": "daily",
    "pairs": "[[BTCUSDT-LINEAR.BYBIT, BTCUSDT-LINEAR.BYBIT]]", "rules": "zscores",
    "confidence": "[2, 1, 1]", "size": "equal", "check_every": "0s", "first": "thick",
    "correction": "holm", "min_correlation": "-2", "least": "-2", "select": "{formation: 0}",
    "per": "0", "queue": "first", "valuation": "7s",
    "calibration": "[[2, 5]]", "look": "0ms", "candle": "500ms", "max_ticks": "0", "limit_r": "0",
    "r_pct": "0", "max_of_book": "0", "slippage_bps": "-1", "horizon_s": "0", "trail_after": "-1",
    "least_samples": "0", "open_bps": "1001", "close_bps": "-1001", "half_life": "0s",
    "horizon": "0s", "min_edge_bps": "-1", "deviations": "1e99", "max_position": "1e99",
    "max_gross": "0", "limit_currency": "0", "trailing_pct": "0", "budget": "0",
}  # fmt: skip
"""A value of the right type but out of range, for each key that has a range."""

OUT_OF_RANGE_OF_GUARDS = {"leverage": "0"}
"""The same where a guard has a key of that name."""

WRONG_AS_A_WHOLE = {"tiers"}
"""Lists of sound items in a wrong order."""

RANKINGS = ("reversal", "momentum", "carry", "blend", "bands", "vwap")
FREE_LISTS = {("strategies", key, "params", "exclude") for key in RANKINGS}
"""Lists of text of any kind."""


def spoil(folder: Path, key: Key, stretch: tuple[int, int], text: str) -> list[tuple[str, int]]:
    """Replace a stretch of a key's file and return the places of what is then wrong."""
    target = folder / key.file.relative_to(ROOT)
    original = key.file.read_text(encoding="utf-8")
    old = original[slice(*stretch)]
    tail = old[len(old.rstrip()) :]
    target.write_text(original[: stretch[0]] + text + tail + original[stretch[1] :], "utf-8")
    try:
        places = []
        for reader in readers(key):
            problems = validate(folder / reader.relative_to(ROOT))
            assert problems, f"{reader.name} took {key} as {text!r}"
            places.append({(problem.file, problem.line) for problem in problems})
        # Each document that inherits the wrong value must name its place.
        return sorted(set.intersection(*places))
    finally:
        target.write_text(original, "utf-8")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("shipped")
    copy_all(folder)
    return folder


def own_place(folder: Path, key: Key) -> tuple[str, int]:
    return str(folder / key.file.relative_to(ROOT)), key.line


def is_free_name(key: Key) -> bool:
    """Whether the file itself gave the name: only what breaks its form is then a misspelling."""
    if key.path[:-1] in (("accounts",), ("market", "symbols")) or key.path[-2:-1] == ("scorers",):
        return True
    return key.path[:-1] in (("strategies",), ("actors",)) and any(
        other.path == (*key.path, "use") for other in keys_of(key.file)
    )


MISSPELLINGS = st.tuples(st.sampled_from(["drop", "double", "swap", "change"]), st.floats(0, 0.999))


def misspell(word: str, how: str, where: float) -> str:
    at = int(where * len(word))
    match how:
        case "drop" if len(word) > 2:
            return word[:at] + word[at + 1 :]
        case "swap" if word[:1] != word[1:2]:
            return word[1] + word[0] + word[2:]
        case "change":
            return word[:at] + ("q" if word[at] != "q" else "z") + word[at + 1 :]
    return word[: at + 1] + word[at] + word[at + 1 :]


@pytest.mark.parametrize("key", fields())
@settings(
    max_examples=3, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(misspelling=MISSPELLINGS)
def test_a_misspelt_key_is_named_by_file_and_line(folder, key, misspelling):
    if key.path[-2:-1] == ("clusters",):
        return  # No name at all is wrong there.
    word = misspell(key.path[-1], *misspelling)
    if is_free_name(key):
        word = word.swapcase()
    assert own_place(folder, key) in spoil(folder, key, key.key, word)


@pytest.mark.parametrize("key", fields())
def test_a_mistyped_value_is_named_by_file_and_line(folder, key):
    wrong = ["7", "true"] if key.shape == "mapping" else ["{wrong: type}", "7"]
    if key.shape == "scalar":
        wrong = ["{wrong: type}", "[[wrong], type]"]
        if key.text.replace(".", "").isdigit():
            wrong.append("several")
    for text in wrong:
        assert own_place(folder, key) in spoil(folder, key, key.value, text), text


@pytest.mark.parametrize("key", fields())
def test_a_value_out_of_range_is_named_by_file_and_line(folder, key):
    name = key.path[-1]
    if name in NO_RANGE or key.path in FREE_LISTS or key.shape == "mapping":
        return
    wrong = OUT_OF_RANGE | (OUT_OF_RANGE_OF_GUARDS if key.path[0] == "actors" else {})
    file, line = own_place(folder, key)
    if wrong[name].startswith("[") and name not in WRONG_AS_A_WHOLE:
        # Its item is wrong, and may stand below the key.
        line += key.file.read_text("utf-8")[key.key[1] : key.value[0]].count("\n")
    assert (file, line) in spoil(folder, key, key.value, wrong[name])


@pytest.mark.parametrize("file", DOCUMENTS, ids=lambda file: file.name)
def test_shipped_documents_are_well(file):
    assert validate(file) == []
