"""Words of a result: how its fills were made, and warnings to the reader."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from decimal import Decimal

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from backtests.engine.feed import CatalogFeed, Settlement
from backtests.engine.tick_feed import TickFeed
from backtests.results.recorder import decisions_of
from catalog.recordings import AUDIT, NOTHING_YET, audited
from config.documents import Backtest, Latency, Market, NoSlippage, Venue, WayLatency
from config.durations import DAY_NS, HOUR_NS, MINUTE_NS, SECOND_NS, interval_ns, minute_text
from config.errors import InputError
from strategies.account_value import is_spot
from strategies.base import DeskStrategy
from strategies.hedged.rules import SKIPS, Skip
from strategies.messages import PairEvent
from strategies.order_ids import is_protective
from strategies.pairs import PairsConfig

PATHS = {
    "pessimistic": "to the extreme that hurts the position first, so that of a stop and a "
    "take-profit in one candle the stop fills; without a position, to the entry first",
    "adaptive": "to the extreme that is nearer to the open first",
    "open_high_low_close": "to the high first",
}
"""Order of a candle's extremes by ``venue.path``."""

QUEUES = {
    "optimistic": "with the first trade at their price",
    "realistic": "once what was displayed before them has traded or the level is gone",
    "pessimistic": "only when the market passes their price",
}
"""When resting orders fill by ``venue.queue``."""

COIN_FEES = (
    " The fee of a buy of coins is taken out of them: fills and positions count the whole lots "
    "that are left, a fill's fee is the rest of what it cost, in USDT (nothing, or a whole lot, "
    "where fills are small), and orders count what was bought. A buy of a single lot pays no fee "
    "and can be sold whole, until such fees together are a lot: Bybit would leave less than a lot."
)
COARSE_TICK = 0.001
"""Part of the price above which an inferred tick is warned of: 10 bps."""
COARSE_LOT = 0.01
"""Part of the starting balance above which an inferred lot is warned of."""


def rests(orders: pa.Table) -> bool:
    """Whether a run sent orders that can rest at the venue."""
    return bool(pc.any(pc.not_equal(orders.column("type"), "MARKET")).as_py())


def how_filled(
    document: Backtest, feed: CatalogFeed, strategies: Mapping[str, DeskStrategy], orders: pa.Table
) -> dict[str, str]:
    """Return the mode, the candles and the slippage of the run's fills, and all of it in words.

    With orders that rest, also the path of the price inside a candle.
    """
    found = (
        _how_met(document, feed, strategies, orders)
        if document.venue.by_candles
        else _how_matched(document.venue, strategies)
    )
    if any(map(is_spot, orders.column("instrument").to_pylist())):
        found["words"] += COIN_FEES
    return found


def _how_met(
    document: Backtest, feed: CatalogFeed, strategies: Mapping[str, DeskStrategy], orders: pa.Table
) -> dict[str, str]:
    venue, interval = document.venue, feed.execution_interval
    path = venue.path if venue.fills == "next_open" and rests(orders) else None
    if venue.fills == "next_open":
        words = (
            f"Orders fill whole at the open of the instrument's next {interval} candle that starts "
            "no earlier than their decision (a decision meets the market one second later). "
            "An instrument in a gap of the data does not fill until it trades again."
        )
    else:
        words = (
            f"Orders fill whole at the very {interval} close that their decision saw: no one can "
            "trade like that. It is for comparing with references only."
        )
    if path is None:
        words += " All fills are takers; no depth limits them."
    else:
        words += (
            f" Resting orders are judged inside each {interval} candle, on the path {path}: from "
            f"the open {PATHS[path]}, then to the other extreme and to the close. Stops and "
            "touched take-profits fill at their trigger, or at the open that has passed it, with "
            "slippage; limit orders fill at their price once the price has gone through it. Such "
            "fills are booked at the candle's close. No depth limits fills."
        )
    words += _assumed(strategies)
    if venue.liquidation:
        source = f"{feed.mark_interval} mark prices" if feed.mark_interval else "traded prices"
        words += (
            f" Margin is checked at the worst price of each candle, from {source}: every long at "
            "its low and every short at its high at once, which is harsh for hedged books."
        )
    else:
        words += " Nobody is liquidated (venue.liquidation is off)."
    return {
        "mode": venue.fills,
        "interval": interval,
        "slippage": venue.slippage.described,
        **({} if path is None else {"path": path}),
        "words": words,
    }


