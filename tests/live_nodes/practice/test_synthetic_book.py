"""The house's book: drawn step by step it is what it would be drawn afresh."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from live_nodes.practice.market.synthetic_book import SyntheticBook
from tests.live_nodes.practice.still_market import SYMBOLS

BEGAN_MS = 1_700_000_000_000
DEPTH, LASTING_MS, SEED = 10, 20, 7

steps = st.lists(
    st.tuples(
        st.integers(-3, 60),  # Milliseconds that pass; a clock may be set back.
        st.sampled_from([0, 0, 0, 1, -7, 400]),  # Ticks that the price moves.
        st.sampled_from([20_000.0, 20_000.0, 5_000.0]),
    ),
    min_size=1,
    max_size=30,
)


@given(steps)
def test_a_book_is_a_pure_function_of_price_worth_and_time(
    taken: list[tuple[int, int, float]],
) -> None:
    kept = SyntheticBook(SYMBOLS[0], DEPTH, LASTING_MS, SEED)
    now, bid = BEGAN_MS, 600_000
    for passed, moved, worth in taken:
        now, bid = now + passed, bid + moved
        afresh = SyntheticBook(SYMBOLS[0], DEPTH, LASTING_MS, SEED)
        assert kept.draw(bid, bid + 12, worth, now) == afresh.draw(bid, bid + 12, worth, now)


def test_from_one_millisecond_to_the_next_few_levels_change() -> None:
    book = SyntheticBook(SYMBOLS[0], DEPTH, LASTING_MS, SEED)
    before = book.draw(600_000, 600_012, 20_000.0, BEGAN_MS)[0]
    changes = []
    for n in range(1, LASTING_MS + 1):
        after = book.draw(600_000, 600_012, 20_000.0, BEGAN_MS + n)[0]
        changes.append(sum(a != b for a, b in zip(before, after, strict=True)))
        before = after
    # Each of ten levels changes once in its twenty milliseconds.
    assert sum(changes) == DEPTH
    assert max(changes) <= 4
