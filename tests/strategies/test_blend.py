import numpy as np
import pytest

from config.errors import DocumentErrors
from config.load import load
from strategies.blend import Scorer, XSBlend, XSBlendConfig
from strategies.rebalance.blocks import Partial
from strategies.rebalance.history import Window
from strategies.rebalance.propose import Listings, explain, propose
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
