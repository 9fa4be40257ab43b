"""Verdicts of the watch: halts for links, feeds, clock, sweep and positions. Pure.

Each cause is a guard of its own (``node.links``, ``node.clock`` …), so that the end of one cause
does not end the halt of another.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from catalog.instruments import split_id
from config.durations import HOUR_NS, SECOND_NS
from config.errors import some_of
from live_nodes.reconcile.sweep import SweepFinding
from strategies.market_view import skips
from strategies.messages import Action, Verdict

TOPIC = "verdicts.node"
LOST_S = 60
"""Least time between two fetches of a book that lost messages; it doubles each time."""
CROSSED_S = 1.0
"""Longest time that a book may be crossed; for milliseconds between two messages is normal."""


def link_verdict(ready: Mapping[str, bool]) -> Verdict | None:
    """Halt entries while a link is unreliable: orders would leave late, or fills be missed."""
    down = sorted(name for name, is_ready in ready.items() if not is_ready)
    if not down:
        return None
    return _halt("links", "desk", f"{' and '.join(down)} link down")


def clock_verdict(skew: float, limit: float) -> Verdict | None:
    """Return the halt of entries while the clock is off by more than `limit` seconds."""
    if abs(skew) <= limit:
        return None
    reason = f"the venue's clock is {skew:+.3f} s from ours, more than {limit:g} s"
    return _halt("clock", "desk", reason, abs(skew), limit)


def journal_verdict(why: str) -> Verdict | None:
    """Halt entries while the journal can't be written, and cancel them; empty words are none."""
    words = f"the journal can't be written: {why}"
    return _halt("journal", "desk", words, transient=False) if why else None


def fees_verdict(why: str) -> Verdict | None:
    """Return the halt of entries for fees above the expected ones; empty words are none."""
    return _halt("fees", "desk", why, transient=False) if why else None


def margin_verdict(mode: str, expected: str) -> Verdict:
    """Return the halt of entries for an account whose margin mode was changed."""
    reason = (
        f"the account's margin mode is {mode} (must be: {expected}), so that the venue liquidates "
        "by other rules than guards measure by; switch it at the venue, or change "
        "expected.margin_mode and start again"
    )
    return _halt("margin", "desk", reason, None, None, transient=False)


def sweep_verdict(failures: int, limit: int, why: str) -> Verdict | None:
    """Return the halt of entries after `limit` failed sweeps in a row."""
    if failures < limit:
        return None
    reason = f"{failures} comparisons with the venue failed in a row: {why}"
    return _halt("sweep", "desk", reason, failures, limit)


def position_verdicts(findings: Iterable[SweepFinding]) -> list[Verdict]:
    """Return the halts of entries in instruments with an unexplained position."""
    words: dict[str, str] = {}
    for finding in findings:
        words.setdefault(finding.instrument, finding.detail)
    return [
        _halt("position", f"instrument:{name}", words[name], transient=False)
        for name in sorted(words)
    ]


def tag_verdict(findings: Iterable[SweepFinding]) -> Verdict | None:
    """Halt entries for good where another node with the same tag trades on the account."""
    words = next((finding.detail for finding in findings), "")
    return _halt("tag", "desk", words, transient=False) if words else None


def feed_verdicts(silent: Mapping[str, float], limit: float) -> list[Verdict]:
    """Return the halts of entries in instruments whose feed is silent for over `limit` seconds."""
    return [
        _halt("feed", f"instrument:{name}", f"no data for {limit:g} s and more", limit=limit)
        for name in sorted(silent)
    ]


def halt_lines(changes: Iterable[Verdict]) -> list[str]:
    """Return a line for each cause that began or ended, however many instruments it halts.

    >>> silent = feed_verdicts(dict.fromkeys("ABCDE", 31.0), 30)
    >>> halt_lines(silent)
    ['instrument:A, instrument:B, instrument:C and 2 more: no entries: no data for 30 s and more']
    >>> halt_lines(verdict_changes(silent[:1], []))
    ['instrument:A: node.feed no longer halts entries']
    """
    scopes: dict[str, list[str]] = {}
    for change in changes:
        words = f"no entries: {change.reason}"
        if change.action == Action.NONE:
            words = f"{change.guard} no longer halts entries"
        elif change.action == Action.SHRINK:
            words = f"size x {change.multiplier:g}: {change.reason}"
        scopes.setdefault(words, []).append(change.scope)
    return [f"{some_of(names, 3)}: {words}" for words, names in scopes.items()]


def _halt(
    cause: str,
    scope: str,
    reason: str,
    measured: float | None = None,
    limit: float | None = None,
    *,
    transient: bool = True,
) -> Verdict:
    return Verdict(
        action=Action.HALT_ENTRIES,
        scope=scope,
        guard=f"node.{cause}",
        reason=reason,
        measured=measured,
        limit=limit,
        transient=transient,
    )


