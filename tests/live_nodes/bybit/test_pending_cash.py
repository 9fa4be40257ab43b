"""Cash of executions and wallets of the same millisecond."""

from __future__ import annotations

from decimal import Decimal as D
from random import Random
from types import SimpleNamespace
from typing import Any

import pytest
from nautilus_trader.model.currencies import USDT
from nautilus_trader.model.objects import Money

from live_nodes.bybit.pending_cash import PendingCash

NAME = SimpleNamespace(value="P")
SECOND = 10**9


class Position:
    """A position of which executions realise amounts; also the cache that has it."""

    id = NAME
    is_spot_currency = False
    last_event = SimpleNamespace(reconciliation=False)

    def __init__(self) -> None:
        self.realized_pnl = Money(0, USDT)
        self.cash = PendingCash(self)
        self.cash.begin()

    def positions_open(self) -> list[Any]:
        return [self]

    def position(self, name: Any) -> Any:
        return self

    def orders_inflight(self, instrument_id: Any) -> list[Any]:
        return []

    def realises(self, amount: str, ts: int) -> None:
        self.realized_pnl = Money(self.realized_pnl.as_decimal() + D(amount), USDT)
        event: Any = SimpleNamespace(position_id=NAME, realized_pnl=self.realized_pnl, ts_event=ts)
        self.cash.on_position_event(event)

    def pending(self, drawn_up: int, balance: str) -> D:
        return self.cash.amount(drawn_up, D(balance))


def test_an_execution_after_the_wallet_of_its_millisecond_is_still_missing_in_it() -> None:
    book = Position()
    assert book.pending(1, "1000") == 0
    book.realises("-3", 5)
    assert book.pending(1, "1000") == D("-3")
    assert book.pending(5, "997") == 0
    book.realises("20", 5)
    assert book.pending(5, "997") == D("20")
    # With 4 of an execution before, which comes late.
    assert book.pending(5, "1021") == 0
    book.realises("4", 4)
    book.realises("1", 6)
    assert book.pending(5, "1021") == D("1")
    assert book.pending(7, "1022") == 0


def test_a_wallet_that_comes_before_its_executions_has_them_all() -> None:
    """Of 10 and -12, the first alone would fit worse than none."""
    book = Position()
    assert book.pending(1, "1000") == 0
    assert book.pending(5, "998") == 0
    book.realises("10", 5)
    book.realises("-12", 5)
    assert book.pending(5, "998") == 0


def test_a_wallet_that_comes_after_a_newer_one_changes_nothing() -> None:
    """As pushes that a slow link held back, after the wallet was asked for: a false fall of 400."""
    book = Position()
    assert book.pending(SECOND, "1000") == 0
    book.realises("-400", 2 * SECOND)
    book.realises("390", 3 * SECOND)
    assert book.pending(9 * SECOND, "990") == 0
    assert book.pending(2 * SECOND, "600") == D(390)
    assert book.cash.known(2 * SECOND, D(600)) == D(390)
    book.realises("7", 10 * SECOND)
    assert book.pending(3 * SECOND, "990") == D(7)
    assert book.pending(10 * SECOND, "997") == 0


def test_a_transfer_counts_once_it_is_found_though_its_stamp_is_after_the_wallet_s() -> None:
    book = Position()
    asked: list[int] = []
    book.cash.ask = lambda: asked.append(1)
    assert book.pending(SECOND, "1000") == 0
    # 400 are gone, and nobody knows why yet: they are not.
    assert (book.pending(2 * SECOND, "600"), asked) == (D(400), [1])
    book.cash.follow(2 * SECOND + 7_000_000, D(-400))
    assert book.pending(2 * SECOND, "600") == 0
    assert book.pending(3 * SECOND, "600") == 0


def test_two_wallets_of_a_millisecond_that_come_before_their_executions_have_them_both() -> None:
    book = Position()
    assert book.pending(1, "1000") == 0
    assert book.pending(5, "1005") == 0
    assert book.pending(5, "1010") == 0
    book.realises("5", 5)
    assert book.pending(5, "1010") == 0
    book.realises("5", 5)
    assert book.pending(5, "1010") == 0
    book.realises("5", 5)
    assert book.pending(5, "1010") == D("5")
    assert book.pending(5, "1015") == 0


def test_a_wallet_that_no_execution_explains_is_believed_after_five_seconds() -> None:
    """Others pay 250, then get 40; 7 are withdrawn."""
    book, now, asked = Position(), [0], list[int]()
    book.cash = PendingCash(book, lambda: now[0], ask=lambda: asked.append(now[0]))
    assert book.pending(10, "1000") == 0
    book.cash.follow(8, D(-20))
    assert book.pending(10, "1000") == 0
    assert book.pending(20, "750") == D("250")
    now[0] = SECOND
    # The next wallet comes before the execution of the one before.
    assert book.pending(30, "790") == D("210")
    book.cash.follow(19, D(-250))
    assert book.pending(30, "790") == D("-40")
    book.cash.follow(30, D(40))
    assert book.pending(30, "790") == 0
    assert asked == [0, SECOND]
    book.cash.follow(41, D(5))
    assert book.pending(30, "790") == D(5)
    assert book.pending(41, "788") == D(7)
    book.cash.answered(now[0])
    now[0] = 7 * SECOND
    assert book.pending(41, "788") == 0
    # The withdrawal was a trade after all, which the sweep finds.
    book.cash.follow(41, D(-7))
    assert book.pending(41, "788") == 0


