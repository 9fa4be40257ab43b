import numpy as np
import pytest

from config.errors import DocumentErrors
from config.load import load
from strategies.blend import Scorer, XSBlend, XSBlendConfig
from strategies.rebalance.blocks import Partial
from strategies.rebalance.history import Window
from strategies.rebalance.memory import NO_MEMORY, Record
from strategies.rebalance.plan import Progress, decode, encode
from strategies.rebalance.propose import Listings, explain, in_words, propose, remembered
from strategies.rebalance.votes import earned_parts, followed
from strategies.signals.parameters import FundingFilter, HoursFilter
from strategies.signals.universe import Standing
from strategies.sizing.parameters import Neutral

NAN = np.nan
REVERSAL = {"use": "strategies.xs_reversal:XSReversal", "params": {"fraction": 0.25}}
BUYS = {**REVERSAL, "params": {"fraction": 0.25, "side": "long_only"}}
MOMENTUM = {
    "use": "strategies.xs_momentum:XSMomentum",
    "params": {"lookbacks": [1], "winsorize": 0.0, "fraction": 0.5},
}
CARRY = {"use": "strategies.carry:Carry", "params": {"lookback": 2, "history": 4, "same_sign": 0}}
IDS = ("A", "B", "C", "D")
LISTINGS = Listings(IDS, np.full(4, NAN))
# Returns of 10, 5, -5 and -10 %: reversal buys D and sells A; momentum buys A and B, sells C and D.
MOVED = np.array([[10.0, 10.0, 10.0, 10.0], [11.0, 10.5, 9.5, 9.0]])


def blend(scorers, **changes):
    made = {name: Scorer(**scorer) for name, scorer in scorers.items()}
    return XSBlendConfig(key="b", instruments=IDS, scorers=made, **({"max_weight": 1.0} | changes))


def proposed(rules, close, funding=None):
    funding = np.full(close.shape, NAN) if funding is None else funding
    window = Window(0, close, np.ones(close.shape), funding=funding)
    return propose(rules, LISTINGS, window, XSBlend.scores(rules, window))


VOTE = {"combine": "majority"}
HALVES = {"reversal": REVERSAL | {"weight": 0.5}, "momentum": MOMENTUM | {"weight": 0.5}}


@pytest.mark.parametrize(
    ("scorers", "changes", "expected"),
    [
        # Reversal -0.25, 0, 0, 0.25, and momentum 0.125, 0.125, -0.125, -0.125.
        (HALVES, {}, [-0.125, 0.125, -0.125, 0.125]),
        (HALVES, {"gross_leverage": 2.0, "allocation": 0.25}, [-0.0625, 0.0625, -0.0625, 0.0625]),
        # A scorer adds no more than the cap: reversal 0.2 in place of 0.25.
        (HALVES, {"max_weight": 0.2}, [-0.075, 0.125, -0.125, 0.075]),
        # Two that agree are netted first and cut then; what is cut goes to nobody.
        (
            {"one": REVERSAL | {"weight": 0.5}, "two": REVERSAL | {"weight": 0.25}},
            {"max_weight": 0.3},
            [-0.3, 0, 0, 0.3],
        ),
        # Nobody settles funding: that half is not used, and the other does not grow.
        ({"carry": CARRY | {"weight": 0.5}, "reversal": REVERSAL | {"weight": 0.5}}, {},
         [-0.25, 0, 0, 0.25]),
        # Reversal only buys: 0.125, 0.125, -0.125, 0.375. Of 0.625 long 0.225 stay.
        (
            HALVES | {"reversal": BUYS | {"weight": 0.5}},
            {"neutral": Neutral(max_net=0.1)},
            [0.045, 0.045, -0.125, 0.135],
        ),
        # Half of the way to the netted weight, from nothing.
        (HALVES, {"partial": Partial(fraction=0.5, min_change=0.06)},
         [-0.0625, 0.0625, -0.0625, 0.0625]),
        (HALVES, {"partial": Partial(fraction=0.5, min_change=0.13)}, [0, 0, 0, 0]),
        ({"momentum": MOMENTUM | {"weight": 0.0}, "reversal": REVERSAL | {"weight": 1.0}}, {},
         [-0.5, 0, 0, 0.5]),
        # Momentum, with more votes, buys A and B and sells C and D, a quarter of 0.6 each.
        (HALVES | {"reversal": REVERSAL | {"weight": 0.4}, "momentum": MOMENTUM | {"weight": 0.6}},
         VOTE, [0.15, 0.15, -0.15, -0.15]),
        # One of two is not more than half.
        (HALVES, VOTE, [0, 0.125, -0.125, 0]),
        # Three quarters of the weight agree: what the outvoted one would do does not count.
        (HALVES | {"more": REVERSAL | {"weight": 0.25}, "momentum": MOMENTUM | {"weight": 0.25}},
         VOTE, [-0.375, 0.0625, -0.0625, 0.375]),
    ],
)  # fmt: skip
def test_sleeves_are_netted_by_hand(scorers, changes, expected):
    rules = blend(scorers, **changes)
    np.testing.assert_allclose(proposed(rules, MOVED).weight, expected, atol=1e-15)


