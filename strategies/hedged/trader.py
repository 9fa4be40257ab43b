"""Run pairs in the engine: candles, checks of prices, decisions, orders, state. Engine-specific.

`views` and `decide` decide, `book` tracks both legs of each pair, `seek` sends orders. State is
saved before orders are sent. After a crash the book is settled by the venue's positions, and what
was under way goes on: both legs, or none.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Mapping
from decimal import Decimal
from typing import Any

import msgspec
import numpy as np
from msgspec.structs import replace
from nautilus_trader.common.component import LiveClock
from nautilus_trader.model.enums import OrderSide
from nautilus_trader.model.events import OrderDenied, OrderEvent, OrderFilled, OrderRejected
from nautilus_trader.model.identifiers import InstrumentId

from config.durations import duration_ns
from config.errors import DeskError
from strategies.candles import CandleStrategy
from strategies.hedged import decide
from strategies.hedged.book import (
    Ended,
    PairBook,
    Result,
    Terms,
    blocked,
    change_pairs,
    recovered,
    time_passed,
    venue_traded,
    without,
)
from strategies.hedged.decide import NO_ENTRIES, Named, Planned, Snapshot
from strategies.hedged.rules import SKIPS, PairsMemory, Skip
from strategies.hedged.seek import GoalSeeker
from strategies.hedged.views import Track, Views, follow, read, rows_for_views
from strategies.messages import Decision, PairEvent, Verdict
from strategies.on_loop import repeat, wake_in
from strategies.pairs import PairsConfig, pair_name
from strategies.refusals import refusal_of
from strategies.schedule import last_close
from strategies.signals.cointegration import load_tests
from strategies.signals.spread import Floats
from strategies.state import StateStore
from strategies.tactics.two_leg import budget_passed
from strategies.verdicts import halted_for_good, halted_for_now

ZERO = Decimal(0)
STATE = "pairs"
PULSE_NS = 10**9
"""How often changes under way are looked at, where there are prices between candles."""
CANDLES_PATIENCE_NS = 60 * 10**9
"""How long a live decision waits for late candles …"""
LATE_NS = 10 * 10**9
"""… and after which that is named: each candle arrives a moment after its close."""
_THIN_WITHIN_BPS = 10.0
_NOT_FOR_GOOD = frozenset({"withdrawn", "post_only", "nothing_to_take", "no_answer"})


class Saved(msgspec.Struct, frozen=True):
    """State that survives a crash: what pairs hold and want, and what decisions remember."""

    book: PairBook = PairBook()
    memory: PairsMemory = PairsMemory()


class HedgedTrader(CandleStrategy):
    """Runs `strategies.pairs.Pairs`; `strategies.engine_class` joins the two."""

    def __init__(self, config: PairsConfig) -> None:
        super().__init__(config, rows_for_views(config))
        if config.cointegration is not None or config.select is not None:
            load_tests()
        self._saved = Saved()
        self._seeker = GoalSeeker(self, config.two_leg)
        self._track: Track | None = None
        # The pairs of the track, in its order: one may end before the next candle.
        self._tracked: Named = {}
        self._reasons: dict[str, str] = {}
        self._skipped: Mapping[str, Skip] = {}
        self._decided_at = 0
        self._forgotten = ""
        self._waits, self._waits_since = "", 0
        self._stopping = self._is_restarting = False

    # State -------------------------------------------------------------------------------------

    @property
    def book(self) -> PairBook:
        """Positions of the pairs, and their changes under way."""
        return self._saved.book

    @property
    def memory(self) -> PairsMemory:
        """What decisions take over from earlier ones."""
        return self._saved.memory

    def attach_state(self, store: StateStore) -> None:
        """Save state in the store, and load what it has.

        Raises DeskError when the saved state can't be read.
        """
        super().attach_state(store)
        saved = self.broker.load_state(STATE, Saved)
        if saved is not None:
            self._saved, self._is_restarting = saved, True

    def check_state(self, there: Mapping[str, Decimal]) -> None:
        """Forget pairs of an instrument that is no longer the strategy's and held no more.

        As after a delisting, when the venue has settled it. The other leg is closed. Raises
        DeskError when the venue still holds such an instrument: nobody could see or close it.
        """
        legs, names = decide.foreign_legs(self.config, self.book)
        what = f"{', '.join(names) or 'a position'} is open, {', '.join(legs)} is no longer in its "
        if held := [f"{there[leg]:f} of {leg}" for leg in legs if there.get(leg)]:
            raise DeskError(
                f"strategy {self.config.key}: {what}universe, and the venue holds "
                f"{', '.join(held)}: add it again, and leave it out once the node has closed it; "
                "or close all with perpdesk risk flatten and start again: what the venue holds no "
                "more is forgotten, and the other leg closed"
            )
        if legs:
            self._forgotten = f"{what}universe or held: forgotten, the other leg is closed"
            trades = {n: trade for n, trade in self.memory.trades.items() if n not in names}
            self._save(without(self.book, legs), replace(self.memory, trades=trades))

    def _save(self, book: PairBook, memory: PairsMemory) -> None:
        if (book, memory) == (self.book, self.memory):
            return
        self._saved = Saved(book, memory)
        if self.broker.store is not None:
            self.broker.store.save(STATE, msgspec.json.encode(self._saved))

    @property
    def _terms(self) -> Terms:
        lots = {name.value: self.market.lot(name).step for name in self.instrument_ids}
        busy = frozenset(name.value for name in self.instrument_ids if self.busy_in(name))
        return Terms(lots, self.config.two_leg, busy)

    # Start and stop ----------------------------------------------------------------------------

    def on_start(self) -> None:
        """Subscribe to candles and prices, and set the timers."""
        super().on_start()
        spot = [name.value for name in self.instrument_ids if self.market.is_spot(name)]
        if spot:
            raise ValueError(
                f"strategy {self.config.key}: spot can't be sold short: leave out {', '.join(spot)}"
            )
        notes = [self.start_note, self._forgotten]
        if unlisted := decide.unlisted(self.config, self.memory, self.book):
            notes.append(f"{', '.join(unlisted)}: open, no longer listed: exits only")
        self.start_note = "; ".join(filter(None, notes))
        self._stopping = False
        self._repeat("candle", self._history.interval_ns, self._on_candle_timer)
        if self.config.two_leg.first == "thin":
            self.market.want_levels()
        if self.market.sees_top_of_book:
            for instrument_id in self.instrument_ids:
                self.market.watch(instrument_id)
            self._repeat("pulse", PULSE_NS, self._on_pulse)
            if self.config.check_every is not None:
                self._repeat("check", duration_ns(self.config.check_every), self._on_check)

    def _repeat(self, name: str, every_ns: int, then: Callable[[Any], None]) -> None:
        repeat(self.clock, (every_ns, 0), f"{name}.{self.config.key}", then)

    def leave_open(self) -> None:
        """Leave what is under way for the next start."""
        self._stopping = True

    def leave_flat(self) -> None:
        """Leave all pairs in the book; the stop of the node closes what is held."""
        # Before anything is sent: the stop's own orders reach these goals.
        if not self._stopping:
            self._stopping = True
            found = decide.flatten(self.config, self.book, self.memory, self.ids)
            if found.plans or self.book.positions.spare:
                self._carry_out(found, ["the node stops"], kind="flatten")

    def on_stop(self) -> None:
        """Cancel open orders; keep positions, and changes under way for the next start."""
        self._stopping = True
        self.broker.stop()
        self.broker.cancel_all()

    def resume(self) -> bool:
        """Settle the book by the venue's positions, continue changes, catch up a missed candle."""
        for instrument_id in self.instrument_ids:
            self.broker.forget(instrument_id)
        self.broker.cancel_all()
        under_way = bool(self.book.changes or self.book.positions.spare)
        held = {name.value: self.market.holding(name) for name in self.instrument_ids}
        # Nothing is sent before an entry of a pair that is no longer listed is unwound.
        self._keep(recovered(self.book, held, self._terms, self.clock.timestamp_ns()))
        self._is_restarting = False
        found = decide.leave_unlisted(self.config, self.book, self.memory)
        if found.plans:
            self._carry_out(found, found.words)
        self._pursue()
        leaving = self.verdicts.left_to_leave()
        if leaving:
            self.on_flatten(leaving, self.verdicts.strictest_on(min(leaving)))
        caught_up = self.decided is not None and self.run_now()
        return under_way or bool(leaving) or caught_up

    # The schedule ------------------------------------------------------------------------------

    def schedule(self) -> tuple[int, int]:
        """Return the candles' interval: it decides when one has closed."""
        return self._history.interval_ns, 0

    @property
    def decided(self) -> int | None:
        """Close time of the newest candle that it decided on, None before the first."""
        return self.memory.decided

    def due(self, now_ns: int) -> int | None:
        """Return the newest candle's close time unless it is decided on."""
        stamp = last_close(now_ns, self._history.interval_ns)
        return None if self.decided is not None and self.decided >= stamp else stamp

    def run_now(self, force: bool = False) -> bool:
        """Decide on the newest closed candle, with ``force`` once more."""
        now = self.clock.timestamp_ns()
        if self.busy or (self.due(now) is None and not force):
            return False
        self._decide(now, now)
        return True

    @property
    def busy(self) -> bool:
        """Whether a decision waits, or changes or orders are under way.

        What has been tried for ``execution.retry_for`` is left for the next start, though it is
        tried on.
        """
        changes = bool(self.book.changes) and not self._overdue
        return changes or bool(self._waits) or self.broker.trading

    @property
    def _overdue(self) -> bool:
        since = min((change.started for change in self.book.changes.values()), default=None)
        retry_ns = duration_ns(self.config.execution.retry_for)
        return since is not None and self.clock.timestamp_ns() >= since + retry_ns

    @property
    def delay(self) -> str:
        """Why a decision has waited for some time, empty when none has."""
        return self._waits if self.clock.timestamp_ns() >= self._waits_since + LATE_NS else ""

    def unfinished(self) -> dict[str, tuple[Decimal, Decimal]]:
        """Return the wanted and the held position of each instrument left for the next start."""
        if not (self._stopping or self._overdue):
            return {}
        held = {name.value: self.market.holding(name) for name in self.instrument_ids}
        return {n: (q, held[n]) for n, q in sorted(self.book.goals().items()) if q != held[n]}

    # Decisions ---------------------------------------------------------------------------------

    def _on_candle_timer(self, event: Any) -> None:
        self._decide(event.ts_event, self.clock.timestamp_ns())

    def _decide(self, ts: int, since: int) -> None:
        """Decide on the candles complete at a time; live, wait a little for late ones."""
        if self._stopping or self._is_restarting:
            return
        data_ts = last_close(ts, self._history.interval_ns)
        now = self.clock.timestamp_ns()
        late = isinstance(self.clock, LiveClock) and self._history.lacks(data_ts)
        self._waits = "candles are missing" if late and now < since + CANDLES_PATIENCE_NS else ""
        self._waits_since = since
        if self._waits:
            again = f"late.{self.config.key}"
            wake_in(self.clock, PULSE_NS, again, lambda _: self._decide(ts, since))
            return
        for instrument_id in self.instrument_ids:
            self._settle(instrument_id.value, None, own=False)
        self._keep(time_passed(self.book, self._terms, now))
        close = self._history.window(data_ts).close
        memory, found = decide.select(self.config, self.ids, self.memory, close, data_ts)
        if found is not None:
            self.log.info(
                f"{len(found.chosen)} pairs selected of {found.tested} tested, "
                f"{found.significant} of them significant after correction"
            )
            chosen = {"chosen": tuple(map(pair_name, memory.pairs))}
            self._tell("selected", found._asdict() | chosen)
        views = self._read(close, data_ts, memory)
        curves = {"z": views.z, "spread": views.z * views.std}
        facts = {k: dict(zip(self._tracked, v.tolist(), strict=True)) for k, v in curves.items()}
        self._tell("candle", facts, data_ts)
        assert self._track is not None
        columns = self._track.pairs
        memory = decide.retest(self.config, memory, self._tracked, columns, close, data_ts)
        self._act(views, replace(memory, decided=data_ts), close[-1], data_ts, closed=True)

    def _read(self, close: Floats, data_ts: int, memory: PairsMemory) -> Views:
        """Return the views of the candle that closed last, and keep what the next prices need."""
        self._tracked = decide.active(self.config, memory, self.book)
        columns = decide.columns_of(self.ids, self._tracked)
        before = data_ts - self._history.interval_ns
        track = follow(self._track, before, close[:-1], columns, self.config)
        betas = decide.entered_betas(self.memory, self._tracked)
        self._track, views = read(track, data_ts, close, betas, self.config)
        return views

    def _on_check(self, event: Any) -> None:
        """Judge the newest prices by the statistics of the closed candles."""
        now = self.clock.timestamp_ns()
        closed = last_close(now, self._history.interval_ns)
        if self._stopping or self._is_restarting:
            return
        warm = self._history.newest == closed and not self._history.lacks(closed)
        if self._track is None and warm:
            # Since the start no candle has closed: the newest is one of the warm-up.
            self._read(self._history.window(closed).close, closed, self.memory)
        track = self._track
        if track is None or track.ts != closed:
            return
        tops = [self.market.top_of_book(name) for name in self.instrument_ids]
        row = np.array([np.nan if top is None else float(top.mid) for top in tops])
        close = np.vstack([self._history.window(closed).close[1:], row])
        betas = decide.entered_betas(self.memory, self._tracked)
        _, views = read(track, now, close, betas, self.config)
        self._act(views, self.memory, row, closed, closed=False)

    def _act(
        self, views: Views, memory: PairsMemory, prices: Floats, data_ts: int, *, closed: bool
    ) -> None:
        """Enter and leave the tracked pairs, as the rules want and both legs allow."""
        rules, book, pairs = self.config, self.book, self._tracked
        judged = decide.judge_pairs(rules, book, memory, views, pairs, data_ts)
        legs = {leg for enter in judged.enters for leg in pairs[enter.pair]}
        snapshot = self._snapshot(legs, prices) if legs else NO_ENTRIES
        found = decide.plan(rules, judged, memory, pairs, snapshot, self._skipped, data_ts)
        self._skipped = found.skipped
        if found.plans or (closed and book.positions.spare):
            words = found.words or ["positions of no pair are closed"]
            self._carry_out(found, words, data_ts=data_ts)
        else:
            self._say(found)
            self._save(book, found.memory)
            self._pursue()

    def _snapshot(self, legs: Iterable[str], prices: Floats) -> Snapshot:
        """Return what entries of the legs are sized by."""
        market, ids = self.market, {name: InstrumentId.from_str(name) for name in legs}
        price = {n: Decimal(repr(float(p))) for n, p in zip(self.ids, prices, strict=True)}
        thin = self.config.two_leg.first == "thin" and market.sees_top_of_book
        return Snapshot(
            equity=self.equity(),
            prices=price,
            lots={name: market.lot(found) for name, found in ids.items()},
            verdicts={name: self.verdicts.strictest_on(name) for name in ids},
            margin=market.margin(),
            depths={n: market.depth(i, _THIN_WITHIN_BPS) for n, i in ids.items()} if thin else {},
        )

    def _say(self, planned: Planned) -> None:
        """Publish what was planned, and keep the reasons for orders."""
        for kind, facts in planned.events:
            if kind == "skipped":
                self.log.info(f"{facts['pair']}: not entered, {SKIPS[facts['reason']]}")
            self._tell(kind, facts)
        self._reasons |= planned.reasons

    def _carry_out(self, planned: Planned, words: Iterable[str], **about: Any) -> None:
        self._say(planned)
        result = change_pairs(self.book, planned.plans, self._terms, self.clock.timestamp_ns())
        self._keep(result, words, planned.memory, **about)

    # Guards ------------------------------------------------------------------------------------

    def on_flatten(self, instruments: Container[str], verdict: Verdict) -> None:
        """Leave whole pairs, at market, that have a leg in instruments that a verdict flattens."""
        found = decide.flatten(self.config, self.book, self.memory, self.verdicts.to_leave())
        if found.plans or self.book.positions.spare:
            self._carry_out(found, [verdict.reason], kind="flatten")

    def on_halt(self, instruments: Container[str], verdict: Verdict) -> None:
        """Cut entries under way to what both legs have; exits go on."""
        book, ended, now = self.book, list[Ended](), self.clock.timestamp_ns()
        for name in filter(instruments.__contains__, self.ids):
            book, more = blocked(book, name, "halted", self._terms, now)
            ended += more
        self._keep((book, ended))

    # Orders ------------------------------------------------------------------------------------

    def on_order_event(self, event: OrderEvent) -> None:
        """Give fills to pairs; cut an entry whose leg was refused for good."""
        super().on_order_event(event)
        name, own = event.instrument_id.value, self.broker.sent(event.client_order_id)
        if isinstance(event, OrderFilled):
            self._settle(name, event.last_px.as_decimal(), own=own)
        elif own and isinstance(event, OrderDenied | OrderRejected):
            refusal = refusal_of(event.reason, denied=isinstance(event, OrderDenied))
            self._seeker.pause(name)
            if refusal.transient or refusal.code in _NOT_FOR_GOOD:
                return
            order = self.broker.order(event.client_order_id)
            buys = None if order is None else order.side == OrderSide.BUY
            now = self.clock.timestamp_ns()
            self._keep(blocked(self.book, name, "refused", self._terms, now, buys=buys))

    def on_order_ended(self) -> None:
        """End cut changes, and send what waited for the end of an order toward an earlier goal."""
        if any(change.done for change in self.book.changes.values()):
            self._keep(time_passed(self.book, self._terms, self.clock.timestamp_ns()))
        if self._seeker.cleared():
            self._pursue()

    def _on_pulse(self, event: Any) -> None:
        if self.book.changes or self.book.positions.spare:
            self._keep(time_passed(self.book, self._terms, self.clock.timestamp_ns()))

    def _settle(self, name: str, price: Decimal | None, *, own: bool) -> None:
        """Give what the venue's position changed by to the pairs."""
        held = self.market.holding(InstrumentId.from_str(name))
        change = held - self.book.positions.held().get(name, ZERO)
        if change:
            now = self.clock.timestamp_ns()
            self._keep(venue_traded(self.book, name, change, price, self._terms, now, own=own))

    def _keep(
        self,
        result: Result,
        words: Iterable[str] = (),
        memory: PairsMemory | None = None,
        *,
        kind: str = "rebalance",
        data_ts: int | None = None,
    ) -> None:
        """Save the book, publish a decision where targets have changed, and send orders."""
        memory, words = self.memory if memory is None else memory, list(words)
        if not words:
            words, reasons = decide.cut_words(self.book, result)
            self._reasons |= reasons
        book, ended = result
        netted = decide.leave_netted(self.config, book, memory, *self._halts(book))
        if netted.plans:
            self._say(netted)
            words, memory = words + netted.words, netted.memory
            book, more = change_pairs(book, netted.plans, self._terms, self.clock.timestamp_ns())
            ended += more
        for end in ended:
            self._tell("ended", end._asdict())
            memory = decide.after(self.config, memory, end)
        self._save(book, memory)
        if words:
            self.publish(self._decision(kind, "; ".join(words), data_ts))
        self._pursue()
        self._await_budget()

    def _halts(self, book: PairBook) -> tuple[frozenset[str], frozenset[str]]:
        """Return in which legs of changes under way entries are halted: for good, and for now."""
        legs = {leg for name in book.changes for leg in book.pairs[name].legs}
        return (
            frozenset(leg for leg in legs if halted_for_good(self.verdicts.on(leg))),
            frozenset(leg for leg in legs if halted_for_now(self.verdicts.on(leg))),
        )

    def _await_budget(self) -> None:
        """Look at changes under way again when the budget of one has passed."""
        now = self.clock.timestamp_ns()
        found = (budget_passed(c, self.config.two_leg) for c in self.book.changes.values())
        moments = [moment for moment in found if moment is not None and moment > now]
        if moments and self.market.sees_top_of_book and not self._stopping:
            wake_in(self.clock, min(moments) - now, f"budget.{self.config.key}", self._on_pulse)

    def _tell(self, kind: str, facts: dict[str, Any], ts: int | None = None) -> None:
        key, now = self.config.key, self.clock.timestamp_ns() if ts is None else ts
        event = PairEvent(strategy=key, ts=now, kind=kind, facts=msgspec.to_builtins(facts))
        self.msgbus.publish(f"pairs.{key}", event)

    def _pursue(self) -> None:
        """Send what is missing to the positions that the book wants."""
        if not (self._stopping or self._is_restarting):
            self._seeker.seek(lambda: self.book.wanted(self.config.two_leg), self._reasons)

    def _decision(self, kind: str, note: str, data_ts: int | None) -> Decision:
        now = self._decided_at = max(self.clock.timestamp_ns(), self._decided_at + 1)
        return decide.decision_of(
            self.book,
            self.holdings(),
            lambda name: self.last_price(InstrumentId.from_str(name)),
            self.equity(),
            self._reasons,
            strategy=self.config.key,
            ts=now,
            data_ts=last_close(now, self._history.interval_ns) if data_ts is None else data_ts,
            kind=kind,
            multiplier=self.verdicts.strictest.multiplier,
            note=note,
        )
