"""The exchange's state as rows, and back."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from live_nodes.practice.exchange.accounts import Coin, PracticeAccount
from live_nodes.practice.exchange.book import RestingOrder
from live_nodes.practice.exchange.margins import margins_of, position_of, wallet_of
from live_nodes.practice.exchange.records import (
    ExecutionRow,
    MarketRow,
    OrderRow,
    PositionRow,
    Row,
    WalletRow,
)
from live_nodes.practice.exchange.state import ExchangeState


def rows(state: ExchangeState) -> list[Row]:
    """Return everything that must outlive the process."""
    kept: list[Row] = []
    for account in state.accounts.values():
        kept.extend(account.closed)
        for order in account.open.values():
            resting = state.market(order.key).book.find(order.side, order.order_id)
            kept.append(replace(order, queue_ahead=resting.ahead) if resting else order)
        kept.extend(account.executions)
        margins = margins_of(account, state.markets)
        kept.extend(position_of(account, s, state.markets, margins) for s in account.holdings)
        kept.append(wallet_of(account, state.markets))
    kept.extend(market.row() for market in state.markets.values())
    return kept


def restore(state: ExchangeState, kept: Iterable[Row]) -> int:
    """Put rows into a fresh state; return the latest time in them (UTC milliseconds).

    Raises
    ------
    ValueError
        A row is of an account or a market that this exchange does not have: the rows belong to
        another document.
    """
    by_kind: dict[type, list] = {
        t: [] for t in (OrderRow, ExecutionRow, PositionRow, WalletRow, MarketRow)
    }
    for row in kept:
        by_kind[type(row)].append(row)
        state.seq = max(state.seq, row.seq)
    for row in by_kind[MarketRow]:
        _market(state, row)
    for row in by_kind[WalletRow]:
        _wallet(state, row)
    for row in by_kind[PositionRow]:
        _position(state, row)
    for row in sorted(by_kind[ExecutionRow], key=lambda r: r.seq):
        _account(state, row.account).executions.append(row)
    _orders(state, by_kind[OrderRow])
    fills = [row.time_ms for row in by_kind[ExecutionRow]]
    changes = [
        row.updated_ms for kind in (OrderRow, PositionRow, WalletRow) for row in by_kind[kind]
    ]
    return max([0, *fills, *changes])


def _account(state: ExchangeState, name: str) -> PracticeAccount:
    if name not in state.accounts:
        raise ValueError(
            f"the kept rows have an account {name!r} that this exchange does not have; "
            f"it has {', '.join(state.accounts)}"
        )
    return state.accounts[name]


def _market(state: ExchangeState, row: MarketRow) -> None:
    if row.key not in state.markets:
        raise ValueError(f"the kept rows have a market {row.row_key} that this exchange has not")
    market = state.markets[row.key]
    market.last, market.mark, market.index = row.last, row.mark, row.index
    market.halted, market.house = row.halted, row.house
    market.funded_ms, market.prints, market.seq = row.funded_ms, row.prints, row.seq


def _wallet(state: ExchangeState, row: WalletRow) -> None:
    account = _account(state, row.account)
    account.coins = {c.coin: Coin(c.balance, c.total_realised) for c in row.coins}
    account.updated_ms, account.wallet_seq = row.updated_ms, row.seq


def _position(state: ExchangeState, row: PositionRow) -> None:
    if row.key not in state.markets:
        raise ValueError(f"the kept rows have a position in {row.symbol}, not a market here")
    account = _account(state, row.account)
    held = account.holding(row.symbol)
    held.size, held.cost, held.entry_fees = row.signed, row.cost, row.entry_fees
    held.leverage = row.leverage
    held.current_realised, held.total_realised = row.current_realised, row.total_realised
    held.take_profit, held.stop_loss = row.take_profit, row.stop_loss
    held.tp_trigger_by, held.sl_trigger_by = row.tp_trigger_by, row.sl_trigger_by
    held.created_ms, held.updated_ms, held.seq = row.created_ms, row.updated_ms, row.seq
    if held.size:
        state.markets[row.key].holders[row.account] = None


def _orders(state: ExchangeState, orders: list[OrderRow]) -> None:
    for order in sorted(orders, key=lambda o: o.seq):
        state.orders = max(state.orders, order.number)
        if order.final:
            _account(state, order.account).keep(order)
    for order in sorted(orders, key=lambda o: o.number):
        account = _account(state, order.account)
        if order.order_link_id:
            account.by_link[order.order_link_id] = order.order_id
        if order.final:
            continue
        market = state.market(order.key)
        account.keep(order)
        if order.untriggered:
            market.waiting[order.order_id] = order.account
        else:
            resting = RestingOrder(
                order.account, order.order_id, order.side, order.price, order.leaves,
                order.priority, order.queue_ahead,
            )  # fmt: skip
            market.book.rest(resting, join=False)
