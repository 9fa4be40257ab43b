"""Rate limits count as Bybit's table does; signatures are checked as Bybit checks them."""

from __future__ import annotations

import hashlib
import hmac
from typing import Any

import pytest

from live_nodes.practice.exchange.model import BybitRefusal
from live_nodes.practice.wire.access import BAN_MS, Allowance, Keyring, RateLimits

CREATE = "/v5/order/create"


def take(limits: RateLimits, *request: Any, count: int = 1) -> Allowance:
    """Take an allowance of (account, path, spot or not, time)."""
    found = limits.take(*request, count=count)
    assert found is not None
    return found


def test_the_eleventh_order_of_a_second_is_refused_until_the_first_is_a_second_old() -> None:
    limits = RateLimits()
    taken = [take(limits, "a", CREATE, False, 1_000 + n) for n in range(11)]
    assert [one.granted for one in taken] == [1] * 10 + [0]
    assert [one.left for one in taken] == [9, 8, 7, 6, 5, 4, 3, 2, 1, 0, 0]
    assert taken[10].reset_ms == 2_000
    # Accounts, paths and products are counted apart.
    for other in (("b", CREATE, False), ("a", "/v5/order/cancel", False), ("a", CREATE, True)):
        assert take(limits, *other, 1_011).granted == 1
    assert take(limits, "a", CREATE, False, 2_000).granted == 1


def test_a_batch_passes_as_far_as_the_second_has_room() -> None:
    limits = RateLimits()
    for expected in ((8, 2), (2, 0)):
        found = take(limits, "a", "/v5/order/create-batch", False, 0, count=8)
        assert (found.granted, found.left) == expected


def test_headers_have_the_limit_what_is_left_and_the_reset_time() -> None:
    assert take(RateLimits(), "a", CREATE, False, 1_672_738_134_824).headers() == {
        "X-Bapi-Limit": "10",
        "X-Bapi-Limit-Status": "9",
        "X-Bapi-Limit-Reset-Timestamp": "1672738134824",
    }


def test_paths_that_bybit_does_not_list_are_not_limited() -> None:
    assert RateLimits().take("a", "/v5/market/time", False, 0) is None


def test_an_address_with_more_than_600_requests_in_five_seconds_is_banned_for_a_while() -> None:
    limits = RateLimits()
    assert all(limits.take_address("here", n) for n in range(600))
    assert not limits.take_address("here", 700)
    assert not limits.take_address("here", 699 + BAN_MS)
    assert limits.take_address("here", 700 + BAN_MS)
    assert limits.take_address("there", 700)


NOW = 1_700_000_000_000
KEYS = Keyring({"anna": ("key-a", "secret-a"), "bert": ("key-b", "secret-b")})


def _sign(text: str, secret: str = "secret-a") -> str:
    return hmac.new(secret.encode(), text.encode(), hashlib.sha256).hexdigest()


def _headers(payload: str, **changed: str) -> dict[str, str]:
    headers = {
        "X-BAPI-API-KEY": "key-a",
        "X-BAPI-TIMESTAMP": str(NOW),
        "X-BAPI-RECV-WINDOW": "5000",
        "X-BAPI-SIGN": _sign(f"{NOW}key-a5000{payload}"),
    }
    return headers | changed


def test_a_request_signed_as_openssl_signs_it_is_anna_s() -> None:
    # printf '1700000000000key-a5000category=linear' | openssl dgst -sha256 -hmac secret-a
    sign = "48ff02e6e272b64c26b45a2b3e8ec7878e75530e20437bcb6453345b56344e84"
    headers = _headers("", **{"X-BAPI-SIGN": sign})
    assert KEYS.request(headers, "category=linear", NOW) == "anna"


@pytest.mark.parametrize(
    ("changed", "payload", "now", "code"),
    [
        ({}, "other", NOW, 10004),
        ({"X-BAPI-API-KEY": "key-b"}, "body", NOW, 10004),
        ({"X-BAPI-API-KEY": "key-c"}, "body", NOW, 10003),
        ({"X-BAPI-SIGN": ""}, "body", NOW, 10003),
        ({"X-BAPI-SIGN": "0" * 64}, "body", NOW, 10004),
        ({"X-BAPI-TIMESTAMP": "²"}, "body", NOW, 10001),
        ({"X-BAPI-TIMESTAMP": "9" * 5_000}, "body", NOW, 10001),
        ({}, "body", NOW + 5_001, 10002),
        ({}, "body", NOW + 5_000, None),
        ({}, "body", NOW - 1_000, 10002),
        ({}, "body", NOW - 999, None),
    ],
)
def test_what_is_not_signed_well_is_refused_with_bybit_s_code_and_without_a_secret(
    changed: dict[str, str], payload: str, now: int, code: int | None
) -> None:
    def check() -> str:
        return KEYS.request(_headers("body", **changed), payload, now)

    if code is None:
        assert check() == "anna"
        return
    with pytest.raises(BybitRefusal) as refusal:
        check()
    assert refusal.value.code == code
    assert "secret-a" not in refusal.value.message
    assert _sign(f"{NOW}key-a5000body") not in refusal.value.message


@pytest.mark.parametrize(
    ("args", "code"),
    [
        (["key-a", NOW + 1_000, _sign(f"GET/realtime{NOW + 1_000}")], None),
        (["key-a", NOW, _sign(f"GET/realtime{NOW}")], 10001),
        (["key-c", NOW + 1_000, "x"], 10003),
        (["key-a", NOW + 1_000, "x"], 10004),
        (["key-a"], 10001),
        ("key-a", 10001),
    ],
)
def test_a_login_needs_key_expiry_and_signature(args: Any, code: int | None) -> None:
    if code is None:
        assert KEYS.login(args, NOW) == "anna"
        return
    with pytest.raises(BybitRefusal) as refusal:
        KEYS.login(args, NOW)
    assert refusal.value.code == code
