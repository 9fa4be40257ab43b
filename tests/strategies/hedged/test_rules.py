"""Rules of pairs, by hand: entries, exits and sizes."""

import math

import msgspec
import pytest

from strategies.hedged.rules import Enter, PairsMemory, View, judge
from strategies.pairs import PairsConfig, TimeStop

PAIR = "AAAUSDT/BBBUSDT"


def rules(**params):
    names = "AAAUSDT-LINEAR.BYBIT", "BBBUSDT-LINEAR.BYBIT"
    return PairsConfig(key="p", instruments=names, pairs=(names,), **params)


def view(**known):
    fields = {"beta": 1.0, "std": 0.01, "z": 2.5, "half_life": 5.0} | known
    return View(rsi=(50.0, 50.0), correlation=1.0, volatility=0.01, **fields)


@pytest.mark.parametrize("unknown", [math.inf, math.nan])
def test_an_entry_without_half_life_is_saved_and_read_again(unknown):
    entry = judge(rules(), PAIR, view(half_life=unknown), PairsMemory(), 0)
    memory = PairsMemory({PAIR: entry.trade})
    again = msgspec.json.decode(msgspec.json.encode(memory), type=PairsMemory)
    assert (again, entry.trade.half_life) == (memory, None)
    # A time stop by half-lives that was added since has nothing to count.
    timed = rules(time_stop=TimeStop(half_lives=1))
    assert judge(timed, PAIR, view(), again, 1e6) is None


@pytest.mark.parametrize("unknown", [math.inf, math.nan])
@pytest.mark.parametrize("field", ["beta", "std", "z"])
def test_nothing_is_entered_by_what_is_unknown(field, unknown):
    assert isinstance(judge(rules(), PAIR, view(), PairsMemory(), 0), Enter)
    assert judge(rules(), PAIR, view(**{field: unknown}), PairsMemory(), 0) is None
