import pytest
from hypothesis import given
from hypothesis import strategies as st

from strategies.order_ids import (
    LONGEST,
    Owner,
    base36,
    numbered,
    order_id,
    own_key,
    owner_of,
    prefix_of,
    session_of,
    session_start,
)

TAGS, KEYS = (st.text("abcz019", min_size=1, max_size=n) for n in (4, 8))


@pytest.mark.parametrize(
    ("number", "digits"), [(0, "0"), (9, "9"), (10, "a"), (35, "z"), (36, "10"), (46655, "zzz")]
)
def test_numbers_are_written_in_base_36(number, digits):
    assert base36(number) == digits
    assert int(digits, 36) == number
    with pytest.raises(ValueError, match="zero or above"):
        base36(-1 - number)


def test_an_id_carries_its_owner_session_and_count_in_the_characters_that_bybit_allows():
    longest = order_id("abcd", "reversal", base36(36**9 - 1), 36**12 - 1)
    assert len(longest) == LONGEST == 36
    assert owner_of(longest) == Owner("abcd", "reversal")
    # 2026-11-21 00:00:00.001 UTC in milliseconds.
    session = session_of(1_795_219_200_001_999_999)
    assert session == base36(1_795_219_200_001)
    assert order_id("prac", "reversal", session, 71) == f"prac-reversal-{session}-1z"
    assert session_start(f"prac-reversal-{session}-1z") == 1_795_219_200_001_000_000
    assert session_start("prac-reversal-1") is None


@pytest.mark.parametrize(
    ("tag", "key", "session", "number"),
    [
        ("abcd", "reversal", "z" * 9, 36**12),
        ("abcde", "r", "1", 1),
        ("a", "reversals", "1", 1),
        ("A", "r", "1", 1),
        ("a", "r-s", "1", 1),
        ("", "r", "1", 1),
        ("a", "r", "", 1),
    ],
)
def test_an_id_without_room_or_of_another_form_is_refused(tag, key, session, number):
    with pytest.raises(ValueError):
        order_id(tag, key, session, number)


@pytest.mark.parametrize(
    "name",
    [
        "",
        "O-20261121-141943-001-rev-1",  # The engine's own ids.
        "V-LIQ-reversal-1",  # The simulated venue's.
        "b1f6a0a2-0b6b-4c6a-b0b5-0f5ad0c0c7a1",  # A manual order.
        "bt-rev-1",
        "bt-rev-1-2-3",
        "bt-rev-1-2\n",
    ],
)
def test_an_id_that_no_node_of_ours_made_has_no_owner(name):
    assert owner_of(name) is None


@given(TAGS, KEYS, st.integers(0, 36**9 - 1), st.integers(0, 36**12 - 1))
def test_every_id_leads_back_to_its_owner(tag, key, start_ms, number):
    made = order_id(tag, key, base36(start_ms), number)
    assert owner_of(made) == (tag, key)
    assert own_key(tag, made) == key
    assert own_key(f"{tag}x", made) is None
    assert made.startswith(prefix_of(tag, key))
    assert numbered(order_id(tag, key, base36(start_ms), 0)[:-1], number) == made


@given(st.tuples(TAGS, KEYS), st.tuples(TAGS, KEYS))
def test_no_prefix_begins_another_owners_ids(one, other):
    assert (one == other) or not order_id(*one, "1", 1).startswith(prefix_of(*other))
