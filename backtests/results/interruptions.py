"""What ended a run's trading before its window: liquidation, halts, and data that end."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from math import inf
from typing import Any

import pyarrow as pa

from actors.measures import DAY
from backtests.results.summary_text import few, when
from catalog.instruments import InstrumentInfo
from config.durations import HOUR_NS
from strategies.messages import Action

LONG = 0.2
"""Part of the window from which halts that ended again are named."""
IDLE_DAYS = 30


@dataclass(frozen=True)
class Interruption:
    """A short label and value, and a sentence."""

    label: str
    value: str
    words: str


def interruptions(
    tables: dict[str, pa.Table],
    infos: Sequence[InstrumentInfo],
    liquidated_at: int | None,
    start: int,
    end: int,
) -> list[Interruption]:
    """Return what the reader must know before any figure; times in UNIX nanoseconds (UTC)."""
    found = []
    if liquidated_at is not None:
        at = when(liquidated_at)
        found.append(Interruption("liquidated", at, f"The account was liquidated at {at}."))
    found += _halts(tables["verdicts"].to_pylist(), start, end)
    fills = tables["fills"].select(["ts", "instrument", "kind"]).to_pylist()
    last = max((fill["ts"] for fill in fills), default=end)
    if not found and end - last > max(IDLE_DAYS * DAY, LONG * (end - start)):
        length = _length(end - last, end - start)
        words = f"Nothing was traded after {when(last)}: {length}."
        found.append(Interruption("last fill", when(last), words))
    delisted = {info.id: info.delisted_ns for info in infos if info.delisted_ns is not None}
    ended = sorted(
        fill["instrument"]
        for fill in fills
        if fill["kind"] == "delisting" and delisted.get(fill["instrument"], inf) - fill["ts"] >= DAY
    )
    if ended:
        count = f"{len(ended)} position{'s' * (len(ended) > 1)}"
        words = (
            f"{count} ({few(ended)}) closed at the last candle of their data, though no delisting "
            "is known. Import newer data, or end the window earlier."
        )
        found.append(Interruption("closed as data ended", count, words))
    return found


def _halts(verdicts: list[dict[str, Any]], start: int, end: int) -> list[Interruption]:
    """Return each guard's halts that no time ended, and those that took much of the window."""
    stands: dict[tuple[str, str], tuple[int, dict[str, Any]]] = {}
    length: Counter[tuple[str, str]] = Counter()
    for row in verdicts:
        key = row["guard"], row["scope"]
        if Action[row["action"].upper()] >= Action.HALT_ENTRIES:
            stands[key] = stands[key][0] if key in stands else row["ts"], row
        elif key in stands:
            length[key] += row["ts"] - stands.pop(key)[0]
    for key, (since, _) in stands.items():
        length[key] += end - since
    found = []
    for guard in dict.fromkeys(row["guard"] for row in verdicts):
        standing = [
            (since, row)
            for (key, _), (since, row) in stands.items()
            if key == guard and row["until"] is None and end - since >= DAY
        ]
        if standing:
            since, row = min(standing, key=lambda one: one[0])
            took = _length(end - since, end - start)
            words = (
                f"Guard {guard} halted {_scopes([row['scope'] for _, row in standing])} from "
                f"{when(since)} to the end, {took}: no time ends this halt ({row['reason']})."
            )
            found.append(Interruption(f"halted by {guard}", f"{when(since)[:10]}, {took}", words))
            continue
        much = {
            scope: took
            for (key, scope), took in length.items()
            if key == guard and took > LONG * (end - start)
        }
        if much:
            took = _length(max(much.values()), end - start)
            words = f"Guard {guard} halted {_scopes(list(much))} for {took} in all."
            found.append(Interruption(f"halted by {guard}", took, words))
    return found


def _scopes(scopes: list[str]) -> str:
    names = [scope.partition(":")[2] for scope in scopes if scope != "desk"]
    if len(names) < len(scopes):
        return "the desk"
    return f"{len(names)} of its scopes ({few(names)})" if len(names) > 1 else names[0]


def _length(part: int, whole: int) -> str:
    """Return a part of the window, in hours under two days."""
    out_of = f"{whole / DAY:,.0f} days" if whole >= 2 * DAY else f"{whole / HOUR_NS:.3g} h"
    if part < 2 * DAY:
        return f"{part / HOUR_NS:.3g} h of {out_of}"
    return f"{part / DAY:,.0f} of {out_of}"
