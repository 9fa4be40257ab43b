"""Random paths against oracles that keep no state: they look at the whole past each time.

The clock of the paths steps over midnights, skips days and goes back. At random points the trader
accepts what stands: a new stretch begins there.
"""

from collections.abc import Callable, Sequence
from decimal import Decimal
from fractions import Fraction
from itertools import accumulate
from math import inf
from typing import Any, Literal, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.guards import (
    consecutive_losses,
    daily_loss,
    drawdown_tiers,
    max_drawdown,
    session_profit,
    symbol_loss,
)
from config.durations import DAY_NS, HOUR_NS
from strategies.messages import Action
from tests.actors.guards.moments import at
from tests.actors.guards.playing import Player, closed, snapshot

Session = Literal["all", "day"]


class Seen(NamedTuple):
    """A moment of a path, and what is done after it."""

    now: int
    equity: Decimal
    results: dict[str, Decimal]
    doing: str


class Stretch(NamedTuple):
    """What was seen from the start or an acceptance on, and how the guard looked after each."""

    past: list[Seen]
    looks: list[Any]


AMOUNTS = st.integers(-300, 300).map(lambda halves: Decimal(halves) / 2)
STEPS = st.sampled_from(
    [0, 1, HOUR_NS, 5 * HOUR_NS, DAY_NS - 1, DAY_NS, 3 * DAY_NS, -1, -2 * HOUR_NS, -DAY_NS]
)
RESULTS = st.dictionaries(st.sampled_from("abc"), AMOUNTS)
DOINGS = st.sampled_from(["", "", "", "", "", "accept"])
SESSIONS: st.SearchStrategy[Session] = st.sampled_from(["all", "day"])


@st.composite
def paths(draw: st.DrawFn) -> list[Seen]:
    now, path = at(0, "12:00"), []
    results: dict[str, Decimal] = {}
    for step, equity, changed, doing in draw(
        st.lists(st.tuples(STEPS, AMOUNTS, RESULTS, DOINGS), min_size=1, max_size=30)
    ):
        now += step
        # What was traded once has a result from then on.
        results = results | changed
        path.append(Seen(now, 1000 + equity, results, doing))
    return path


def play(
    player: Player,
    path: Sequence[Seen],
    look: Callable[[Player], Any],
    scope: str = "desk",
    field: str = "results",
) -> list[Stretch]:
    """Show a path to a guard; acceptances part it into stretches, of which each but the first
    begins with the moment that was accepted.
    """
    stretches = [Stretch([], [])]
    for seen in path:
        player.observe(snapshot(seen.equity, seen.now, **{field: seen.results}))
        stretches[-1].past.append(seen)
        stretches[-1].looks.append(look(player))
        if seen.doing == "accept":
            player.accept(scope)
            stretches.append(Stretch([seen], [look(player)]))
    return stretches


def halted(scope: str = "desk") -> Callable[[Player], bool]:
    return lambda player: player.verdict(scope).action != Action.NONE


def pasts(past: list[Seen]) -> list[list[Seen]]:
    return [past[: i + 1] for i in range(len(past))]


