"""Run the basis arbitrage in the engine: books or quotes, funding, decisions. Engine-specific.

At a message of either leg's book, but not more often than ``look``, the policy decides on a pair by
features and edge. `decide` plans it, `strategies.hedged.two_leg_trader` carries it out. The fee of
a spot buy is paid in coins: the perpetual is sold for those that are left. Coins too few for any
order to sell stay, with a warning.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Container
from decimal import Decimal
from typing import Any

import pyarrow as pa
from nautilus_trader.model.data import FundingRateUpdate, OrderBookDeltas, QuoteTick
from nautilus_trader.model.identifiers import InstrumentId

from config.durations import DAY_NS, duration_ns
from strategies.basis import decide
from strategies.basis.decide import BasisMemory, Close
from strategies.basis.edge import Book, Costs, Edge, Prices, Rates, best_prices
from strategies.basis.features import Past, Vector, add_price, look
from strategies.basis.policy import Drift, check_training, policy_of
from strategies.basis.threshold import Act
from strategies.basis_arbitrage import BasisConfig, pair_symbol
from strategies.hedged.book import Ended, Result, accept_fees, leave_dust
from strategies.hedged.planned import Planned
from strategies.hedged.seek import unsellable
from strategies.hedged.two_leg_trader import TwoLegTrader
from strategies.messages import Decision
from strategies.order_ids import BACKTEST_TAG
from strategies.sizing.rounding import Lot
from strategies.state import StateStore
from strategies.tactics.two_leg import NONE, Legs

ZERO = Decimal(0)
STATE = "basis"


class _Pair:
    """A pair's memory of the market, and its last look."""

    def __init__(self, legs: tuple[str, str]) -> None:
        self.legs, self.name = legs, pair_symbol(legs)
        self.ids = self.spot, self.perp = tuple(map(InstrumentId.from_str, legs))
        self.past, self.rates, self.drift = Past(), Rates(), Drift()
        self.looked = 0
        """Time of the prices at the last look, UNIX nanoseconds (UTC)."""
        self.score = math.nan


