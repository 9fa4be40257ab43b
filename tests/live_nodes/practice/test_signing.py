"""Signatures, checked against ones worked out with openssl."""

from __future__ import annotations

import hashlib
import hmac
from typing import Any

import pytest

from live_nodes.practice.exchange.model import BybitRefusal
from live_nodes.practice.wire.access import Keyring

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
        ({"X-BAPI-SIGN": ""}, "body", NOW, 10001),
        ({"X-BAPI-TIMESTAMP": "soon"}, "body", NOW, 10001),
        ({}, "body", NOW + 5_001, 10002),
        ({}, "body", NOW - 1_000, 10002),
    ],
)
def test_what_is_not_signed_well_is_refused_with_bybit_s_code(
    changed: dict[str, str], payload: str, now: int, code: int
) -> None:
    with pytest.raises(BybitRefusal) as refusal:
        KEYS.request(_headers("body", **changed), payload, now)
    assert refusal.value.code == code


def test_a_request_is_good_for_its_window_and_up_to_a_second_ahead() -> None:
    for now in (NOW + 5_000, NOW - 999):
        assert KEYS.request(_headers("body"), "body", now) == "anna"


def test_a_refused_signature_tells_no_secret() -> None:
    with pytest.raises(BybitRefusal) as refusal:
        KEYS.request(_headers("body", **{"X-BAPI-SIGN": "0" * 64}), "body", NOW)
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
