"""The adapter's log: what is no fault of its own has no traceback."""

from __future__ import annotations

from unittest.mock import Mock, call

import pytest

from live_nodes.bybit.adapter import QuietLog


@pytest.mark.parametrize(
    ("error", "level"),
    [
        (ValueError("Network error: HTTP request timed out: operation timed out"), "warning"),
        (ValueError("Unexpected HTTP status code 502: sorry"), "warning"),
        (ValueError("Bybit error 10000: server timeout"), "warning"),
        (ValueError("JSON error: invalid type: integer `1`, expected a &str"), "exception"),
        (KeyError("orderId"), "exception"),
    ],
)
def test_only_a_question_without_an_answer_leaves_no_traceback(
    error: Exception, level: str
) -> None:
    log = Mock()
    QuietLog(log).exception("Failed", error)
    said = ("Failed", error) if level == "exception" else (f"Failed: {error}",)
    assert log.mock_calls == [getattr(call, level)(*said)]
