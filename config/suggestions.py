"""Suggestions for wrong values and wrong lines of YAML: what was meant, and how to write it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from fnmatch import fnmatchcase

from config.durations import CLOCK, DURATION, FINE_DURATION, INTERVALS, duration_ns

GLOB = r"^[A-Z0-9*?\[\]!.-]+$"
"""Letters of an instrument id or of a pattern of ids."""
INSTRUMENT = r"^[A-Z0-9]+-(LINEAR|SPOT)\.BYBIT$"
ENVIRONMENT_NAME = r"^[A-Z][A-Z0-9_]{2,63}$"
HOST = r"^[A-Za-z0-9.:-]+$"
FORMS = {
    DURATION: "a duration such as 30s, 5m, 4h or 1d",
    FINE_DURATION: "a duration such as 300ms, 30s, 5m or 4h",
    CLOCK: 'a clock time such as "00:05"',
    GLOB: "an id such as BTCUSDT-LINEAR.BYBIT, or a pattern of ids such as *-LINEAR.BYBIT",
    INSTRUMENT: "an id such as BTCUSDT-LINEAR.BYBIT",
    ENVIRONMENT_NAME: "the name of an environment variable, such as DESK_ALERTS, set in .env",
    HOST: "a host such as 127.0.0.1",
}
"""Words for a regular expression."""
KEYS_ELSEWHERE = (
    "never stands in a document, which is shown and copied: put it into .env as .env.example shows,"
    " and name its variable under account.keys"
)
_SECRET = re.compile(r"^(.*_)?(api_?(key|secret)|secret(_?key)?|password|token)$")
_NUMBER = re.compile(r"^\s*([-+]?\d+(?:\.\d+)?)\s*(%|x|X)\s*$")
_COMMA = re.compile(r"^\s*[-+]?\d+(,\d+)+(\.\d+)?\s*$")
_SPAN = re.compile(r"^(\d+)\s*([a-z]+)$")
_CLOCK = re.compile(r"^(24(?=.00)|[01]?\d|2[0-3])[:.h]([0-5]\d)(:[0-5]\d)?( ?utc|z)?$")
_UNITS = {
    unit: letter
    for letter, names in {
        "s": "s sec secs second seconds",
        "m": "m min mins minute minutes",
        "h": "h hr hrs hour hours",
        "d": "d day days",
    }.items()
    for unit in names.split()
}
_NAMED = {"hourly": "1h", "daily": "1d", "weekly": "7d", "day": "1d", "hour": "1h", "minute": "1m"}


def is_secret(key: object) -> bool:
    """Return whether a key looks as if its value were a secret."""
    return _SECRET.match(str(key).lower()) is not None


def suggest_duration(text: str) -> str:
    """Return the duration that a text means, empty for none.

    Examples
    --------
    >>> [suggest_duration(text) for text in ("1day", "5 min", "2w", "x")]
    ['1d', '5m', '14d', '']
    """
    word = text.strip().lower()
    match = _SPAN.match(word)
    if match is None or int(match[1]) == 0:
        return _NAMED.get(word, "")
    if match[2] in ("w", "week", "weeks"):
        return f"{int(match[1]) * 7}d"
    return f"{int(match[1])}{_UNITS[match[2]]}" if match[2] in _UNITS else ""


def suggest_clock(text: str) -> str:
    """Return ``HH:MM`` for a clock time such as ``0:05``, ``9.30`` or ``24:00``, empty for none."""
    match = _CLOCK.match(text.strip().lower())
    return f"{int(match[1]) % 24:02}:{match[2]}{match[3] or ''}" if match else ""


def suggest_instrument(text: str, ids: Iterable[str] | None = None) -> str:
    """Return the id or pattern that a text means; with `ids`, only one that matches some of them.

    Examples
    --------
    >>> suggest_instrument("BTC/USDT:USDT"), suggest_instrument("btc"), suggest_instrument("*USDT")
    ('BTCUSDT-LINEAR.BYBIT', 'BTCUSDT-LINEAR.BYBIT', '*USDT-LINEAR.BYBIT')
    """
    upper = text.strip().upper()
    if "INVERSE" in upper:
        return ""
    base = re.sub(
        r"-(?!USD[TC]\.)[A-Z]+\.BYBIT$|[/_-]?(PERP|SWAP|LINEAR|SPOT)\b.*|[.:].*", "", upper
    )
    symbol = re.sub(r"[/_-]", "", base)
    product = "SPOT" if "SPOT" in upper else "LINEAR"
    names = [symbol, f"{symbol}T" if symbol.endswith("USD") else f"{symbol}USDT"]
    if symbol.endswith(("USDT", "USDC", "*")):
        names.pop()
    forms = [upper, *(f"{name}-{product}.BYBIT" for name in reversed(names))]
    forms += [f"{name}-SPOT.BYBIT" for name in names]
    if ids is None:
        known: Callable[[str], bool] = re.compile(r"^[A-Z0-9*?\[\]!]+-(LINEAR|SPOT)\.BYBIT$").match  # type: ignore[assignment]
    else:
        listed = tuple(ids)

        def known(form: str) -> bool:
            return any(fnmatchcase(one, form) for one in listed)

    return next((form for form in forms if known(form)), "")


def suggest_spelling(value: object, fits: Callable[[str], object]) -> str:
    """Return the value written in the way that fits, empty for none."""
    text = str(value)
    meant = suggest_duration(text)
    ways = [meant, suggest_clock(text), text.strip().lower(), text.strip().upper()]
    if meant:
        ns = duration_ns(meant)
        ways[1:1] = [name for name, length in INTERVALS.items() if length == ns]
    return next((way for way in ways if way and way != text and fits(way)), "")


def suggest_number(value: object, field: object, *, fraction: bool = True) -> str:
    """Return how to write a number that was given as ``20%``, ``2x`` or ``0,2``, empty for none.

    `field` is the name of its key: one in basis points reads 2 % as 200. A number above 1 in a
    field that must be a fraction, as 20 for 20 %, is answered too.
    """
    if isinstance(value, int | float) and not isinstance(value, bool):
        return f"{value / 100:g} means {value:g} %" if fraction and 1 < value <= 100 else ""
    if not isinstance(value, str):
        return ""
    match = _NUMBER.match(value)
    if meant := suggest_duration(value):
        return f"write {duration_ns(meant) / 1e9:g} where seconds are counted"
    if match is None:
        return "write numbers as 1234.5, without commas" if _COMMA.match(value) else ""
    number = float(match[1])
    if match[2] != "%":
        return f"write {number:g}"
    if str(field).endswith("bps"):
        return f"basis points: {number * 100:g} means {number:g} %"
    return f"{number / 100:g} means {number:g} %"


def yaml_remedy(text: str, line: int, problem: str) -> tuple[int, str]:
    """Return the line (one-based) of a mistake in YAML, and what to do; an empty text for unknown.

    PyYAML found `problem` in `line`.
    """
    lines = text.splitlines()
    for number, row in list(enumerate(lines[:line], 1))[-2:]:
        if "\t" in row[: len(row) - len(row.lstrip())]:
            return number, "tabs can't indent YAML: use spaces"
    row = lines[line - 1] if 0 < line <= len(lines) else ""
    value = row.partition(": ")[2].strip() or row.strip().removeprefix("- ")
    if "'\\t'" in problem:
        return line, "a tab can't stand here: use spaces"
    if re.match(r"\s*[\w-]+:[{\[\w\"']", row):
        return line, "a space must follow the colon"
    if re.search(r"[\[{,]\s*[*@`%&|>]|^[*@`%&]", value):
        return line, "text that begins with one of * @ ` % & needs quotes"
    if "mapping values are not allowed" in problem and ": " in value and value[0] not in "{[":
        return line, "text that holds a colon and a space needs quotes"
    if "quoted scalar" in problem:
        return line, "a quote is not closed"
    if "found '<scalar>'" in problem or "but got '<scalar>'" in problem:
        return line, "a quote, a comma or a bracket is missing before this"
    if "block mapping start" in problem or "mapping values" in problem:
        above = next((r for r in reversed(lines[: line - 1]) if r.split("#")[0].strip()), "")
        here, there = (len(r) - len(r.lstrip()) for r in (row, above))
        return line, (
            f"wrong indent: this line is indented by {here}, the one above by {there};"
            " keys of one mapping begin in one column"
        )
    return line, ""