def today(past: list[Seen], session: Session = "day") -> list[Seen]:
    """Those of the last moment's session; a day is the latest that any clock has shown by then."""
    if session == "all":
        return past
    days = list(accumulate((seen.now // DAY_NS for seen in past), max))
    return past[days.index(days[-1]) :]


def for_good(over: list[bool]) -> list[bool]:
    """A limit was reached."""
    return [any(over[: i + 1]) for i in range(len(over))]


def until_clear(over: list[bool], clear: list[bool]) -> list[bool]:
    """A limit was reached, and no moment since was clear of it."""
    return [
        any(over[j] and not any(clear[j + 1 : i + 1]) for j in range(i + 1))
        for i in range(len(over))
    ]


def until_midnight(over: list[bool], nows: list[int]) -> list[bool]:
    """A limit was reached, and no moment since was at or past the midnight after it."""
    midnights = [(now // DAY_NS + 1) * DAY_NS for now in nows]
    return [
        any(over[j] and all(now < midnights[j] for now in nows[j : i + 1]) for j in range(i + 1))
        for i in range(len(over))
    ]


def depth(past: list[Seen]) -> Fraction:
    """The fall from the largest equity, as a fraction of it."""
    values = [Fraction(seen.equity) for seen in past]
    return 1 - values[-1] / max(values)


TIERS = {Fraction(5, 100): 0.75, Fraction(10, 100): 0.5, Fraction(15, 100): 0.25}
LAST = Fraction(20, 100)


def size(scope: str = "desk") -> Callable[[Player], float]:
    return lambda player: player.verdict(scope).multiplier


def tiers(of: Literal["desk", "strategies"] = "desk") -> Player:
    return Player(drawdown_tiers.DrawdownTiers, drawdown_tiers.DrawdownTiersParams(of=of))


@given(paths())
def test_drawdown_tiers(path: list[Seen]) -> None:
    for past, sizes in play(tiers(), path, size()):
        depths = [depth(moment) for moment in pasts(past)]
        expected = [0.0 if out else 1.0 for out in for_good([deep >= LAST for deep in depths])]
        for limit, share in TIERS.items():
            over = [deep >= limit for deep in depths]
            clear = [deep <= limit * Fraction(9, 10) for deep in depths]
            for i, stands in enumerate(until_clear(over, clear)):
                expected[i] = min(expected[i], share if stands else 1.0)
        assert sizes == expected


@given(paths())
def test_a_lone_strategy_has_the_desks_numbers(path: list[Seen]) -> None:
    # Its result is what the account has gained since it had 777.
    path = [seen._replace(results={"a": seen.equity - 777}) for seen in path]
    desk = play(tiers(), path, lambda p: (size()(p), [r.measured for r in p.readings]))
    alone = play(
        tiers("strategies"),
        path,
        lambda p: (size("strategy:a")(p), [r.measured for r in p.readings]),
        "strategy:a",
    )
    assert desk == alone


@given(paths(), SESSIONS)
def test_max_drawdown(path: list[Seen], session: Session) -> None:
    params = max_drawdown.MaxDrawdownParams(session=session, limit_pct=0.1, limit_currency=125.0)

    def over(past: list[Seen]) -> bool:
        now = today(past, session)
        best = max(seen.equity for seen in now)
        return depth(now) >= Fraction(1, 10) or best - now[-1].equity >= 125

    for past, stands in play(Player(max_drawdown.MaxDrawdown, params), path, halted()):
        assert stands == for_good([over(moment) for moment in pasts(past)])


@given(paths(), st.sampled_from("abc"))
def test_max_drawdown_of_strategies(path: list[Seen], key: str) -> None:
    params = max_drawdown.MaxDrawdownParams(of="strategies", capital=500.0, limit_pct=0.25)
    scope = f"strategy:{key}"

    def over(past: list[Seen]) -> bool:
        # A strategy that is not there yet has a result of nothing.
        curve = [500 + Fraction(seen.results.get(key, Decimal(0))) for seen in past]
        return curve[-1] <= max(curve) * Fraction(3, 4)

    for past, stands in play(Player(max_drawdown.MaxDrawdown, params), path, halted(scope), scope):
        assert stands == for_good([over(moment) for moment in pasts(past)])


@given(paths())
def test_daily_loss(path: list[Seen]) -> None:
    params = daily_loss.DailyLossParams(limit_pct=0.08, limit_r=10.0, r_currency=9.5)

    def over(past: list[Seen]) -> bool:
        first, last = Fraction(today(past)[0].equity), Fraction(past[-1].equity)
        return first - last >= 95 or last <= first * Fraction(92, 100)

    for past, stands in play(Player(daily_loss.DailyLoss, params), path, halted()):
        reached = [over(moment) for moment in pasts(past)]
        assert stands == until_midnight(reached, [seen.now for seen in past])


@given(paths(), SESSIONS)
def test_session_profit(path: list[Seen], session: Session) -> None:
    params = session_profit.SessionProfitParams(
        session=session,
        release="next_day" if session == "day" else "recovered",
        limit_currency=60.0,
    )
    for past, stands in play(Player(session_profit.SessionProfit, params), path, halted()):
        profits = [past[-1].equity - today(past, session)[0].equity for past in pasts(past)]
        over = [profit >= 60 for profit in profits]
        if session == "day":
            assert stands == until_midnight(over, [seen.now for seen in past])
        else:
            assert stands == until_clear(over, [profit <= 54 for profit in profits])


@given(paths(), st.sampled_from("abc"), SESSIONS, st.sampled_from([130, None]))
def test_symbol_loss(path: list[Seen], name: str, session: Session, trails: float | None) -> None:
    params = symbol_loss.SymbolLossParams(
        session=session, limit_currency=100.0, limit_pct=0.08, trailing_currency=trails
    )
    scope = f"instrument:{name}"
    nothing = Decimal(0)
    began_at = next((i for i, seen in enumerate(path) if name in seen.results), None)

    def over(past: list[Seen], since: int) -> bool:
        if name not in past[-1].results:
            return False
        now = today(past, session)
        values = [seen.results.get(name, nothing) for seen in now]
        index = len(past) - len(now)
        if index > 0 and began_at == since + index:
            # It was traded for the first time just before the session's first moment.
            values.insert(0, nothing)
        # An acceptance concerns the instrument, not the session of the account.
        equity = today(path[: since + len(past)], session)[0].equity
        lost = values[0] - values[-1]
        return (
            lost >= 100
            or Fraction(lost) >= Fraction(8, 100) * Fraction(equity)
            or max(values) - values[-1] >= (trails or inf)
        )

    since = 0
    player = Player(symbol_loss.SymbolLoss, params)
    for past, stands in play(player, path, halted(scope), scope, "results_by_instrument"):
        assert stands == for_good([over(moment, since) for moment in pasts(past)])
        since += len(past) - 1


TRIPS = st.lists(st.tuples(STEPS, st.sampled_from("LLLLLW0P"), DOINGS), max_size=40)


@pytest.mark.parametrize("release", ["next_day", "manual"])
@given(events=TRIPS)
def test_consecutive_losses(release: str, events: list[tuple[int, str, str]]) -> None:
    params = consecutive_losses.ConsecutiveLossesParams(losses=3, release=release)
    player = Player(consecutive_losses.ConsecutiveLosses, params).observe(snapshot(1, at(0)))
    results = {"L": "-0.5", "W": "2", "0": "0"}
    nows, text, over = [], "", []
    now = at(0, "12:00")
    for step, what, doing in events:
        now += step
        player.observe(snapshot(1, now) if what == "P" else closed(results[what], now))
        nows.append(now)
        # A stroke parts what was before the end of a halt from what came after it.
        if release == "next_day" and losing(text) >= 3 and now >= midnight_after_third(text, nows):
            text += "|"
        text += what
        over.append(losing(text) >= 3)
        if what == "P" or over[-1]:
            assert player.readings[0].measured == losing(text)
        stands = until_midnight(over, nows) if release == "next_day" else for_good(over)
        if not stands[-1]:
            player.observe(snapshot(1, now))  # a halt ends with the next look
        assert halted()(player) == stands[-1]
        if doing == "accept":
            player.accept()
            text, nows, over = "", [], []


def losing(text: str) -> int:
    """Losses at the end of a text of events, of which snapshots are none."""
    trips = text.replace("P", "")
    return len(trips) - len(trips.rstrip("L"))


def midnight_after_third(text: str, nows: list[int]) -> int:
    """The midnight after the third loss of the row at the text's end."""
    events = text.replace("|", "")
    begins = len(events) - len(tail(text))
    third = [i for i in range(begins, len(events)) if events[i] == "L"][2]
    return (nows[third] // DAY_NS + 1) * DAY_NS


def tail(text: str) -> str:
    """The last row of a text, snapshots within it included."""
    return text[max(text.rfind(mark) for mark in "W0|") + 1 :]
