"""The documents' models by themselves."""

from datetime import UTC, date, datetime
from typing import get_args

import pytest
from nautilus_trader.model.data import BarType
from pydantic import ValidationError

from config.documents import BacktestWindow, Dimension, Ingest, Node
from config.durations import INTERVALS, Interval, bar_type, interval_ns, parse, show
from config.errors import InputError
from config.load import examine, load

NODE = """\
kind: node
name: mine
extends: parent.yaml
environment: ${PLACE:-practice}
tag: a1
account:
  name: main
  keys: {api_key_env: BYBIT_API_KEY, api_secret_env: BYBIT_API_SECRET}
"""
PARENT = 'strategies: {one: {use: "strategies.xs_reversal:XSReversal"}}\n'


def test_a_window_counts_in_nanoseconds_of_utc():
    window = BacktestWindow.model_validate({"start": "2024-01-01", "end": "2024-01-01T12:00:00Z"})
    assert window.start_ns == 1_704_067_200_000_000_000
    assert window.end_ns - window.start_ns == 12 * 3600 * 10**9
    with pytest.raises(ValidationError):
        window.start = window.end  # type: ignore[misc]


@pytest.mark.parametrize("text", ["2024-01-31", "2024-01-31T12:00:00Z", "2024-01-31T12:00:05Z"])
def test_a_moment_is_shown_as_it_is_read(text):
    assert show(parse(text)) == text
    assert (
        parse(date(2024, 1, 31)) == parse("2024-01-31 00:00") == datetime(2024, 1, 31, tzinfo=UTC)
    )


@pytest.mark.parametrize("value", ["2024-01-31T12:00+02:00", "31.01.2024", 20240131, None])
def test_what_is_no_utc_time_is_refused(value):
    with pytest.raises(ValueError, match="must be"):
        parse(value)


def test_a_node_reads_variables_and_its_defaults(write, monkeypatch):
    write("parent.yaml", PARENT)
    file = write("node.yaml", NODE + 'description: "${CODE}"\non_stop: ${STOP:-keep}\n')
    monkeypatch.setenv("CODE", "007")
    node = load(file).document
    assert isinstance(node, Node)
    assert node.environment == "practice"
    # A quoted variable stays text; unquoted it is read as the value it spells.
    assert node.description == "007"


def test_a_variable_that_is_not_set_is_named(write):
    write("parent.yaml", PARENT)
    file = write("node.yaml", NODE.replace("${PLACE:-practice}", "${NOWHERE_TO_BE_FOUND}"))
    _, problems = examine(file)
    assert [str(problem) for problem in problems] == [
        f"{file}:4:14: environment: the environment variable NOWHERE_TO_BE_FOUND is not set"
    ]


@pytest.mark.parametrize("secret", ["${BYBIT_SECRET}", "aB3xk29dKe02mQzz"])
def test_a_secret_in_a_document_is_refused_and_never_shown(write, monkeypatch, secret):
    monkeypatch.setenv("BYBIT_SECRET", "aB3xk29dKe02mQzz")
    write("parent.yaml", PARENT)
    file = write("node.yaml", NODE.replace("BYBIT_API_SECRET", f'"{secret}"'))
    _, problems = examine(file)
    assert [problem.path for problem in problems] == ["account.keys.api_secret_env"]
    assert "aB3xk29dKe02mQzz" not in str(problems)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({}, "needs one of int, float and choice"),
        ({"int": [1, 2], "choice": [1]}, "needs one of int, float and choice"),
        ({"int": [2, 1]}, "must be below the largest, was 2 and 1"),
        ({"int": [1, 2.5]}, "valid integer"),
        ({"float": [1]}, "Field required"),
        ({"float": [0, 1], "log": True}, "log needs a least value above 0"),
        ({"float": [0, 1], "step": 2}, "longer than the range"),
        ({"int": [1, 9], "step": 1.5}, "must be a whole number, was 1.5"),
        ({"choice": []}, "at least 1 item"),
        ({"choice": ["a", "b", "a"]}, "names a value twice"),
        ({"choice": ["a"], "step": 1}, "log and step are of ranges"),
        ({"int": [1, 2], "low": 1}, "Extra inputs"),
    ],
)
def test_a_dimension_is_one_range_or_choice(wrong, message):
    with pytest.raises(ValidationError, match=message):
        Dimension.model_validate(wrong)


def test_an_ingest_takes_symbols_or_all():
    base = {"catalog": "c", "start": "2024-01-01", "end": "2024-02-01"}
    assert Ingest.model_validate({**base, "instruments": "all"}).instruments == "all"
    assert Ingest.model_validate({**base, "instruments": ["BTCUSDT"]}).instruments == ("BTCUSDT",)
    for wrong in ("BTCUSDT", [], ["btcusdt"], ["BTC-USDT"], [1], 7):
        with pytest.raises(ValidationError):
            Ingest.model_validate({**base, "instruments": wrong})


@pytest.mark.parametrize(
    ("interval", "name"),
    [("5m", "5-MINUTE"), ("1h", "1-HOUR"), ("12h", "12-HOUR"), ("1d", "1-DAY")],
)
def test_the_engine_knows_the_bar_type(interval, name):
    text = bar_type("BTCUSDT-LINEAR.BYBIT", interval)
    assert text == f"BTCUSDT-LINEAR.BYBIT-{name}-LAST-EXTERNAL"
    assert BarType.from_str(text).spec.timedelta.total_seconds() * 10**9 == interval_ns(interval)
    assert get_args(Interval) == tuple(sorted(INTERVALS, key=interval_ns))
    with pytest.raises(InputError, match="did you mean 15m"):
        interval_ns("15mn")
