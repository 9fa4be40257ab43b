"""Run the scalper in the engine: books, trades, looks, orders, state. Engine-specific.

Each book and trade goes to the signals. At a book, but not more often than ``look``, `decide` says
what to do. The bracket is the broker's protector, which gets the candles of the mid. What was
learned is saved each ``report_every`` and at a stop; a position and its orders are found again by
the broker. After a crash nothing is decided before the node has reconciled (`resume`).
"""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import msgspec
import numpy as np
from nautilus_trader.common.component import LiveClock
from nautilus_trader.model.data import OrderBookDeltas, TradeTick
from nautilus_trader.model.enums import AggressorSide, OrderSide
from nautilus_trader.model.events import PositionClosed
from nautilus_trader.model.identifiers import InstrumentId

from config.durations import duration_ns
from strategies.base import DeskStrategy
from strategies.market_view import (
    Floats,
    ShownBook,
    follows_loss,
    level_rows,
    skips,
    update_id,
)
from strategies.messages import Decision, Executed, Learned, Target
from strategies.on_loop import repeat
from strategies.protector import Protector
from strategies.scalper import ScalperConfig
from strategies.scalping import decide
from strategies.scalping.decide import Enter, Leave, Seen, Withdraw
from strategies.signals.book_scores import BookScores
from strategies.signals.fusion import Fusion, FusionState
from strategies.signals.scalper_parameters import SIGNALS
from strategies.state import StateStore
from strategies.tactics.bracket import MidCandles

ZERO = Decimal(0)
STATE = "scalper"
_SIDES = {AggressorSide.BUYER: 1, AggressorSide.SELLER: -1}


class Saved(msgspec.Struct, frozen=True):
    """What survives a crash: what the fusion of each instrument has learned."""

    learned: dict[str, FusionState] = {}
    learned_by: str = ""
    """Digest of the parameters that scores and what is learned from them depend on."""


class _Market:
    """One instrument's signals, and what its last look has seen."""

    def __init__(self, rules: ScalperConfig, name: str, tick: float, saved: FusionState | None):
        self.levels = rules.signals.levels
        self._made = rules.signals, tick
        self.scores = BookScores(*self._made)
        self.fusion = Fusion(rules.fusion, name.partition("-")[0], saved)
        self.candles = MidCandles()
        self.book = np.zeros((2, self.levels, 2))
        self.bids, self.asks = self.book
        self.looked = self.paused_until = self.data_ts = self.update = 0
        self.lost = self.shows_trades = False
        self.mid = math.nan
        self.value = math.nan
        self.cost = 0.0
        self.each = np.full(len(SIGNALS), np.nan)

    def follow(self, deltas: OrderBookDeltas, *, is_live: bool) -> None:
        """Note whether messages were lost before this one; ids of recordings need not rise by 1."""
        self.lost |= follows_loss(deltas)
        if is_live:
            before, self.update = self.update, update_id(deltas)
            self.lost |= skips(before, self.update) and not deltas.is_snapshot

    def show(self, ts: int, levels: Floats, *, whole: bool = False) -> None:
        """Take in a book, as `ShownBook` has it.

        Signals begin anew after lost messages, and at one that is sent ``whole`` and differs from
        the last: what came between is not known. Some sources send the same one again from time to
        time.
        """
        before = self.book.copy() if whole and self.data_ts else None
        self.book[:] = levels
        self.mid, self.data_ts = (self.bids.item(0) + self.asks.item(0)) / 2, ts
        self.candles.see(self.mid)
        differs = before is not None and not np.array_equal(before, self.book, equal_nan=True)
        if self.lost or differs:
            self.scores = BookScores(*self._made)
        self.lost = False
        self.scores.on_book(ts, self.bids, self.asks)

    @property
    def spread_bps(self) -> float:
        """Spread of the last book, basis points."""
        return float(self.asks[0, 0] - self.bids[0, 0]) / self.mid * 1e4

    @property
    def displayed(self) -> float:
        """Size that the thinner side of the last book displays, base coin."""
        return float(min(self.bids[:, 1].sum(), self.asks[:, 1].sum()))