def _how_matched(venue: Venue, strategies: Mapping[str, DeskStrategy]) -> dict[str, str]:
    if venue.market == "book":
        words = (
            "Orders meet the order book as it was recorded: takers walk its levels and use them "
            "up until the book shows them anew, and what a market order does not find is "
            "cancelled. "
        )
    else:
        words = (
            "Orders meet the best quotes as they were recorded. What exceeds the displayed size "
            "fills one tick further, which flatters large orders. "
        )
    turn = QUEUES[venue.queue]
    words += f"Resting orders (venue.queue {venue.queue}) fill {turn}. Nobody answers our orders."
    words += f" Commands take {_delay(venue.latency)}."
    words += (
        f" Equity, guards and margin look at the mid or the mark price every {venue.valuation}."
    )
    if not venue.liquidation:
        words += " Nobody is liquidated (venue.liquidation is off)."
    limited = _limited(strategies)
    if limited and venue.market == "quotes":
        words += f" Depth limits ({limited}) see the best prices alone."
    return {
        "mode": venue.market,
        "interval": venue.valuation,
        "slippage": "as the market has it",
        "words": words,
    }


def _delay(latency: Latency) -> str:
    """Return the latency in words."""

    def way(delay: WayLatency) -> str:
        words = f"{delay.base.normalize():f}"
        if delay.jitter:
            words += f" + {delay.jitter.normalize():f} on average"
        if delay.bursts is not None:
            words += f" + {delay.bursts.delay.normalize():f} in bursts"
        return words

    return f"{way(latency.feed)} ms for the data and {way(latency.orders)} ms for the way back"


def _assumed(strategies: Mapping[str, DeskStrategy]) -> str:
    words = ""
    makers = [key for key, s in strategies.items() if s.config.execution.tactic == "maker_first"]
    if makers:
        words += (
            f" maker_first ({', '.join(makers)}) takes like a taker here: candles show no best bid "
            "and ask to rest at, and no passive fill is invented, so live it may pay less, or be "
            "filled later, or not at all."
        )
    if limited := _limited(strategies):
        words += f" Limits on spread and depth ({limited}) are not applied."
    return words


def _limited(strategies: Mapping[str, DeskStrategy]) -> str:
    wants = (k for k, s in strategies.items() if getattr(s.config, "wants_liquidity", False))
    return ", ".join(wants)


def auto_warnings(venue: Venue, taken: Market, why: str) -> list[str]:
    """Warn of what a venue's settings do not mean, or mean instead, with what `auto` took."""
    found: list[str] = []
    if venue.market != "auto":
        return found
    if names := ", ".join(f"venue.{name}" for name in venue.without_effect(taken)):
        found.append(f"Without effect, as venue.market auto took {taken}: {names}.")
    is_free = isinstance(venue.slippage, NoSlippage) and venue.fills == "next_open"
    if taken == "candles" and is_free:
        found.append(
            "Market orders fill at opens without slippage (venue.slippage none), as venue.market "
            f"auto took candles: {why}."
        )
    return found


