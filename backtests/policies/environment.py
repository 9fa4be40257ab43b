"""The basis of one pair as a Gymnasium environment, whose money is the backtest's to the cent.

An action is taken at a look: 0 hold, 1 open, 2 close, at once and as a taker on both legs, without
latency. What the strategy would refuse (an edge too small, no size, nothing to close, a close
before the funding it was opened for) counts as a hold. The reward is the change of net equity until
the next look, USDT: cash and what closing at once would leave, after all costs. Prices, edges,
sizes and features are computed by the strategy's functions; fills and funding are booked in a
backtest's ledger.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces

from actors.records.coins import WholeLots, base_coin
from actors.records.ledger import Ledger
from actors.records.rows import FillRow
from backtests.engine.settlement import funding_amount
from backtests.policies.looks import Pair, Tape
from config.durations import duration_ns
from strategies.basis.decide import Trade, awaits_funding, pays, quantity_seen, trade_of
from strategies.basis.edge import Edge, Levels
from strategies.basis.features import FEATURES, Look, Past, Vector, look
from strategies.basis.policy import policy_of
from strategies.basis.threshold import Act
from strategies.tactics.two_leg import NONE, Legs

ZERO = Decimal(0)
OWNER = "basis"
BOUND = 1e6
"""Observations are cut to this, either way."""
Decide = Callable[[Vector, int, Edge], Act]
"""Acts on features, position and edge, as the policies of `strategies.basis` do."""


class BasisEnv(gymnasium.Env[Vector, np.int64]):
    """One window of looks, from flat; it is truncated at its last look.

    Observations are the strategy's features, with 0 for what is not known yet; ``info`` has them as
    they are, the ``edge`` of opening, and the ``equity``. The exit is planned at the level of the
    document's policy, or else of its threshold. Raises GateRefused as `policy_of` does.
    """

    def __init__(self, tape: Tape, pair: Pair) -> None:
        if len(tape.ts) < 2:
            raise ValueError(f"an episode needs two looks, there are {len(tape.ts)}")
        self.observation_space = spaces.Box(-BOUND, BOUND, (len(FEATURES),), np.float64)
        self.action_space = spaces.Discrete(len(Act))
        self._tape, self._pair = tape, pair
        self._exit_bps = policy_of(pair.rules).threshold.close_bps

    @property
    def position(self) -> int:
        """Whether it is in the position: 0 or 1."""
        return int(bool(self.ledger.quantities.get(self._pair.legs[1])))

    @property
    def equity(self) -> Decimal:
        """Return cash and positions at the mids of this look, by which entries are sized.

        A backtest with tickers values a perpetual at its mark: it differs while one is held.
        """
        mids = [Decimal(repr(book.mid)) for book in self._books]
        return self.ledger.equity(dict(zip(self._pair.legs, mids, strict=True)))

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Vector, dict[str, Any]]:
        """Begin anew, flat, at the first look with a known volatility: none opens before."""
        super().reset(seed=seed)
        tape, pair = self._tape, self._pair
        self.ledger = Ledger(pair.equity)
        steps = {leg: lot.step for leg, lot in zip(pair.legs, pair.lots, strict=True)}
        self._lots = WholeLots(steps.__getitem__)
        self._place, self._past = -1, Past()
        self._entry: Trade | None = None
        self._paused_until = 0
        self._fundings = tape.known_funding()
        self._due = deque(one for one in tape.settled if one.ts > tape.ts[0])
        self._go_on()
        while math.isnan(self._past.volatility.a_minute_bps) and self._place < len(tape.ts) - 2:
            self._go_on()
        self._worth = self._net_equity()
        return self._shown()

    def step(self, action: Any) -> tuple[Vector, float, bool, bool, dict[str, Any]]:
        """Act at this look, and go on to the next."""
        if action == Act.OPEN and self._may_open():
            self._trade(self._goal)
            self._entry = trade_of(self._seen.edge, self._now)
        elif action == Act.CLOSE and self._may_close():
            spot, perp = (self.ledger.quantities.get(leg, ZERO) for leg in self._pair.legs)
            self._trade((-spot, -perp))
            self._entry = None
            self._paused_until = self._now + duration_ns(self._pair.rules.pause)
        self._go_on()
        worth = self._net_equity()
        reward, self._worth = float(worth - self._worth), worth
        seen, info = self._shown()
        return seen, reward, False, self._place == len(self._tape.ts) - 1, info

    def _go_on(self) -> None:
        """Settle the funding that is due, and look."""
        pair, tape = self._pair, self._tape
        self._place += 1
        self._now = int(tape.ts[self._place])
        self._settle()
        self._books = tape.books(self._place)
        held, entry = self.ledger.quantities, None
        self._goal: Legs = pair.goal(float(self.equity), self._books, self._past)
        self._funding = next(self._fundings)
        quantity = quantity_seen(self._goal, pair.lots, self._books[0].mid)
        if self.position:
            quantity = float(max(abs(held.get(leg, ZERO)) for leg in pair.legs))
            spot_in, perp_in = (self.ledger.open[OWNER, leg].entry_price for leg in pair.legs)
            entry = float(spot_in), float(perp_in)
        self._seen: Look = look(
            pair.rules,
            pair.costs,
            self._books,
            quantity,
            self._past,
            self._funding,
            self._now,
            self._exit_bps,
            since=None if self._entry is None else self._entry.since,
            entry=entry,
        )
        self._past = self._seen.past

    def _shown(self) -> tuple[Vector, dict[str, Any]]:
        seen = self._seen
        info = {"features": seen.features, "edge": seen.edge, "equity": self._worth}
        return np.clip(np.nan_to_num(seen.features), -BOUND, BOUND), info

    def _may_open(self) -> bool:
        ready = not self.position and self._now >= self._paused_until
        return ready and self._goal != NONE and pays(self._pair.rules, self._seen.edge)

    def _may_close(self) -> bool:
        waits = awaits_funding(self._pair.rules, self._entry, self._funding, self._now)
        return bool(self.position) and not waits

    def _trade(self, change: Legs) -> None:
        for leg, quantity, book, fee in zip(
            self._pair.legs, change, self._books, self._pair.fees, strict=True
        ):
            buys = quantity > ZERO
            in_coin = buys and leg == self._pair.legs[0]
            for price, part in _fills(book.asks if buys else book.bids, abs(quantity)):
                fill = FillRow(
                    instrument=leg,
                    ts=self._now,
                    strategy=OWNER,
                    side="BUY" if buys else "SELL",
                    quantity=part,
                    price=price,
                    fee=part * fee * (1 if in_coin else price),
                    fee_coin=base_coin(leg) if in_coin else "USDT",
                    liquidity="TAKER",
                    kind="order",
                )
                self.ledger.book(self._lots.book(fill))

    def _settle(self) -> None:
        perp = self._pair.legs[1]
        while self._due and self._due[0].ts <= self._now:
            _, rate, mark = self._due.popleft()
            quantity = self.ledger.quantities.get(perp)
            if quantity:
                price = Decimal(repr(self._books[1].mid)) if mark is None else mark
                self.ledger.book_funding(perp, funding_amount(quantity, price, rate))

    def _net_equity(self) -> Decimal:
        """Return the equity that closing now would leave."""
        worth = self.ledger.cash
        for leg, book, fee in zip(self._pair.legs, self._books, self._pair.fees, strict=True):
            held = self.ledger.quantities.get(leg, ZERO)
            for price, part in _fills(book.bids if held > ZERO else book.asks, abs(held)):
                value = part * price
                worth += (value if held > ZERO else -value) - value * fee
        return worth


def _fills(levels: Levels, quantity: Decimal) -> Iterator[tuple[Decimal, Decimal]]:
    """Yield price and quantity of each fill; what levels do not display fills at the last."""
    left = quantity
    for place, (price, size) in enumerate(levels):
        part = left if place == len(levels) - 1 else min(left, Decimal(repr(size)))
        if part:
            yield Decimal(repr(price)), part
        left -= part


def episode(env: BasisEnv, decide: Decide) -> Ledger:
    """Play a policy through an episode; return the books after it."""
    _, info = env.reset()
    is_over = False
    while not is_over:
        act = decide(info["features"], env.position, info["edge"])
        _, _, _, is_over, info = env.step(act)
    return env.ledger
