"""Which instruments a strategy gets, and that no two get the same one."""

import itertools
from fnmatch import fnmatchcase

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.documents import StrategyComponent, Universe
from config.errors import Problem
from config.universe import intersect, select
from config.validate import register_check, register_instruments, validate
from tests.config.conftest import Write

IDS = [f"{coin}USDT-{kind}.BYBIT" for coin in ("BTC", "ETH", "SOL") for kind in ("LINEAR", "SPOT")]
REVERSAL = '{use: "strategies.xs_reversal:XSReversal", instruments: %s}'


def component(*instruments: str) -> StrategyComponent:
    return StrategyComponent(use="x", instruments=instruments or None)


def test_the_universe_narrows_and_excludes():
    universe = Universe(instruments=("*-LINEAR.BYBIT",), exclude=("SOL*",))
    assert select(IDS, universe) == ["BTCUSDT-LINEAR.BYBIT", "ETHUSDT-LINEAR.BYBIT"]
    assert select(IDS, universe, component("ETH*")) == ["ETHUSDT-LINEAR.BYBIT"]
    assert select(IDS, universe, component("*-SPOT.BYBIT")) == []
    assert select(reversed(IDS), Universe()) == select(IDS, Universe())


def problems_of(write: Write, first: str, second: str, more: str = "") -> list[Problem]:
    text = f"kind: setup\nname: two\nstrategies:\n  one: {REVERSAL % first}\n"
    return validate(write("two.yaml", text + f"  two: {REVERSAL % second}\n" + more))


@pytest.mark.parametrize(
    ("first", "second", "clash"),
    [
        ("null", "null", True),
        ("null", "[BTCUSDT-LINEAR.BYBIT]", True),
        ("['BTC*']", "['ETH*']", False),
        ("['?TC*']", "['B*']", True),
        ("['[A-C]*']", "['[D-Z]*']", False),
        ("['[!B]*']", "['B*']", False),
        ("[BTCUSDT-SPOT.BYBIT]", "[BTCUSDT-SPOT.BYBIT]", False),
    ],
    ids=str,
)
def test_two_strategies_may_not_share_an_instrument(write, first, second, clash):
    problems = problems_of(write, first, second)
    assert [problem.line for problem in problems] == ([5] if clash else [])


def test_a_strategy_that_is_switched_off_has_no_instruments(write):
    text = f"kind: setup\nname: two\nstrategies:\n  one: {REVERSAL % 'null'}\n  two:\n"
    text += "    use: strategies.xs_reversal:XSReversal\n    enabled: "
    assert validate(write("two.yaml", text + "false\n")) == []
    assert validate(write("two.yaml", text + "true\n")) != []


def test_no_strategy_enabled_is_an_error(write):
    text = "kind: setup\nname: none\nstrategies:\n  one:\n    enabled: false\n"
    text += "    use: strategies.xs_reversal:XSReversal\n"
    [problem] = validate(write("none.yaml", text))
    assert problem.message == "none of the strategies is enabled"


def test_with_the_instruments_known_the_answer_is_exact(write):
    assert problems_of(write, "['BTC*']", "['*C*']") != []
    register_instruments(lambda resolved: None)
    assert problems_of(write, "['BTC*']", "['*T-*']") != []
    register_instruments(lambda resolved: ["ETHUSDT-LINEAR.BYBIT", "SOLUSDT-LINEAR.BYBIT"])
    assert problems_of(write, "['BTC*']", "['*T-*']") == []


def test_what_a_strategy_looks_at_must_be_among_its_instruments(write):
    text = "kind: setup\nname: one\nstrategies:\n  one:\n    instruments: ['BTC*', 'SOL*']\n"
    text += "    use: strategies.xs_reversal:XSReversal\n    params:\n"
    gate = "      majors_gate: {instruments: [BTCUSDT-LINEAR.BYBIT, ETHUSDT-LINEAR.BYBIT]}\n"
    [problem] = validate(write("one.yaml", text + gate))
    assert (problem.line, problem.path) == (8, "strategies.one.params.majors_gate.instruments[1]")
    assert problem.message == "ETHUSDT-LINEAR.BYBIT is not among the strategy's instruments"
    [problem] = validate(write("one.yaml", text + "      majors_gate: {instruments: ['*']}\n"))
    assert problem.message == "must be an id such as BTCUSDT-LINEAR.BYBIT, was the pattern *"
    assert problem.suggestion == ""
    # Those by default are named at their block.
    [problem] = validate(write("one.yaml", text + "      regime: {trend_lookback: 10}\n"))
    assert problem.line == 8
    assert validate(write("one.yaml", text + gate.replace("ETH", "SOL"))) == []


def test_a_registered_check_speaks_with_the_others(write):
    register_check("setup", lambda resolved: [resolved.problem(("name",), "is dull")])
    problems = problems_of(write, "null", "null")
    assert [(problem.line, problem.path) for problem in problems] == [
        (2, "name"),
        (5, "strategies.two.instruments"),
    ]
    with pytest.raises(ValueError, match="no kind of document"):
        register_check("setpu", lambda resolved: [])


globs = st.text("AB*?", min_size=1, max_size=5)
WORDS = ["".join(word) for size in range(1, 7) for word in itertools.product("AB", repeat=size)]


@given(globs, globs, globs)
def test_patterns_intersect_when_some_word_matches_all(one, two, three):
    # Stars apart, a pattern has at most five letters, so a word of six shows any overlap that a
    # longer word would show, save where all three stars must stretch: then the shorter does too.
    found = any(all(fnmatchcase(word, glob) for glob in (one, two, three)) for word in WORDS)
    if found:
        assert intersect([one, two, three])
    if not intersect([one, two, three]):
        assert not found