def warnings_of(
    document: Backtest,
    feed: CatalogFeed,
    strategies: Mapping[str, DeskStrategy],
    tables: Mapping[str, pa.Table],
    highest_leverage: tuple[float, int],
    unmarked: Sequence[Settlement] = (),
    overdrawn: Decimal = Decimal(0),
    of_auto: Sequence[str] = (),
) -> list[str]:
    """Return warnings that could change the reading of the figures, most serious first.

    What `backtests.results.interruptions` finds stands before them.
    """
    found = []
    if document.venue.fills == "signal_close":
        found.append("Fills are at the signal's own close: these figures can't be earned.")
    found += of_auto
    orders, funding = tables["orders"], tables["funding"]
    if document.venue.fills == "signal_close" and rests(orders):
        found.append(
            "Resting orders fill at the extremes of candles with venue.fills signal_close, without "
            "venue.path: use next_open."
        )
    found += _turned_away(orders, document.venue.by_candles)
    if not len(tables["fills"]):
        found.append(_idle(orders, tables, strategies))
    found += _not_entered(tables)
    found += _coins(tables["fills"], overdrawn)
    waiting = pc.sum(pc.equal(orders.column("status"), "SUBMITTED")).as_py() or 0
    if waiting:
        found.append(f"{waiting} orders still waited for a price when the window ended.")
    if document.venue.funding:
        held = set(tables["fills"].column("instrument").to_pylist())
        have = set(feed.catalog.coverage("funding"))
        lacking = sorted(name for name in held - have if "-LINEAR." in name)
        if lacking:
            found.append(
                f"No funding data for {len(lacking)} traded perpetuals ({few(lacking)}): "
                "their funding counts as zero."
            )
        found += _holes(feed, unmarked, tables["positions"], document.window.end_ns)
    elif not len(funding):
        found.append("Funding is switched off (venue.funding).")
    leverage, at = highest_leverage
    if leverage > float(document.venue.leverage) * (1 + 1e-9):
        found.append(
            f"Leverage was {leverage:.3f} after the fills of {when(at)}, above the cap of "
            f"{document.venue.leverage} (venue.leverage): orders are held to it at the prices of "
            "their decision, before slippage and the move to their fill."
        )
    inferred = [info.id for info in feed.market.infos if info.inferred]
    if inferred:
        found.append(
            f"{len(inferred)} instruments are inferred from prices (ticks, lots, minimums and "
            "margins are guesses): import instruments-info for exact ones."
        )
    coarse = {name: part for name, part in feed.coarsest.items() if part > COARSE_TICK}
    if coarse:
        found.append(
            f"The inferred tick of {few(sorted(coarse))} was up to "
            f"{max(coarse.values()) * 1e4:,.0f} bps of the price, and fills are rounded to it: "
            "import instruments-info."
        )
    most = COARSE_LOT * float(document.venue.starting_balance)
    dear = {name: worth for name, worth in feed.dearest_lots.items() if worth > most}
    if dear:
        found.append(
            f"The inferred lot of {few(sorted(dear))} was worth up to {max(dear.values()):,.0f}, "
            "and orders are multiples of it: import instruments-info."
        )
    if isinstance(feed, TickFeed):
        found += _of_ticks(feed, document, orders)
    elif document.venue.fills == "next_open":
        found += _lag(feed, strategies)
    return found + _short_history(feed, strategies)


def _of_ticks(feed: TickFeed, document: Backtest, orders: pa.Table) -> list[str]:
    """Warn of holes in the data, and of what makes fills of resting orders less certain."""
    found = _recording_holes(feed)
    if feed.silences:
        longest = max(feed.silences.values()) / MINUTE_NS
        found.append(
            f"The {'books' if feed.kind == 'book' else 'quotes'} of {few(sorted(feed.silences))} "
            f"have silences of up to {longest:,.0f} min: orders and equity meet prices as old."
        )
    if feed.losses:
        found.append(
            f"The recording lost messages of the books of {few(sorted(feed.losses))} "
            f"{sum(feed.losses.values()):,} times: until the next snapshot, orders may meet levels "
            "that were gone."
        )
    if feed.untraded and rests(orders):
        found.append(
            f"The catalog has no trades of {few(feed.untraded)}: resting orders there fill only "
            "when the book passes them."
        )
    days = max((document.window.end_ns - document.window.start_ns) / DAY_NS, 1.0)
    often = sorted(name for name, count in feed.resets.items() if count > 24 * days)
    if often and document.venue.queue != "optimistic" and rests(orders):
        found.append(
            f"The books of {few(often)} begin anew {sum(feed.resets[n] for n in often):,} times "
            "(snapshots): each puts resting orders first in their queue."
        )
    return found


