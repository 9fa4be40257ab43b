"""The closer's shell where an engine is not needed: who hears first, and what can't be told."""

from types import SimpleNamespace
from typing import Any

import pytest
from nautilus_trader.cache.cache import Cache
from nautilus_trader.common.component import Clock, LiveClock, MessageBus, TestClock
from nautilus_trader.model.identifiers import TraderId
from nautilus_trader.portfolio.portfolio import Portfolio

from actors.closing.closer import Closer
from actors.closing.facts import ClosingNews
from config.documents.setup import RiskSettings
from strategies.messages import Action, Verdict


def closer_on(clock: Clock, bus: MessageBus | None = None, **more: Any) -> Closer:
    gate: Any = SimpleNamespace(hold=lambda hold, exits: None)
    account: Any = SimpleNamespace()
    engine = SimpleNamespace(trading_state=None, set_trading_state=lambda state: None)
    closer = Closer(RiskSettings(), gate, account, {}, risk_engine=engine, **more)
    bus, cache = bus or MessageBus(TraderId("DESK-001"), clock), Cache()
    closer.register_base(Portfolio(bus, cache, clock), bus, cache, clock)
    return closer


def full(*told: object) -> None:
    raise OSError("the disk is full")


def test_a_verdict_reaches_it_even_if_it_can_not_be_written_down():
    clock = TestClock()
    bus = MessageBus(TraderId("DESK-001"), clock)
    bus.subscribe("verdicts.*", full)
    closer = closer_on(clock, bus)
    with pytest.raises(OSError, match="the disk is full"):
        bus.publish("verdicts.loss", Verdict(action=Action.FLATTEN, guard="loss"))
    assert [verdict.guard for verdict in closer._board.standing()] == ["loss"]


def test_news_that_can_not_be_reported_stops_a_backtest_and_no_node():
    news = ClosingNews("closing", "the desk closes what is left")
    closer_on(LiveClock(), on_news=full)._report(news)
    with pytest.raises(OSError, match="the disk is full"):
        closer_on(TestClock(), on_news=full)._report(news)
