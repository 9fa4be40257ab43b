"""Order ids: the sender can be read from an id, at the venue and after a restart.

``{tag}-{key}-{session}-{n}``: the node's tag, the strategy's key, its start in milliseconds and a
counter, the last two in base 36. Bybit takes at most 36 characters as ``orderLinkId``
(https://bybit-exchange.github.io/docs/v5/order/create-order); the longest id has 36: 4 + 1 + 8 + 1
+ 9 + 1 + 12.
"""

from __future__ import annotations

import re
from typing import NamedTuple

LONGEST = 36
TAG = r"[a-z0-9]{1,4}"
KEY = r"[a-z0-9]{1,8}"
BACKTEST_TAG = "bt"
_SESSION_DIGITS = 9  # Base 36 milliseconds: enough until the year 5188.
_COUNT_DIGITS = 12
_CLOSER = "z"
_PROTECTIVE = "z"
_ORDER_ID = re.compile(
    rf"({TAG})-({KEY})-([0-9a-z]{{1,{_SESSION_DIGITS}}})-([0-9a-z]{{1,{_COUNT_DIGITS}}})"
)
_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"


class Owner(NamedTuple):
    """Owner of an order: the node's tag and the strategy's key."""

    tag: str
    key: str


def base36(number: int) -> str:
    """Return a whole number, zero or above, in digits 0-9 and a-z.

    Raises ValueError if the number is negative.
    """
    if number < 0:
        raise ValueError(f"expected a number of zero or above, was {number}")
    digits = ""
    while number >= 36:
        number, digit = divmod(number, 36)
        digits = _DIGITS[digit] + digits
    return _DIGITS[number] + digits


def session_of(start_ns: int) -> str:
    """Return the session part of order ids for a start time, UNIX nanoseconds (UTC)."""
    return base36(start_ns // 1_000_000)


def closers_session(start_ns: int) -> str:
    """Return the session part of order ids of the desk's closer, and of commands that trade.

    The closer closes positions under the strategies' keys. Before the year 5188 no strategy's
    session equals one of the closer's, so that ids are unique and show who made them.
    """
    return f"{_CLOSER}{session_of(start_ns)}"


def is_closers(client_order_id: str) -> bool:
    """Whether the desk's closer made the order, not the strategy whose position it closes."""
    match = _ORDER_ID.fullmatch(client_order_id)
    return match is not None and len(match[3]) == _SESSION_DIGITS and match[3][0] == _CLOSER


def session_start(client_order_id: str) -> int | None:
    """Return when a strategy's session began, UNIX nanoseconds (UTC); None for others, closers."""
    match = _ORDER_ID.fullmatch(client_order_id)
    if match is None or is_closers(client_order_id):
        return None
    return int(match[3], 36) * 1_000_000


def prefix_of(tag: str, key: str) -> str:
    """Return the prefix of the order ids of one strategy on one node.

    Raises ValueError if tag or key have wrong characters or a wrong length.
    """
    for pattern, word, what in ((TAG, tag, "tag"), (KEY, key, "key")):
        if not re.fullmatch(pattern, word):
            raise ValueError(f"{what} {word!r} does not match {pattern}")
    return f"{tag}-{key}-"


def order_id(tag: str, key: str, session: str, number: int) -> str:
    """Return the order id of a number in a session.

    Raises ValueError if it is longer than Bybit allows, or `owner_of` could not read it.
    """
    made = f"{prefix_of(tag, key)}{session}-{base36(number)}"
    if len(made) > LONGEST or not _ORDER_ID.fullmatch(made):
        raise ValueError(f"{made!r} is no order id of at most {LONGEST} characters")
    return made


def numbered(prefix: str, number: int) -> str:
    """Return a session's order id of that number, from the prefix of `order_id` for 0.

    It runs for every order, so it checks nothing: 36 ** 12 orders fit into a session.
    """
    return prefix + base36(number)


def protective(prefix: str, number: int) -> str:
    """Return the id of a session's protective order, higher than any other order's."""
    return f"{prefix}{_PROTECTIVE}{base36(number):0>{_COUNT_DIGITS - 1}}"


def is_protective(client_order_id: str) -> bool:
    """Whether the order is a protective one, which rests until the position is closed.

    It is read from the id, which survives a restart; tags do not.
    """
    count = client_order_id.rpartition("-")[2]
    return len(count) == _COUNT_DIGITS and count[0] == _PROTECTIVE


def owner_of(client_order_id: str) -> Owner | None:
    """Return the owner of an order, None when no node of ours made it."""
    match = _ORDER_ID.fullmatch(client_order_id)
    return None if match is None else Owner(match[1], match[2])


def own_key(tag: str, client_order_id: str) -> str | None:
    """Return the strategy's key when the order id carries the node's tag, else None."""
    owner = owner_of(client_order_id)
    return owner.key if owner is not None and owner.tag == tag else None
