"""What guards see of a venue's responses, of the simulated one and of made-up events."""

from __future__ import annotations

import pytest
from nautilus_trader.core.uuid import UUID4
from nautilus_trader.model.events import OrderRejected
from nautilus_trader.model.identifiers import (
    AccountId,
    ClientOrderId,
    InstrumentId,
    StrategyId,
    TraderId,
)

from actors.desk.venue_responses import response_of
from actors.guards.core.snapshot import ErrorEvent, Input, Refused, VenueResponse
from tests.actors.tiny_guards import Loss
from tests.builders_engine import A, Candles, Script, at, play, resting, trading

STILL = Candles([100.0] * 6)


def shown(script: Script) -> list[tuple[str, bool | None]]:
    heard: list[Input] = []
    play({A: STILL}, script, guards={"loss": Loss()}, hear={"risk.seen": heard.append})
    return [
        (type(seen).__name__, seen.accepted if isinstance(seen, VenueResponse) else None)
        for seen in heard
        if isinstance(seen, VenueResponse | Refused | ErrorEvent)
    ]


@pytest.mark.parametrize("step", [trading(A, "1"), resting(A, "1", 99)])
def test_an_order_that_fills_or_rests_is_accepted_once(step):
    assert shown(Script({at(1): step})) == [("VenueResponse", True)]


def test_a_rejection_by_the_venue_is_shown_with_its_reason():
    heard: list[Input] = []
    script = Script({at(1): resting(A, "1", 101, post_only=True)})
    play({A: STILL}, script, guards={"loss": Loss()}, hear={"risk.seen": heard.append})
    (answer,) = [seen for seen in heard if isinstance(seen, VenueResponse)]
    assert not answer.accepted
    assert "POST_ONLY" in answer.reason
    assert (answer.strategy, answer.instrument) == ("script", A)


def test_what_the_gate_refuses_is_no_response_of_the_venue():
    script = Script({at(1): trading(A, "0.001")})
    assert shown(script) == [("Refused", None)]
    assert "below the venue's minimum" in script.denials[0]


def test_a_change_that_the_gate_refuses_is_no_answer_either():
    orders = []
    script = Script(
        {
            at(1): lambda script: orders.append(script.limit(A, "1", 99)),
            at(2): lambda script: script.modify_order(
                orders[0], quantity=script.cache.instrument(InstrumentId.from_str(A)).make_qty(9e6)
            ),
        }
    )
    assert shown(script) == [("VenueResponse", True), ("Refused", None)]


@pytest.mark.parametrize(
    ("reason", "kind"),
    [
        ("UNKNOWN", ErrorEvent),
        ("insufficient balance", VenueResponse),
        ("[gate] too large", type(None)),
    ],
)
def test_silence_of_the_venue_is_an_error_and_no_rejection(reason, kind):
    event = OrderRejected(
        trader_id=TraderId("DESK-001"),
        strategy_id=StrategyId("Script-a"),
        instrument_id=InstrumentId.from_str(A),
        client_order_id=ClientOrderId("bt-a-1-1"),
        account_id=AccountId("BYBIT-001"),
        reason=reason,
        event_id=UUID4(),
        ts_event=5,
        ts_init=5,
    )
    assert type(response_of(event, None)) is kind
