"""Counting requests as Bybit's table does."""

from __future__ import annotations

from live_nodes.practice.wire.access import RateLimits

CREATE = "/v5/order/create"


def test_the_eleventh_order_of_a_second_is_refused_until_the_first_is_a_second_old() -> None:
    limits = RateLimits()
    taken = [limits.take("a", CREATE, False, 1_000 + n) for n in range(11)]
    assert [one.granted for one in taken if one] == [1] * 10 + [0]
    assert [one.left for one in taken if one] == [9, 8, 7, 6, 5, 4, 3, 2, 1, 0, 0]
    assert taken[10] is not None
    assert taken[10].reset_ms == 2_000
    again = limits.take("a", CREATE, False, 2_000)
    assert again is not None
    assert again.granted == 1


def test_accounts_paths_and_products_are_counted_apart() -> None:
    limits = RateLimits()
    for _ in range(10):
        limits.take("a", CREATE, False, 0)
    for other in (("b", CREATE, False), ("a", "/v5/order/cancel", False), ("a", CREATE, True)):
        found = limits.take(*other, 0)
        assert found is not None
        assert found.granted == 1


def test_a_batch_passes_as_far_as_the_second_has_room() -> None:
    limits = RateLimits()
    first = limits.take("a", "/v5/order/create-batch", False, 0, count=8)
    second = limits.take("a", "/v5/order/create-batch", False, 0, count=8)
    assert first is not None
    assert second is not None
    assert (first.granted, first.left) == (8, 2)
    assert (second.granted, second.left) == (2, 0)


def test_headers_tell_the_limit_what_is_left_and_when_there_is_room_again() -> None:
    limits = RateLimits()
    allowance = limits.take("a", CREATE, False, 1_672_738_134_824)
    assert allowance is not None
    assert allowance.headers() == {
        "X-Bapi-Limit": "10",
        "X-Bapi-Limit-Status": "9",
        "X-Bapi-Limit-Reset-Timestamp": "1672738134824",
    }


def test_paths_that_bybit_does_not_list_are_not_limited() -> None:
    assert RateLimits().take("a", "/v5/market/time", False, 0) is None


def test_an_address_with_more_than_600_requests_in_five_seconds_is_banned_for_a_while() -> None:
    limits = RateLimits(ban_ms=10_000)
    assert all(limits.take_address("here", n) for n in range(600))
    assert not limits.take_address("here", 700)
    assert not limits.take_address("here", 10_699)
    assert limits.take_address("here", 10_700)
    assert limits.take_address("there", 700)