class ScalpTrader(DeskStrategy):
    """Runs `strategies.scalper.Scalper`; `strategies.engine_class` joins the two."""

    sizes_by_verdicts = True

    def __init__(self, config: ScalperConfig) -> None:
        super().__init__(config)
        self._markets: dict[InstrumentId, _Market] = {}
        self._saved = Saved()
        self._refused: Counter[str] = Counter()
        self._look_ns, self._decided_at = duration_ns(config.look), 0
        self._dropped = ""
        self._waits_for_node = self._stopping = False
        _compile(config)

    @property
    def _bracket(self) -> Protector:
        assert self.broker.protector is not None
        return self.broker.protector

    def attach_state(self, store: StateStore) -> None:
        """Save state in the store, and load what it has.

        What other parameters have learned is dropped: it trades once it has learned anew. Raises
        DeskError when the saved state can't be read.
        """
        super().attach_state(store)
        saved = self.broker.load_state(STATE, Saved) or Saved()
        self._waits_for_node = True
        if saved.learned_by == learned_by(self.config):
            self._saved = saved
        elif saved.learned:
            self._dropped = "it learns anew: signals or fusion have other parameters than before"

    def levels_needed(self) -> int:
        """Return the levels that the signals read."""
        levels: int = self.config.signals.levels
        return levels

    # Start and stop ----------------------------------------------------------------------------

    def on_start(self) -> None:
        """Subscribe to books and trades, and set the timers."""
        super().on_start()
        self.start_note = "; ".join(filter(None, [self.start_note, self._dropped]))
        config = self.config
        spot = [name.value for name in self.instrument_ids if self.market.is_spot(name)]
        if spot:
            raise ValueError(
                f"strategy {config.key}: spot can't be sold short: leave out {', '.join(spot)}"
            )
        self.market.want_levels()
        if self.market.source != "book":
            raise ValueError(
                f"strategy {config.key}: reads order books, and this market has best prices at "
                "most: trade on practice with a market of books, on demo, testnet or mainnet"
            )
        for instrument_id in self.instrument_ids:
            name = instrument_id.value
            tick = float(self.instrument(instrument_id).price_increment)
            learned = self._saved.learned.get(name)
            self._markets[instrument_id] = _Market(config, name, tick, learned)
            self.market.watch(instrument_id)
            self.market.watch_trades(instrument_id)
        self._stopping = False
        for timer, span, then in (
            ("candle", config.candle, self._on_candle),
            ("report", config.report_every, self._on_report),
        ):
            repeat(self.clock, (duration_ns(span), 0), f"{timer}.{config.key}", then)

    def leave_open(self) -> None:
        """Decide nothing any more; brackets stay at the venue."""
        self._stopping = True

    def leave_flat(self) -> None:
        """Decide nothing any more; the stop of the node closes what is held."""
        self._stopping = True

    def on_stop(self) -> None:
        """Cancel entries and exits under way; save what was learned."""
        self._stopping = True
        self.broker.stop()
        self.broker.cancel_all()
        self._save()

    def resume(self) -> bool:
        """Begin to decide: what was under way before is cancelled, its score has gone."""
        for instrument_id in self.instrument_ids:
            self.broker.forget(instrument_id)
        self.broker.cancel_all()
        self._waits_for_node = False
        leaving = self.verdicts.left_to_leave()
        if leaving:
            self.on_flatten(leaving, self.verdicts.strictest_on(min(leaving)))
        return bool(leaving)

    def _save(self) -> None:
        learned = {name.value: found.fusion.state() for name, found in self._markets.items()}
        self._saved = Saved(learned, learned_by(self.config))
        if learned:
            self.broker.save_state(STATE, self._saved)

    # Data --------------------------------------------------------------------------------------

    def on_order_book_deltas(self, deltas: OrderBookDeltas) -> None:
        """Show the book to tactics and signals, and look."""
        super().on_order_book_deltas(deltas)
        instrument_id = deltas.instrument_id
        found = self._markets[instrument_id]
        found.follow(deltas, is_live=isinstance(self.clock, LiveClock))
        if isinstance(deltas, ShownBook):
            self._take_trades(found, deltas)
        levels = self.market.levels_after(deltas, found.levels)
        bid, ask = levels[:, 0, 0].tolist()
        if math.isnan(bid) or math.isnan(ask):
            return
        found.show(deltas.ts_event, levels, whole=deltas.is_snapshot)
        now = self.clock.timestamp_ns()
        if now >= found.looked + self._look_ns and bid < ask:
            found.looked = now
            self._look(instrument_id, found, now)

    def _take_trades(self, found: _Market, deltas: ShownBook) -> None:
        if not found.shows_trades:
            # Those until now came one by one, which takes several times as long.
            found.shows_trades = True
            self.unsubscribe_trade_ticks(deltas.instrument_id)
        elif len(deltas.trades):
            found.scores.on_trades(deltas.ts_event, deltas.trades)

    def on_trade_tick(self, tick: TradeTick) -> None:
        """Show a trade to the signals."""
        side = _SIDES.get(tick.aggressor_side)
        if side is not None:
            price, quantity = tick.price.as_double(), tick.size.as_double()
            self._markets[tick.instrument_id].scores.on_trade(tick.ts_event, price, quantity, side)

    def _on_candle(self, event: Any) -> None:
        for instrument_id, found in self._markets.items():
            candle = found.candles.end(event.ts_event)
            if candle is not None:
                self._bracket.on_candle(instrument_id, *candle)

    def _on_report(self, event: Any) -> None:
        self._save()
        if self._refused and not self._stopping:
            words = ", ".join(f"{code} {count}" for code, count in self._refused.most_common())
            self._publish("wait", f"not entered: {words}")

    # Decisions ---------------------------------------------------------------------------------

    def _look(self, instrument_id: InstrumentId, found: _Market, now: int) -> None:
        rules, instrument = self.config, self.instrument(instrument_id)
        maker, taker = float(instrument.maker_fee), float(instrument.taker_fee)
        cost = found.cost = decide.cost_bps(rules, maker, taker, found.spread_bps)
        found.each = found.scores.scores(found.data_ts)
        found.value = found.fusion.update(found.data_ts, found.mid, found.each, cost).value
        if self._stopping or self._waits_for_node:
            return
        regime = found.scores.regime(found.data_ts)
        entry, leave = found.fusion.thresholds(regime)
        learned = found.fusion.expected_bps(found.value)
        expected = decide.expected_bps(rules, learned, found.value)
        seen = Seen(found.value, regime, entry, leave, expected, cost, *self._own(instrument_id))
        refused: decide.Refused | None = None
        match decide.wish(seen):
            case Enter(side):
                refused = self._enter(instrument_id, found, side, expected - cost, now)
            case Leave(reason):
                self._leave(instrument_id, seen.held, reason)
            case Withdraw():
                self.stop_executing({instrument_id.value})
            case code:
                refused = code
        if refused is not None:
            self._refused[refused] += 1

    def _own(self, instrument_id: InstrumentId) -> tuple[Decimal, Decimal, bool]:
        """Return what is held, what of an entry is under way, and whether an exit is."""
        held, entering, exiting = self.holding(instrument_id), ZERO, False
        if self.broker.trading:
            for order in self.orders_under_way({instrument_id.value}):
                left = order.quantity.as_decimal() - order.filled_qty.as_decimal()
                signed = left if order.side == OrderSide.BUY else -left
                if self.broker.is_entry(order):
                    entering += signed
                else:
                    exiting = True
            # Between two orders of a tactic none is out.
            if not (entering or exiting) and self.busy_in(instrument_id):
                exiting = True
        return held, entering, exiting

    def _enter(
        self, instrument_id: InstrumentId, found: _Market, side: int, gain_bps: float, now: int
    ) -> decide.Refused | None:
        verdict = self.verdicts.strictest_on(instrument_id.value)
        mid = Decimal(repr(found.mid))
        stop = self._bracket.first_stop(instrument_id, mid)
        refused = decide.held_back(
            verdict,
            paused=now < found.paused_until,
            whole=self._bracket.is_whole(instrument_id),
            stop=stop,
        )
        if refused is not None or not stop:
            return refused
        quantity = decide.size(
            self.config,
            self.equity(),
            mid,
            stop,
            self.instrument(instrument_id).taker_fee,
            found.displayed,
            verdict.multiplier,
            self.market.terms(instrument_id, exits=False),
        )
        if not quantity:
            return "too_small"
        reason = f"score {found.value:+.2f}, {gain_bps:.1f} bps beyond cost"
        self._publish("scalp", reason, (instrument_id, side * quantity, side * quantity))
        self.execute(instrument_id, side * quantity, reason)
        return None

    def _leave(self, instrument_id: InstrumentId, held: Decimal, reason: str) -> None:
        # An exit that rests would be cut to nothing by the take-profit, which is for all as well.
        self._publish("scalp", reason, (instrument_id, -held, ZERO))
        self.send_market(instrument_id, -held, reason)

    def on_executed(self, done: Executed) -> None:
        """Pause after an entry, or what was left of it."""
        self._pause(InstrumentId.from_str(done.instrument))

    def on_position_closed(self, event: PositionClosed) -> None:
        """Cancel what is left of the bracket, and pause."""
        super().on_position_closed(event)
        self._pause(event.instrument_id)

    def _pause(self, instrument_id: InstrumentId) -> None:
        pause = duration_ns(self.config.pause)
        if instrument_id in self._markets:
            self._markets[instrument_id].paused_until = self.clock.timestamp_ns() + pause

    def _publish(
        self, kind: str, note: str, order: tuple[InstrumentId, Decimal, Decimal] | None = None
    ) -> None:
        now = self._decided_at = max(self.clock.timestamp_ns(), self._decided_at + 1)
        equity, refused = self.equity(), dict(sorted(self._refused.items()))
        self._refused.clear()
        targets = tuple(self._targets(note, order, equity, learned=kind == "wait"))
        self.publish(
            Decision(
                strategy=self.config.key,
                ts=now,
                data_ts=max((found.data_ts for found in self._markets.values()), default=now),
                kind=kind,
                equity=f"{equity:f}",
                multiplier=self.verdicts.strictest.multiplier,
                gross=sum(abs(target.weight) for target in targets),
                net=sum(target.weight for target in targets),
                targets=targets,
                note=note,
                refusals=refused,
            )
        )

    def _targets(
        self,
        note: str,
        order: tuple[InstrumentId, Decimal, Decimal] | None,
        equity: Decimal,
        learned: bool,
    ) -> Iterator[Target]:
        for instrument_id, found in self._markets.items():
            if math.isnan(found.mid):
                continue
            held = self.holding(instrument_id)
            mine = order is not None and order[0] == instrument_id
            quantity, target = order[1:] if order is not None and mine else (ZERO, held)
            scores = (None if math.isnan(score) else score for score in found.each.tolist())
            yield Target(
                instrument=instrument_id.value,
                price=found.mid,
                score=None if math.isnan(found.value) else found.value,
                weight=float(target) * found.mid / float(equity) if equity else 0.0,
                current=f"{held:f}",
                target=f"{target:f}",
                order=f"{quantity:f}",
                reason=note if mine else "",
                scores=dict(zip(SIGNALS, scores, strict=True)),
                learned=_learned(found) if learned else msgspec.UNSET,
            )


