from __future__ import annotations

import pytest

from actors.guards.core.params import span_ns


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0s", 0),
        ("1ms", 10**6),
        ("500ms", 5 * 10**8),
        ("5s", 5 * 10**9),
        ("3m", 180 * 10**9),
        ("1h", 3600 * 10**9),
        ("2d", 2 * 86400 * 10**9),
    ],
)
def test_a_length_of_time_is_read_in_its_unit(text: str, expected: int) -> None:
    assert span_ns(text) == expected


@pytest.mark.parametrize(
    "text", ["", "5", "s", "05s", "1.5s", "-1s", "5 s", "5us", "1w", "123456s"]
)
def test_what_is_no_length_of_time_is_refused_in_words(text: str) -> None:
    with pytest.raises(ValueError, match="such as 500ms, 10s or 3m"):
        span_ns(text)
