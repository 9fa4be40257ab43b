import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from strategies.signals.parameters import Bands, Names
from strategies.signals.selection import Sides, choose_sides, names_a_side, side_counts, trend_sides

NAN = np.nan
# Mean 0, standard deviation sqrt(20 / 6) = 1.83: z of 3 is 1.64, of 1 is 0.55, of 0 is 0.
SCORE = np.array([3.0, 1.0, NAN, 0.0, 0.0, -1.0, -3.0])


def letters(mask):
    return "".join(name for name, there in zip("abcdefg", mask, strict=True) if there)


def mask(names):
    return np.array([name in names for name in "abcdefg"])


ALL = Sides(mask("abcdefg"), mask("abcdefg"))


@pytest.mark.parametrize(
    ("count", "rules", "longs", "shorts"),
    [
        (1, {}, "a", "g"),
        (2, {}, "ab", "fg"),
        # Three of six a side at most; of equals the first in order ranks higher.
        (9, {}, "abd", "efg"),
        (2, {"side": "long_only"}, "ab", ""),
        (9, {"side": "long_only"}, "abdefg", ""),
        (None, {}, "abdefg", "abdefg"),
        (2, {"side": "by_sign"}, "ab", "fg"),
        (9, {"side": "by_sign", "allowed": Sides(mask("bcdefg"), mask("abcdef"))}, "b", "f"),
        # The next one takes the place, but none of the other half.
        (1, {"allowed": Sides(mask("bdefg"), mask("abcde"))}, "b", "e"),
        (3, {"allowed": Sides(mask("defg"), mask("abcd"))}, "d", ""),
        (None, {"allowed": Sides(mask("ab"), mask("fg"))}, "ab", "fg"),
        # Only the extremes are far enough out; what is held may be nearer.
        (3, {"bands": Bands(entry=0.65, exit=0.45)}, "a", "g"),
        (3, {"bands": Bands(entry=0.65, exit=0.45), "held": "b"}, "ab", "g"),
        (3, {"bands": Bands(entry=0.65, exit=0.60), "held": "b"}, "a", "g"),
        # What is held goes first, also before a better one; short of b is no reason to be long.
        (1, {"bands": Bands(entry=0.5, exit=0.5), "held": "b"}, "b", "g"),
        (3, {"bands": Bands(entry=0.65, exit=0.45), "held": "", "short": "bf"}, "a", "fg"),
    ],
)
def test_sides_by_hand(count, rules, longs, shorts):
    rules = dict(rules)
    if "held" in rules:
        rules["held"] = 0.1 * mask(rules["held"]) - 0.2 * mask(rules.pop("short", ""))
    got = choose_sides(SCORE, count and (count, count), **rules)
    assert (letters(got.long), letters(got.short)) == (longs, shorts)


TREND = np.array([3.0, 1.0, NAN, 0.0, 0.6, -0.5, -2.0])


@pytest.mark.parametrize(
    ("count", "rules", "longs", "shorts"),
    [
        # Two in all, whatever their side; four; all that go anywhere.
        (1, {}, "a", "g"),
        (2, {}, "abe", "g"),
        (None, {}, "abe", "fg"),
        (1, {"side": "long_only"}, "a", ""),
        (1, {"allowed": Sides(mask("abcdefg"), mask("abcdef"))}, "ab", ""),
        # In the trend's own units; f is held, and goes first.
        (9, {"bands": Bands(entry=0.65, exit=0.45)}, "ab", "g"),
        (9, {"bands": Bands(entry=0.65, exit=0.45), "held": -0.1 * mask("f")}, "ab", "fg"),
        (1, {"bands": Bands(entry=0.65, exit=0.45), "held": -0.1 * mask("f")}, "a", "f"),
    ],
)
def test_sides_of_own_trends_by_hand(count, rules, longs, shorts):
    got = trend_sides(TREND, count and (count, count), **rules)
    assert (letters(got.long), letters(got.short)) == (longs, shorts)


@pytest.mark.parametrize(
    ("weighting", "fraction", "side", "counts"),
    [
        ("equal", 0.2, "long_short", (1, 1)),
        ("equal", 0.01, "long_short", (1, 1)),
        ("equal", 0.5, "long_only", (3, 3)),
        ("rank", 0.5, "long_short", None),
        ("zscore", 0.4, "long_short", (2, 2)),
        # Of two above zero and two below.
        ("rank", 0.5, "by_sign", (1, 1)),
        ("equal", 1.0, "by_sign", (2, 2)),
    ],
)
def test_the_fraction_gives_the_number_of_a_side(weighting, fraction, side, counts):
    assert side_counts(SCORE, weighting, fraction, side) == counts


def test_nobody_eligible_has_no_side():
    for score in (np.full(3, NAN), np.array([])):
        got = choose_sides(score, (2, 2), bands=Bands())
        assert not got.long.any()
        assert not got.short.any()


@pytest.mark.parametrize(
    ("dispersion_bps", "names"),
    [(0, 2), (100, 2), (149, 2), (150, 3), (300, 4), (500, 6), (9000, 6), (NAN, 2)],
)
def test_more_dispersion_more_names(dispersion_bps, names):
    rules = Names(least=2, most=6, low_bps=100, high_bps=500)
    assert names_a_side(rules, dispersion_bps / 1e4) == names


def test_bounds_that_contradict_each_other_are_named():
    assert [field for field, _ in Names(least=3, most=2, high_bps=35).check()] == [
        "most",
        "high_bps",
    ]
    assert Bands(entry=0.4, exit=0.5).check() == [("exit", "must not exceed entry, which is 0.4")]
    assert not Bands().check() + Names().check()


@given(seed=st.integers(0, 9999), count=st.integers(1, 9), size=st.integers(0, 20))
def test_sides_swap_with_the_scores_and_follow_a_permutation(seed, count, size):
    random = np.random.default_rng(seed)
    score, held = random.normal(size=size), random.choice([-0.1, 0.0, 0.1], size)
    allowed = Sides(random.random(size) < 0.8, random.random(size) < 0.8)
    rules = {"allowed": allowed, "held": held, "bands": Bands(entry=0.5, exit=0.2)}
    got = choose_sides(score, (count, count), **rules)
    assert not (got.long & got.short).any()
    assert got.long.sum() <= count
    assert not (got.long & ~allowed.long).any()
    mirrored = choose_sides(
        -score,
        (count, count),
        **rules | {"held": -held, "allowed": Sides(allowed.short, allowed.long)},
    )
    np.testing.assert_array_equal(mirrored.long, got.short)
    np.testing.assert_array_equal(mirrored.short, got.long)
    order = random.permutation(size)
    moved = choose_sides(
        score[order],
        (count, count),
        allowed=Sides(allowed.long[order], allowed.short[order]),
        held=held[order],
        bands=rules["bands"],
    )
    np.testing.assert_array_equal(moved.long, got.long[order])