def _learned(found: _Market) -> Learned:
    """Return what an instrument's fusion knows, rounded: a journal keeps it each minute."""
    fusion = found.fusion
    moves, counts = fusion.calibration[..., 0], fusion.calibration[..., 1]
    return Learned(
        horizons_s=fusion.rules.horizons_s,
        cost_bps=round(found.cost, 3),
        weights={n: round(w, 4) for n, w in zip(SIGNALS, fusion.weights.tolist(), strict=True)},
        edges={
            name: tuple(round(edge, 3) for edge in own)
            for name, own in zip(SIGNALS, fusion.edges.tolist(), strict=True)
        },
        calibration=tuple(
            (step / fusion.rules.bins, round(float(counts[0, step]), 1), tuple(row))
            for step, row in enumerate(moves.T.round(3).tolist())
            if counts[0, step] >= 1.0
        ),
    )


def learned_by(rules: ScalperConfig) -> str:
    """Return the digest of what scores and the learning depend on: not of thresholds."""
    fusion = msgspec.to_builtins(rules.fusion)
    for name in ("thresholds", "by_symbol", "horizon_s"):
        del fusion[name]
    words = msgspec.json.encode((fusion, rules.signals), order="deterministic")
    return hashlib.sha256(words).hexdigest()


def _compile(rules: ScalperConfig) -> None:
    """Compile the signals before data come: the first time it takes some seconds."""
    found = _Market(rules, "", 1.0, None)
    found.show(0, level_rows(((1.0, 1.0),), ((2.0, 1.0),), found.levels))
    found.scores.on_trade(0, 1.0, 1.0, 1)
    found.scores.on_trades(0, np.array([[0.0, 1.0, 1.0, 1.0]]))
    fused = found.fusion.update(0, found.mid, found.scores.scores(0), 0.0)
    found.fusion.expected_bps(fused.value)
    found.scores.regime(0)
