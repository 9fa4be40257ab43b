"""Run pairs in the engine: candles, checks of prices, decisions. Engine-specific.

`views` and `decide` decide; `two_leg_trader` carries it out.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping
from decimal import Decimal
from typing import Any

import numpy as np
from msgspec.structs import replace
from nautilus_trader.common.component import LiveClock
from nautilus_trader.model.identifiers import InstrumentId

from config.durations import duration_ns
from strategies.candles import CandleStrategy
from strategies.hedged import decide
from strategies.hedged.book import Ended, PairBook, time_passed
from strategies.hedged.decide import NO_ENTRIES, Named, Snapshot
from strategies.hedged.planned import Planned
from strategies.hedged.rules import SKIPS, PairsMemory, Skip
from strategies.hedged.two_leg_trader import PULSE_NS, TwoLegTrader
from strategies.hedged.views import Track, Views, follow, read, rows_for_views
from strategies.on_loop import wake_in
from strategies.pairs import PairsConfig, pair_name
from strategies.schedule import last_close
from strategies.signals.cointegration import load_tests
from strategies.signals.spread import Floats
from strategies.verdicts import halted_for_good, halted_for_now

STATE = "pairs"
CANDLES_PATIENCE_NS = 60 * 10**9
"""How long a live decision waits for late candles …"""
LATE_NS = 10 * 10**9
"""… and after which that is named: each candle arrives a moment after its close."""
_THIN_WITHIN_BPS = 10.0


class HedgedTrader(TwoLegTrader, CandleStrategy):
    """Runs `strategies.pairs.Pairs`; `strategies.engine_class` joins the two."""

    state_name = STATE
    memory_type = PairsMemory

    def __init__(self, config: PairsConfig) -> None:
        super().__init__(config, rows_for_views(config))
        if config.cointegration is not None or config.select is not None:
            load_tests()
        self._track: Track | None = None
        # The pairs of the track, in its order: one may end before the next candle.
        self._tracked: Named = {}
        self._skipped: Mapping[str, Skip] = {}
        self._waits, self._waits_since = "", 0

    # What it decides ---------------------------------------------------------------------------

    def plan_flatten(self, instruments: Container[str]) -> Planned[PairsMemory]:
        """Return plans by which pairs with a leg in the instruments leave, whole and at market."""
        return decide.flatten(self.config, self.book, self.memory, instruments)

    def plan_unlisted(self) -> Planned[PairsMemory]:
        """Return plans by which entries under way are unwound whose pairs are not listed."""
        return decide.leave_unlisted(self.config, self.book, self.memory)

    def plan_netted(self, book: PairBook, memory: PairsMemory) -> Planned[PairsMemory]:
        """Return plans by which pairs leave that an exit was netted with, where a halt stands."""
        return decide.leave_netted(self.config, book, memory, *self._halts(book))

    def after(self, memory: PairsMemory, end: Ended) -> PairsMemory:
        """Return what is remembered after a change of a pair has ended."""
        return decide.after(self.config, memory, end)

    def catch_up(self) -> bool:
        """Decide on the newest candle after a restart."""
        return self.decided is not None and self.run_now()

    def data_time(self, now: int) -> int:
        """Return the close time of the newest candle."""
        return last_close(now, self._history.interval_ns)

    # Start and stop ----------------------------------------------------------------------------

    def on_start(self) -> None:
        """Subscribe to candles and prices, and set the timers."""
        super().on_start()
        spot = [name.value for name in self.instrument_ids if self.market.is_spot(name)]
        if spot:
            raise ValueError(
                f"strategy {self.config.key}: spot can't be sold short: leave out {', '.join(spot)}"
            )
        if unlisted := decide.unlisted(self.config, self.memory, self.book):
            note = f"{', '.join(unlisted)}: open, no longer listed: exits only"
            self.start_note = "; ".join(filter(None, [self.start_note, note]))
        self._repeat("candle", self._history.interval_ns, self._on_candle_timer)
        if self.market.sees_top_of_book and self.config.check_every is not None:
            self._repeat("check", duration_ns(self.config.check_every), self._on_check)

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
        """Whether a decision waits, or changes or orders are under way."""
        return bool(self._waits) or super().busy

    @property
    def delay(self) -> str:
        """Why a decision has waited for some time, empty when none has."""
        return self._waits if self.clock.timestamp_ns() >= self._waits_since + LATE_NS else ""

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

    def _say(self, planned: Planned[Any]) -> None:
        """Publish what was planned, and log the entries left out."""
        for kind, facts in planned.events:
            if kind == "skipped":
                self.log.info(f"{facts['pair']}: not entered, {SKIPS[facts['reason']]}")
        super()._say(planned)

    def _halts(self, book: PairBook) -> tuple[frozenset[str], frozenset[str]]:
        """Return in which legs of changes under way entries are halted: for good, and for now."""
        legs = {leg for name in book.changes for leg in book.pairs[name].legs}
        return (
            frozenset(leg for leg in legs if halted_for_good(self.verdicts.on(leg))),
            frozenset(leg for leg in legs if halted_for_now(self.verdicts.on(leg))),
        )