def test_filters_hold_for_every_sleeve():
    paid = np.full(MOVED.shape, NAN)
    paid[-1] = [-5e-4, 0.0, 0.0, 5e-4]
    # Shorts of A pay, and longs of D: reversal has nothing left on the outer half of either side,
    # and takes the next; momentum is long of A and short of D as before.
    rules = blend(HALVES, funding_filter=FundingFilter(most_bps=3.6))
    expected = [0.125, 0.125 - 0.25, 0.25 - 0.125, -0.125]
    np.testing.assert_allclose(proposed(rules, MOVED, paid).weight, expected, atol=1e-15)
    rules = blend(HALVES, hours_filter=HoursFilter(hours=(1,)))
    assert not proposed(rules, MOVED).weight.any()


def test_a_decision_says_the_share_of_each_sleeve():
    rules = blend(HALVES, exclude=("C",))
    proposal = proposed(rules, MOVED)
    # Of the three that are left, momentum has the best long and the worst short.
    words = [explain(proposal, i, rules) for i in range(4)]
    assert words[0] == "reversal -0.2500, momentum +0.2500"
    assert words[1:3] == ["", "left out: excluded by the document"]
    assert (proposal.score[0], proposal.weight[0]) == (0.0, 0.0)


def test_an_outvoted_share_is_named():
    scorers = HALVES | {"momentum": MOMENTUM | {"weight": 0.25}}
    rules = blend(scorers, **VOTE)
    words = explain(proposed(rules, MOVED), 0, rules)
    assert words == "reversal -0.2500, momentum +0.0625 outvoted"


def test_a_record_adds_up_what_the_own_weights_earned():
    a = followed(Record(), IDS, np.array([100.0, 50.0, 10.0, NAN]), np.array([0.5, -0.5, 0, 0.2]))
    assert (a.count, a.held) == (0, {"A": (0.5, 100.0), "B": (-0.5, 50.0)})
    # 0.5 * 4 % + 0.5 * 2 %; then B alone is held, and without a close it can't be closed.
    b = followed(a, IDS, np.array([104.0, 49.0, 10.0, 1.0]), np.array([0, -0.4, 0, 0]))
    assert (b.count, b.total, b.squares) == (1, pytest.approx(0.03), pytest.approx(9e-4))
    c = followed(b, IDS, np.array([100.0, NAN, 10.0, 1.0]), np.zeros(4))
    assert (c.count, c.total, c.held) == (2, b.total, {"B": (-0.4, 49.0)})
    d = followed(c, IDS, np.array([100.0, 98.0, 10.0, 1.0]), np.zeros(4))
    assert (d.count, d.total, d.held) == (3, pytest.approx(0.03 - 0.4), {})
    assert followed(d, IDS, np.full(4, 1.0), np.zeros(4)) == d


@pytest.mark.parametrize(
    ("counts", "totals", "parts"),
    [
        # Both earned 0.01 in each of 100 decisions, and 100 count as much as the weights.
        ((100, 100), (1.0, 1.0), [0.4, 0.4]),
        # Only the first has earned: half of it has all of 0.8, the other half 0.4.
        ((100, 100), (1.0, -1.0), [0.6, 0.2]),
        # 3 to 1 by the records, which count three quarters.
        ((300, 300), (3.0, 1.0), [0.4 / 4 + 0.6 * 3 / 4, 0.4 / 4 + 0.2 * 3 / 4]),
        # Nobody has earned, or nothing is known.
        ((100, 100), (-1.0, 0.0), [0.4, 0.4]),
        ((0, 0), (0.0, 0.0), [0.4, 0.4]),
    ],
)
def test_parts_by_performance_are_shrunken_to_the_weights(counts, totals, parts):
    found = [
        Record(count=n, total=total, squares=n * 0.02**2)
        for n, total in zip(counts, totals, strict=True)
    ]
    np.testing.assert_allclose(earned_parts(np.array([0.4, 0.4]), found, 100), parts)


def test_who_earned_counts_more_at_the_next_decision_and_the_note_says_so():
    rules = blend(HALVES, combine="performance", prior=1)
    window = Window(0, MOVED, np.ones(MOVED.shape))
    first = propose(rules, LISTINGS, window, XSBlend.scores(rules, window))
    assert list(first.weight) == list(proposed(blend(HALVES), MOVED).weight)
    memory = remembered(rules, IDS, 0, NO_MEMORY, first)
    assert decode(encode(Progress(memory=memory)), "b").memory == memory
    # A falls and D rises by 10 %: reversal has earned, and momentum lost.
    later = np.array([[11.0, 10.5, 9.5, 9.0], [9.9, 10.5, 9.5, 9.9]])
    window = Window(1, later, np.ones(later.shape))
    second = propose(rules, LISTINGS, window, XSBlend.scores(rules, window), memory=memory)
    records = remembered(rules, IDS, 1, memory, second).scorers
    assert records["reversal"].total == pytest.approx(0.5 * 0.1 + 0.5 * 0.1)
    assert records["momentum"].total == pytest.approx(-0.25 * 0.1 * 2)
    assert second.parts == {"reversal": pytest.approx(0.75), "momentum": pytest.approx(0.25)}
    assert in_words(second) == "scorers count by performance: reversal 0.750, momentum 0.250"
    equal = propose(rules, LISTINGS, window, XSBlend.scores(rules, window)).shares
    np.testing.assert_allclose(second.shares, equal * [[1.5], [0.5]])