def test_an_own_execution_that_the_engine_lacks_is_waited_for_a_minute_at_most() -> None:
    book, now, known = Position(), [0], list[Any]()
    book.cash = PendingCash(book, lambda: now[0], ask=lambda: None)
    book.order = lambda name: SimpleNamespace(trade_ids=known)  # type: ignore[attr-defined]
    assert book.pending(10, "1000") == 0
    assert book.pending(20, "1400") == D(-400)
    book.cash.expect("order", "execution")
    now[0] = 59 * SECOND
    assert book.pending(20, "1400") == D(-400)
    known.append(SimpleNamespace(value="execution"))
    assert book.pending(20, "1400") == 0
    known.clear()
    book.cash.expect("order", "execution")
    assert book.pending(30, "1800") == D(-400)
    now[0] += 61 * SECOND
    assert book.pending(30, "1800") == 0


def test_a_wallet_is_doubted_until_the_venue_has_answered_and_a_minute_at_most() -> None:
    """In a maintenance nobody tells of a lost message: 400 paid for a coin that was bought."""
    book, now = Position(), [0]
    book.cash = PendingCash(book, lambda: now[0], ask=lambda: None)
    assert book.pending(10, "1000") == 0
    book.cash.answered(now[0])
    now[0] = SECOND
    assert book.pending(20, "600") == D(400)
    now[0] = 31 * SECOND
    assert book.pending(20, "600") == D(400)
    book.cash.answered(now[0])
    assert book.pending(20, "600") == 0
    assert book.pending(30, "200") == D(400)
    now[0] += 61 * SECOND
    assert book.pending(30, "200") == 0


def test_after_a_change_that_the_next_wallet_took_back_one_is_looked_for_as_long() -> None:
    book, now, asked = Position(), [0], list[int]()
    book.cash = PendingCash(book, lambda: now[0], ask=lambda: asked.append(now[0]))
    for ts, wallet, missing in ((10, "1000", 0), (20, "750", 250), (30, "1000", 0)):
        assert book.pending(ts, wallet) == missing
    now[0] = 60 * SECOND
    assert book.pending(40, "700") == D(300)
    assert asked == [0, 60 * SECOND]


def test_others_who_trade_on_are_looked_for_as_long() -> None:
    book, now = Position(), [0]
    book.cash = PendingCash(book, lambda: now[0], ask=lambda: None)
    assert book.pending(1, "1000") == 0
    for second in range(1, 9):
        now[0] = second * SECOND
        if second > 1:
            book.cash.follow(second - 1, D(-10))
        assert book.pending(second, str(1000 - 10 * second)) == D(10)


@pytest.mark.parametrize("seed", range(40))
def test_the_cash_is_that_of_the_known_executions_whenever_messages_come(seed: int) -> None:
    """Every trade has a wallet; our executions are pushed, those of others come when asked for."""
    draw, now, asked, ts, cash = Random(seed), [0], list[int](), 1, 0
    book, others, messages = Position(), list[tuple[int, int]](), [(0, 0, 1, 0)]
    book.cash = PendingCash(book, lambda: now[0] * SECOND // 1000, ask=lambda: asked.append(1))
    book.cash.begin()
    for _ in range(40):
        ts += draw.choice([0, 1, 50, 2000, 9000])
        cash += (moved := draw.choice([-1, 1]) * draw.randint(2, 60_000))
        shown = max(messages[-1][0], ts + draw.choice([5, 200, 1500]))
        if draw.random() < 0.5:
            messages.append((ts + draw.choice([5, 200, 1500]), 1, ts, moved))
        else:
            others.append((ts, moved))
        messages.append((shown, 0, ts, cash))
    messages.sort(key=lambda message: message[0])
    wallet, known = (1, 0), 0
    for now[0] in sorted({at for at, *_ in messages} | set(range(0, ts + 9000, 250))):
        while messages and messages[0][0] <= now[0]:
            _, is_own, at, amount = messages.pop(0)
            if is_own:
                book.realises(str(amount), at)
                known += amount
            else:
                wallet = at, amount
        while asked and others and others[0][0] <= now[0]:
            book.cash.follow(others[0][0], D(others[0][1]))
            known += others.pop(0)[1]
        asked.clear()
        assert wallet[1] + book.pending(wallet[0], str(wallet[1])) == known
