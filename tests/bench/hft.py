"""The peer of the books' bench: hftbacktest, compiled, where it is installed (not in the locks).

Its strategies do what those of `tests.bench.books` do, on the same rows.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import hftbacktest as peer
import numpy as np
import pyarrow as pa
from hftbacktest.types import event_dtype
from numba import njit

FOREVER, FEED = 10**18, 2
HALF_A_SECOND = 5 * 10**8
WIDEST = 10_000
BOTH = peer.EXCH_EVENT | peer.LOCAL_EVENT


def events(book: pa.Table, trades: pa.Table) -> Any:
    """Return the rows as its events; at one moment trades come first, as in our feed."""
    parts = []
    for rows, kind in ((trades, peer.TRADE_EVENT), (book, peer.DEPTH_EVENT)):
        made = np.zeros(rows.num_rows, event_dtype)
        buys = rows.column("side").to_numpy() > 0
        made["ev"] = kind | BOTH | np.where(buys, peer.BUY_EVENT, peer.SELL_EVENT)
        made["exch_ts"] = made["local_ts"] = rows.column("ts").to_numpy()
        made["px"], made["qty"] = rows.column("price").to_numpy(), rows.column("size").to_numpy()
        parts.append(made)
    found = np.concatenate(parts)
    return found[np.argsort(found["exch_ts"], kind="stable")]


def market(found: Any) -> Any:
    """Return its backtest: 1 ms, a queue by probability, orders fill whole."""
    asset = (
        peer.BacktestAsset()
        .data(found)
        .linear_asset(1.0)
        .constant_order_latency(500_000, 500_000)
        .power_prob_queue_model(2.0)
        .no_partial_fill_exchange()
        .trading_value_fee_model(0.0, 0.0)
        .tick_size(0.1)
        .lot_size(0.001)
    )
    return peer.HashMapMarketDepthBacktest([asset])


@njit
def own(hbt: Any) -> float:
    """Replay."""
    hbt.elapse(FOREVER)
    return 0.0


@njit
def look(depth: Any) -> float:
    """Return the imbalance of the top five."""
    bid = ask = 0.0
    if not (depth.best_bid > 0 and depth.best_ask > 0):
        return 0.0
    levels, tick = 0, depth.best_bid_tick
    while levels < 5 and tick > depth.best_bid_tick - WIDEST:
        size = depth.bid_qty_at_tick(tick)
        bid, levels, tick = bid + size, levels + (size > 0), tick - 1
    levels, tick = 0, depth.best_ask_tick
    while levels < 5 and tick < depth.best_ask_tick + WIDEST:
        size = depth.ask_qty_at_tick(tick)
        ask, levels, tick = ask + size, levels + (size > 0), tick + 1
    return (bid - ask) / (bid + ask) if bid + ask else 0.0


@njit
def imbalance(hbt: Any) -> float:
    """Add up the imbalance at every message."""
    total = 0.0
    while hbt.wait_next_feed(False, FOREVER) == FEED:
        total += look(hbt.depth(0))
    return total


@njit
def quote(hbt: Any) -> float:
    """Keep one post-only quote at the best price as well, and follow it after half a second."""
    total, made, placed = 0.0, 0, 0
    while hbt.wait_next_feed(False, FOREVER) == FEED:
        depth, now = hbt.depth(0), hbt.current_timestamp
        total += look(depth)
        if now - placed < HALF_A_SECOND or not (depth.best_bid > 0 and depth.best_ask > 0):
            continue
        hbt.clear_inactive_orders(0)
        order, buy = hbt.orders(0).get(made), hbt.position(0) <= 0
        if order is not None:
            best = depth.best_bid if order.side == peer.BUY else depth.best_ask
            if order.cancellable and abs(order.price - best) > 0.05:
                hbt.cancel(0, made, False)
        else:
            made, placed = made + 1, now
            if buy:
                hbt.submit_buy_order(0, made, depth.best_bid, 0.001, peer.GTX, peer.LIMIT, False)
            else:
                hbt.submit_sell_order(0, made, depth.best_ask, 0.001, peer.GTX, peer.LIMIT, False)
    return total


WORK: dict[str, Callable[[Any], float]] = {"own": own, "imbalance": imbalance, "quote": quote}