def test_a_memory_of_an_older_journal_has_no_records():
    old = b'{"done":5,"memory":{"instruments":{"A":{"weight":0.1,"left":3}},"regime":"own_trend"}}'
    memory = decode(old, "b").memory
    assert (memory.scorers, memory.instruments["A"].cut) == ({}, 0)


@pytest.mark.parametrize("seed", range(5))
def test_a_sleeve_is_its_strategy_alone_times_its_part(seed):
    random = np.random.default_rng(seed)
    calm = {"weighting": "inverse_volatility", "volatility_lookback": 9, "fraction": 0.5}
    scorers = {
        "reversal": {**REVERSAL, "weight": 0.5, "params": {"lookback": 12} | calm},
        "momentum": {**MOMENTUM, "weight": 0.25, "params": {"lookbacks": [2, 5]}},
        "carry": {**CARRY, "weight": 0.25, "params": CARRY["params"] | {"enter": 0.0, "leave": 0}},
    }
    rules = blend(scorers, interval="1h", max_weight=0.15)
    close = np.exp(random.normal(0, 0.1, (13, 4)).cumsum(axis=0))
    close[random.integers(0, 13, 2), random.integers(0, 4, 2)] = NAN
    funding = np.where(random.random(close.shape) < 0.5, random.normal(0, 1, close.shape), NAN)
    together = proposed(rules, close, funding)
    assert XSBlend.rows_for_scores(rules) == 13
    for sleeve, share in zip(rules.sleeves, together.shares, strict=True):
        rows = {"reversal": 13, "momentum": 6, "carry": 6}[sleeve.name]
        window = Window(0, close[-rows:], close[-rows:], funding=funding[-rows:])
        scores = sleeve.ranking.scores(sleeve.rules, window)
        alone = propose(sleeve.rules, LISTINGS, window, scores)
        assert list(share) == list(sleeve.part * alone.weight)
        assert (together.standing[alone.standing == Standing.IN] == Standing.IN).all()


WRONG = """\
kind: setup
name: wrong
strategies:
  blend:
    use: strategies.blend:XSBlend
    params:
      fraction: 0.3
      bands: {}
      scorers:
        reversal:
          use: strategies.xs_reversal:XSReversal
          weight: 0.7
          params: {lookbak: 2, interval: 1h, regime: {}}
        momentum:
          use: strategies.xs_momentum:XSMomentun
          weight: 0.2
        carry:
          use: strategies.carry:Carry
          weight: 0.2
          params:
            leave: 0.5
        guard: {use: "strategies.blend:XSBlend", weight: 0.1}
        mine: {use: "nobody.knows:Me", weight: 0}
      neutral: {max_net: 0.1}
"""


def test_a_scorers_parameters_are_checked_by_its_own_config_at_their_lines(tmp_path):
    file = tmp_path / "wrong.yaml"
    file.write_text(WRONG)
    with pytest.raises(DocumentErrors) as error:
        load(file)
    inner = "strategies.blend.params.scorers"
    found = {(p.line, p.path.removeprefix(inner), p.message) for p in error.value.problems}
    assert {(line, path) for line, path, _ in found} == {
        (7, "strategies.blend.params.fraction"),
        (9, ""),
        (13, ".reversal.params.lookbak"),
        (8, "strategies.blend.params.bands"),
        (13, ".reversal.params.interval"),
        (13, ".reversal.params.regime"),
        (15, ".momentum.use"),
        (21, ".carry.params.leave"),
        (22, ".guard.use"),
        (22, ".guard.params.scorers"),
        (23, ".mine.use"),
    }
    assert (9, "", "weights must add up to at most 1, and are 1.2") in found
    assert (13, ".reversal.params.interval", "is the blend's: write it beside scorers") in found
    one_ranking = "is for a strategy with one ranking, not for a blend"
    assert (8, "strategies.blend.params.bands", one_ranking) in found
    assert (13, ".reversal.params.regime", one_ranking) in found


@pytest.mark.parametrize("allow", [[], ["tests"]])
def test_a_scorer_of_ones_own_needs_its_package_allowed(write_run, allow):
    own = {"use": "tests.backtests.panel_readers:EveryArray", "weight": 1.0, "params": {"rows": 3}}
    use = {"use": "strategies.blend:XSBlend", "params": {"scorers": {"own": own}}}
    file = write_run(strategies={"blend": use}, allow=allow)
    if allow:
        assert load(file).document.strategies["blend"].params["scorers"]["own"] == own
    else:
        with pytest.raises(DocumentErrors, match="package 'tests' is not allowed"):
            load(file)
