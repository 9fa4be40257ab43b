"""Whether patterns of instrument ids have a name in common."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

_LETTERS = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-")
_WILD = "*?["


def is_literal(pattern: str) -> bool:
    """Return whether the pattern is one name."""
    return not any(sign in pattern for sign in _WILD)


def intersect(patterns: Sequence[str]) -> bool:
    """Return whether some name matches all the patterns at once.

    The patterns are walked side by side, one letter at a time; a ``*`` may stay where it is.

    Examples
    --------
    >>> intersect(["BTC*", "*-LINEAR.BYBIT"]), intersect(["BTC*", "ETH*"])
    (True, False)
    """
    rows = [_tokens(pattern) for pattern in patterns]
    start = (0,) * len(rows)
    seen, waiting = {start}, [start]
    while waiting:
        state = waiting.pop()
        if all(at == len(row) for at, row in zip(state, rows, strict=True)):
            return True
        for following in _next(state, rows):
            if following not in seen:
                seen.add(following)
                waiting.append(following)
    return False


def _next(
    state: tuple[int, ...], rows: Sequence[tuple[frozenset[str] | None, ...]]
) -> list[tuple[int, ...]]:
    following = []
    letters, moved = _LETTERS, list(state)
    for index, (at, row) in enumerate(zip(state, rows, strict=True)):
        if at == len(row):
            letters = frozenset()
            continue
        token = row[at]
        if token is None:
            following.append((*state[:index], at + 1, *state[index + 1 :]))
        else:
            letters &= token
            moved[index] += 1
    if letters:
        following.append(tuple(moved))
    return following


@cache
def _tokens(pattern: str) -> tuple[frozenset[str] | None, ...]:
    """Return, for each place of the pattern, the letters it takes; None for a ``*``."""
    tokens: list[frozenset[str] | None] = []
    at = 0
    while at < len(pattern):
        sign = pattern[at]
        close = pattern.find("]", at + 2) if sign == "[" else -1
        if close > 0:
            body = pattern[at + 1 : close]
            inside = _range(body.removeprefix("!"))
            tokens.append(_LETTERS - inside if body.startswith("!") else inside)
            at = close
        else:
            tokens.append(None if sign == "*" else _LETTERS if sign == "?" else frozenset((sign,)))
        at += 1
    return tuple(tokens)


def _range(body: str) -> frozenset[str]:
    letters: set[str] = set()
    at = 0
    while at < len(body):
        if body[at + 1 : at + 2] == "-" and at + 2 < len(body):
            letters.update(map(chr, range(ord(body[at]), ord(body[at + 2]) + 1)))
            at += 3
        else:
            letters.add(body[at])
            at += 1
    return frozenset(letters)