def verdict_changes(standing: Iterable[Verdict], wanted: Iterable[Verdict]) -> list[Verdict]:
    """Return verdicts to publish: withdrawals (NONE), then new ones (not just a new value).

    A second link that falls beside the first is news, and so is the return of one of them.
    """
    now = {(verdict.guard, verdict.scope): verdict for verdict in wanted}
    own = {(v.guard, v.scope): v for v in standing if v.guard.startswith("node.")}
    gone = [
        Verdict(action=Action.NONE, guard=guard, scope=scope, reason="over")
        for guard, scope in own
        if (guard, scope) not in now
    ]
    return gone + [
        verdict
        for key, verdict in now.items()
        if key not in own
        or (verdict.transient and verdict.measured is None and verdict.reason != own[key].reason)
    ]


ANSWERED_S = 1.0
"""An update so soon after a reconnect came with the new subscription."""


class FeedSilences:
    """Track silent instruments and the links that must reconnect for them; `silence` is seconds."""

    def __init__(self, instruments: Iterable[str], silence: float, now_ns: int) -> None:
        self._updated = dict.fromkeys(instruments, now_ns)
        self._silence_ns = round(silence * SECOND_NS)
        self._renewed: dict[str, int] = {}
        self._tries: dict[str, int] = {}
        """Number of reconnects of the link for each instrument that is silent."""

    def note(self, instrument: str, ts_ns: int) -> None:
        """Record an update of an instrument."""
        if ts_ns > self._updated.get(instrument, ts_ns):
            self._updated[instrument] = ts_ns

    def updated(self) -> dict[str, int]:
        """Return the time of each instrument's last update; any thread may ask."""
        return dict(self._updated)

    def silent(self, now_ns: int) -> dict[str, float]:
        """Return the silent instruments, each with its seconds of silence."""
        return {
            name: (now_ns - updated) / SECOND_NS
            for name, updated in self._updated.items()
            if now_ns - updated >= self._silence_ns
        }

    def to_renew(self, now_ns: int) -> list[str]:
        """Return the public links to reconnect, with a pause between two tries.

        A feed that recovers by itself needs a reconnect too: lost book changes come only with a new
        subscription.
        """
        silent = self.silent(now_ns)
        links = sorted({public_link(name) for name in silent})
        due = [
            link
            for link in links
            if now_ns - self._renewed.get(link, -self._silence_ns) >= self._silence_ns
        ]
        back = self._tries.keys() - silent.keys()
        again = {public_link(name) for name in back if not self._is_cured(name)}
        self._tries = {
            name: self._tries.get(name, 0) + (public_link(name) in due) for name in silent
        }
        due += sorted(again - set(due))
        self._renewed.update(dict.fromkeys(due, now_ns))
        return due

    def _is_cured(self, name: str) -> bool:
        # If the first reconnect did not help, the link was not the cause.
        renewed = self._renewed.get(public_link(name))
        return (
            self._tries[name] == 1
            and renewed is not None
            and 0 <= self._updated[name] - renewed <= ANSWERED_S * SECOND_NS
        )


class BookLosses:
    """Find books that lost a message: Bybit's ids of a book's messages rise by one.

    The adapter does not check them, and goes on with a wrong book. A book is fetched again at once,
    and then ever more seldom, in case an exchange's ids do not rise by one.
    """

    def __init__(self) -> None:
        self._last: dict[Any, int] = {}
        self._lost: set[Any] = set()
        self._again: dict[Any, tuple[int, int]] = {}

    def see(self, instrument: Any, update: int, *, whole: bool) -> None:
        """Take in a message's id, zero for none; ``whole`` for one with the whole book."""
        before, self._last[instrument] = self._last.get(instrument, 0), update
        if whole:
            self._lost.discard(instrument)
        elif skips(before, update):
            self._lost.add(instrument)

    def due(self, now_ns: int) -> list[Any]:
        """Return the instruments whose book must be fetched again now."""
        found = []
        for instrument in self._lost:
            pause, since = self._again.get(instrument, (0, 0))
            if now_ns - since >= pause:
                self._again[instrument] = min(max(2 * pause, LOST_S * SECOND_NS), HOUR_NS), now_ns
                found.append(instrument)
        return found


class BookCrossings:
    """Track how long each book is crossed, a sign of a lost delta that ids did not show."""

    def __init__(self) -> None:
        self._since: dict[str, int] = {}

    def lasting(self, crossed: Iterable[str], now_ns: int) -> list[str]:
        """Return the crossed instruments whose book must be fetched again."""
        self._since = {name: self._since.get(name, now_ns) for name in crossed}
        due = [n for n, since in self._since.items() if now_ns - since >= CROSSED_S * SECOND_NS]
        self._since.update(dict.fromkeys(due, now_ns))
        return sorted(due)


def public_link(instrument: str) -> str:
    """Return the name of the link that carries an instrument's data, such as ``public linear``."""
    return f"public {split_id(instrument)[1].lower()}"