class BasisTrader(TwoLegTrader):
    """Runs `strategies.basis_arbitrage.BasisArbitrage`; `strategies.engine_class` joins the two.

    Raises GateRefused where the policy is missing or altered, or was trained for another market.
    """

    state_name = STATE
    memory_type = BasisMemory

    def __init__(self, config: BasisConfig) -> None:
        super().__init__(config)
        self._pairs = [_Pair(legs) for legs in config.pairs]
        self._of = {leg: pair for pair in self._pairs for leg in pair.ids}
        self._policy = policy_of(config)
        self._refused: Counter[str] = Counter()
        self._look_ns, self._max_age_ns = duration_ns(config.look), duration_ns(config.max_age)
        self._half_life_ns = duration_ns(config.half_life)
        self.market.last_price = self._last_price

    # What it decides -----------------------------------------------------------------------------

    def plan_flatten(self, instruments: Container[str]) -> Planned[BasisMemory]:
        """Return plans by which pairs with a leg in the instruments leave, whole and at market."""
        return decide.flatten(self.book, self.memory, instruments)

    def plan_unlisted(self) -> Planned[BasisMemory]:
        """Return plans by which pairs leave that are not among those given any more."""
        return decide.leave_unlisted(self.config, self.book, self.memory)

    def after(self, memory: BasisMemory, end: Ended) -> BasisMemory:
        """Return what is remembered after a change of a pair has ended."""
        return decide.after(self.config, memory, end, self.clock.timestamp_ns())

    def accepted(self, result: Result) -> Result:
        """Return the book with coins that only a fee lacks as bought, and without unsold dust."""
        book, ended = result
        terms, now = self._terms, self.clock.timestamp_ns()
        book, more = accept_fees(book, terms, now)
        dust = [
            pair.spot.value
            for pair in self._pairs
            if (need := book.need(pair.spot.value)) < ZERO
            and unsellable(self.market, pair.spot, need)
        ]
        book, last, left = leave_dust(book, dust, terms, now)
        for name, quantity in left.items():
            self.log.warning(f"{name}: {quantity:f} stay, less than the exchange's smallest order")
        return book, [*ended, *more, *last]

    # Start and stop ------------------------------------------------------------------------------

    def attach_state(self, store: StateStore) -> None:
        """Save state in the store, and load what it has; nothing is decided before `resume`."""
        super().attach_state(store)
        self._is_restarting = True

    def on_start(self) -> None:
        """Subscribe to books and funding, and set the timers."""
        self.market.want_levels()
        super().on_start()
        if not self.market.sees_top_of_book:
            raise ValueError(
                f"strategy {self.config.key}: reads quotes or books of both legs, and this market "
                "has candles: give a catalog with quotes or books, and venue.market: auto"
            )
        self._compare_training()
        for pair in self._pairs:
            self.subscribe_funding_rates(pair.perp)
        every = duration_ns(self.config.report_every)
        self._repeat("report", every, self._on_report)

    def _compare_training(self) -> None:
        chosen, training = self.config.policy, self._policy.training
        if chosen is None or training is None:
            return
        spot, perp = (self.instrument(leg).taker_fee for leg in self._pairs[0].ids)
        if self.config.node != BACKTEST_TAG:
            # A backtest shows what higher fees do: its stressed runs have them.
            check_training(chosen.path, self._policy, self.config, (spot, perp))
        if doubts := training.doubts(self.config, (spot, perp)):
            words = f"policy {chosen.name} {chosen.version}: {doubts}"
            self._publish_wait(words)
            self.start_note = "; ".join(filter(None, [self.start_note, words]))

    # Funding -------------------------------------------------------------------------------------

    def funding_needed(self) -> int:
        """Return two days: two settlements of any interval."""
        return 2 * DAY_NS

    def warm_up_funding(self, settlements: pa.Table) -> None:
        """Add settlements; those known already change nothing."""
        columns = (settlements[name].to_pylist() for name in ("instrument", "ts", "rate"))
        for name, ts, rate in zip(*columns, strict=True):
            pair = self._of.get(InstrumentId.from_str(name))
            if pair is not None:
                pair.rates.add(ts, rate)

    def funding_lacking(self, ts_ns: int) -> list[str]:
        """Return the ids of which a settlement until this time is due and missing."""
        return [pair.perp.value for pair in self._pairs if pair.rates.lacks(ts_ns)]

    def on_funding_rate(self, update: FundingRateUpdate) -> None:
        """Add a prediction of the next settlement or, in a backtest, a settlement."""
        rates = self._of[update.instrument_id].rates
        rates.add(update.ts_event, float(update.rate), update.next_funding_ns)

    # Looks ---------------------------------------------------------------------------------------

    def on_quote_tick(self, tick: QuoteTick) -> None:
        """Look at the pair."""
        super().on_quote_tick(tick)
        self._on_prices(tick.instrument_id, tick.ts_event)

    def on_order_book_deltas(self, deltas: OrderBookDeltas) -> None:
        """Look at the pair."""
        super().on_order_book_deltas(deltas)
        self._on_prices(deltas.instrument_id, deltas.ts_event)

    def _on_prices(self, instrument_id: InstrumentId, ts: int) -> None:
        pair = self._of.get(instrument_id)
        if pair is None or ts < pair.looked + self._look_ns:
            return
        spot, perp = (Book(*self.market.levels(leg, self.config.levels)) for leg in pair.ids)
        if not (spot.is_whole and perp.is_whole):
            return
        if any((self.market.event_age_ns(leg) or 0) > self._max_age_ns for leg in pair.ids):
            # This was no look: the next prices may find the other leg's as new.
            self._refused["stale"] += 1
            return
        pair.looked = ts
        self._look(pair, spot, perp, ts)

    def _look(self, pair: _Pair, spot: Book, perp: Book, ts: int) -> None:
        holding = self.book.pairs.get(pair.name)
        # The size is by the volatility before this look: this look's basis is that of the size.
        before = pair.past
        if not self._may_act(best_prices(spot, perp), int(holding is not None)):
            volatility = add_price(before.volatility, ts, spot.mid, self._half_life_ns)
            pair.past = before._replace(volatility=volatility)
            return
        lots = self.market.lot(pair.spot), self.market.lot(pair.perp)
        goal, since, entry, trade = NONE, None, None, None
        if holding is None:
            goal = self._goal(pair, spot, perp, lots)
            quantity = decide.quantity_seen(goal, lots, spot.mid)
        else:
            quantity = float(max(map(abs, (*holding.held, *holding.target))))
            trade = self.memory.trades.get(pair.name)
            since = ts if trade is None else trade.since
            spot_in, perp_in = (self.market.entry_price(leg) for leg in pair.ids)
            if spot_in is not None and perp_in is not None:
                entry = float(spot_in), float(perp_in)
        seen = look(
            self.config,
            self._costs(pair),
            (spot, perp),
            quantity,
            before,
            pair.rates.known,
            ts,
            self._policy.threshold.close_bps,
            since=since,
            entry=entry,
        )
        pair.past = seen.past
        self._watch(pair, seen.features)
        act = self._wish(pair, seen.features, int(holding is not None), seen.edge)
        if self._stopping or self._is_restarting:
            return
        if act is Act.OPEN and holding is None:
            self._open(pair, seen.edge, goal, before.volatility.a_minute_bps, (spot, perp), ts)
        elif (
            act is Act.CLOSE
            and holding is not None
            and not decide.awaits_funding(self.config, trade, pair.rates.known, ts)
        ):
            self._close(pair, seen.prices.exit_bps, seen.held_bps)

    def _costs(self, pair: _Pair) -> Costs:
        fees = [float(self.instrument(leg).taker_fee) for leg in pair.ids]
        return Costs(fees[0], fees[1], self.config.slippage_bps)

    def _may_act(self, best: Prices, position: int) -> bool:
        """Whether the policy may want anything at prices no better than these."""
        return self._policy.may_act(best, position)

    def _wish(self, pair: _Pair, found: Vector, position: int, edge: Edge) -> Act:
        """Return what the policy wants."""
        return self._policy.act(found, position, edge, drifted=pair.drift.drifted)

    def _goal(self, pair: _Pair, spot: Book, perp: Book, lots: tuple[Lot, Lot]) -> Legs:
        rules, equity, cash = self.config, float(self.equity()), float(self.market.free_cash())
        values = []
        for other in self.book.pairs.values():
            price = self._last_price(InstrumentId.from_str(other.legs[0])) or ZERO
            (held, _), (target, _) = other.held, other.target
            values.append(float(max(held, target) * price))
            cash -= float(max(target - held, ZERO) * price)
        verdicts = [self.verdicts.strictest_on(name) for name in pair.legs]
        return decide.size(
            rules,
            equity,
            spot.mid,
            pair.past.volatility.a_minute_bps,
            min(spot.displayed, perp.displayed),
            decide.room(rules, equity, cash, values),
            min(verdict.multiplier for verdict in verdicts),
            lots,
            float(self.instrument(pair.spot).taker_fee),
        )

    def _watch(self, pair: _Pair, found: Vector) -> None:
        chosen, before = self.config.policy, pair.drift
        if chosen is None:
            return
        pair.drift = self._policy.watch(before, found, chosen.drift_looks, chosen.drift_most)
        if pair.drift.drifted != before.drifted:
            words = f"{pair.name}: the policy decides again"
            if pair.drift.drifted:
                words = f"{pair.name}: the threshold decides: {pair.drift.worst()}"
            self.log.warning(words)
            self._publish_wait(words)

    def _open(
        self,
        pair: _Pair,
        edge: Edge,
        goal: Legs,
        volatility_bps: float,
        books: tuple[Book, Book],
        ts: int,
    ) -> None:
        now = self.clock.timestamp_ns()
        first, second = (Decimal(repr(book.mid)) for book in books)
        refused = decide.held_back(
            self.config,
            edge,
            volatility_bps,
            goal,
            [self.verdicts.strictest_on(name) for name in pair.legs],
            under_way=pair.name in self.book.changes or any(map(self.busy_in, pair.ids)),
            paused=now < self.memory.paused.get(pair.name, 0),
            carried=decide.carries(self.market.margin(), pair.legs, goal, first),
        )
        if refused is not None:
            self._refused[refused] += 1
            return
        lead = None
        if self.config.two_leg.first == "thin":
            shown = [book.displayed * book.mid for book in books]
            lead = int(shown[0] > shown[1])
        pair.score = edge.net_bps
        planned = decide.open_pair(
            self.config, self.memory, pair.legs, goal, (first, second), edge, ts, lead
        )
        self._carry_out(planned, planned.words, data_ts=ts)

    def _close(self, pair: _Pair, exit_bps: float, gained: float) -> None:
        change = self.book.changes.get(pair.name)
        if change is not None and not change.enters:
            return
        pair.score = gained
        close = Close(pair.name, "policy", exit_bps, gained)
        planned = decide.close_pairs(self.book, self.memory, [close])
        self._carry_out(planned, planned.words, data_ts=pair.looked)

    # Messages ------------------------------------------------------------------------------------

    def _on_report(self, event: Any) -> None:
        if self._refused and not self._stopping:
            words = ", ".join(f"{code} {count}" for code, count in self._refused.most_common())
            self._publish_wait(f"not opened: {words}")

    def _publish_wait(self, note: str) -> None:
        refused = dict(sorted(self._refused.items()))
        self._refused.clear()
        self.publish(super()._decision("wait", note, None, refusals=refused))

    def _decision(self, kind: str, note: str, data_ts: int | None, **more: Any) -> Decision:
        scores = {p.name: p.score for p in self._pairs if not math.isnan(p.score)}
        return super()._decision(kind, note, data_ts, scores=scores, **more)

    def data_time(self, now: int) -> int:
        """Return the time of the newest prices that were looked at."""
        return max((pair.looked for pair in self._pairs), default=0) or now

    def _last_price(self, instrument_id: InstrumentId) -> Decimal | None:
        top = self.market.top_of_book(instrument_id)
        return self.market.engine_price(instrument_id) if top is None else top.mid