def _recording_holes(feed: TickFeed) -> list[str]:
    """Warn of the holes in the window that the recorder noted."""
    try:
        noted = audited(feed.catalog.path)
    except InputError as error:
        return [str(error)]
    names, longest = set(), 0
    for name in noted.keys() & set(feed.market.ids):
        for hole in noted[name]:
            began, ended = max(hole.began, feed.start), min(hole.ended, feed.end)
            if hole.why != NOTHING_YET and ended > began:
                names.add(name)
                longest = max(longest, ended - began)
    if not names:
        return []
    return [
        f"The recording of {few(sorted(names))} has holes of up to {longest / SECOND_NS:,.1f} s "
        f"({AUDIT}): orders and equity meet prices as old."
    ]


def _turned_away(orders: pa.Table, by_candles: bool) -> list[str]:
    """Return warnings of refused orders, and of cancelled ones when they are the most."""
    found = []
    protect = pa.array(map(is_protective, orders.column("client_order_id").to_pylist()), pa.bool_())
    # What protects a position rests until that is closed, and follows it by new orders.
    protective, others = orders.filter(protect), orders.filter(pc.invert(protect))
    for some, status, who in (
        (others, "DENIED", "orders were refused before the venue"),
        (others, "REJECTED", "orders were refused by the venue"),
        (protective, "DENIED", "stops and take-profits were refused before the venue"),
        (
            protective,
            "REJECTED",
            "stops and take-profits were refused by the venue, as their position had just been "
            "closed or turned, or the price had passed them and it was closed at market",
        ),
    ):
        reasons = some.filter(pc.equal(some.column("status"), status)).column("reason")
        if len(reasons):
            found.append(
                f"{len(reasons)} of {len(some)} {who} (the first: {reasons[0]}); "
                "orders.parquet says why."
            )
    cancelled = pc.sum(pc.equal(others.column("status"), "CANCELED")).as_py() or 0
    if cancelled > len(others) / 2:
        why = (
            "the next decision, or the end, came before the next open"
            if by_candles
            else "the price moved on, their time was over, or a decision or the end came first"
        )
        found.append(
            f"{cancelled} of {len(others)} orders were cancelled before they filled: {why}."
        )
    return found


def _coins(fills: pa.Table, overdrawn: Decimal) -> list[str]:
    """Say what coins count for, and warn of buys without the cash for them."""
    found = []
    if overdrawn < 0:
        found.append(
            f"Buys of coins took the cash to {overdrawn:.2f} USDT, as prices moved between the "
            "order and its fill: Bybit would have refused some. Keep a part of the equity in cash."
        )
    names = sorted(set(filter(is_spot, fills.column("instrument").to_pylist())))
    if names:
        found.append(
            f"Coins of {few(names)} count in the equity at their price, less than a lot of each "
            "not. They are no collateral here: perpetuals are liquidated by cash and profit alone, "
            "sooner than at Bybit."
        )
    return found


def _idle(
    orders: pa.Table, tables: Mapping[str, pa.Table], strategies: Mapping[str, DeskStrategy]
) -> str:
    if len(orders):
        return f"Nothing was traded: none of {len(orders)} orders filled."
    decisions = tables["decisions"]
    if not len(decisions) and any(isinstance(s.config, PairsConfig) for s in strategies.values()):
        judged = tables["pair_curves"].column("pair").to_pylist() if "pair_curves" in tables else ()
        count = _times(len(set(judged)), "pair")
        return f"Nothing was traded: {count} had a z-score, none was entered."
    if not len(decisions):
        return "Nothing was traded: no decision fell into the window."
    last = decisions_of(decisions.slice(len(decisions) - 1))[0]
    reasons = Counter(target.reason for target in last.targets if target.reason)
    words = [last.note] if last.note else []
    words += [f"{reason} ({count} of {len(last.targets)})" for reason, count in _most(reasons)]
    if not words:
        words = [f"no instrument got a weight, of {len(last.targets)} that it saw"]
    return f"Nothing was traded. The last of {len(decisions)} decisions says: {'; '.join(words)}."


def _not_entered(tables: Mapping[str, pa.Table]) -> list[str]:
    """Return how often pairs were not entered that the rules wanted, by strategy, and why.

    Those next to the stop the rules don't want, unless nothing was traded.
    """
    found: dict[str, Counter[Skip]] = {}
    events = tables["pair_events"].column("payload").to_pylist() if "pair_events" in tables else ()
    for event in (msgspec.json.decode(payload, type=PairEvent) for payload in events):
        if event.kind == "skipped":
            found.setdefault(event.strategy, Counter())[event.facts["reason"]] += 1
    return [
        f"{key}: a pair was not entered {_times(count, 'time')}, as {SKIPS[why]}."
        for key, reasons in found.items()
        for why, count in _most(reasons)
        if why != "near_stop" or not len(tables["fills"])
    ]


def _times(count: int, what: str) -> str:
    return f"{count:,} {what}{'s' * (count != 1)}"


def _most[Name: str](reasons: Counter[Name]) -> list[tuple[Name, int]]:
    return sorted(reasons.items(), key=lambda item: (-item[1], item[0]))[:3]


def _lag(feed: CatalogFeed, strategies: Mapping[str, DeskStrategy]) -> list[str]:
    """Warn when decisions fall between coarse candles, so that orders wait for hours."""
    found = []
    candle = interval_ns(feed.execution_interval)
    for key, strategy in strategies.items():
        schedule = strategy.schedule()
        wait = 0 if schedule is None else -schedule[1] % min(candle, schedule[0])
        if wait >= 2 * HOUR_NS:
            found.append(
                f"{key}: its orders wait {wait / HOUR_NS:.1f} h for the next "
                f"{feed.execution_interval} open; import finer candles, or decide when one opens."
            )
    return found


def _short_history(feed: CatalogFeed, strategies: Mapping[str, DeskStrategy]) -> list[str]:
    """Warn when the data begin too late for the candles that the first decisions need."""
    found = []
    for key, strategy in strategies.items():
        for interval, count in strategy.history_needed().items():
            spans = feed.catalog.coverage("bars", interval)
            first = min((spans[name].first for name in strategy.ids if name in spans), default=0)
            there = first + (count - 1) * interval_ns(interval)
            if there > feed.start + 2 * DAY_NS:
                found.append(
                    f"{key}: a decision needs {count} candles of {interval}, and no instrument has "
                    f"so many before {when(there)}: until then it may hold less, or nothing."
                )
    return found


def _holes(
    feed: CatalogFeed, unmarked: Sequence[Settlement], positions: pa.Table, end: int
) -> list[str]:
    """Warn of funding at closes in place of mark prices, and of positions without funding data."""
    found = []
    if unmarked:
        names = sorted({settlement.instrument for settlement in unmarked})
        found.append(
            f"{len(unmarked)} funding settlements were valued at closes, because the mark prices "
            f"of {few(names)} end or have a gap (the first: {when(unmarked[0].ts)}); "
            "`perpdesk catalog check` shows where."
        )
    spans = feed.catalog.coverage("funding")
    bare = set()
    for trip in positions.select(["instrument", "ts_opened", "ts_closed"]).to_pylist():
        span, closed = spans.get(trip["instrument"]), trip["ts_closed"] or end
        if span and (trip["ts_opened"] < span.first - DAY_NS or closed > span.last + DAY_NS):
            bare.add(trip["instrument"])
    if bare:
        found.append(
            f"Positions in {few(sorted(bare))} were held before their funding data begin or after "
            "they end: that funding counts as zero."
        )
    return found


def few(names: list[str]) -> str:
    """Return the first five of instrument ids, such as BTCUSDT, and BTCUSDT-SPOT for spot."""
    shown = ", ".join(name.split(".")[0].removesuffix("-LINEAR") for name in names[:5])
    return shown + (" …" if len(names) > 5 else "")


def when(ns: int) -> str:
    """Return the UTC date and minute of a time in UNIX nanoseconds."""
    return f"{minute_text(ns)} UTC"
