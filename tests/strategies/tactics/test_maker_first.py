"""Maker first as stories with hand-made numbers, then as laws against a venue of any whim."""

from decimal import Decimal as D

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from config.durations import duration_ns
from strategies.refusals import Refusal
from strategies.tactics import tactic
from strategies.tactics.execution import Execution
from strategies.tactics.maker_first import (
    GRACE_NS,
    MAX_TAKES,
    MakerFirstState,
    work_maker_first,
)
from strategies.tactics.pricing import Terms, TopOfBook, worst_price

SECOND = 10**9
TERMS = Terms(
    tick=D("0.1"),
    step=D("0.01"),
    min_quantity=D("0.02"),
    min_notional=D("5"),
    max_quantity=None,
    exits=False,
)
RULES = Execution(
    tactic="maker_first",
    reprice_every="10s",
    least_rest="2s",
    move_bps=30,
    max_reprices=2,
    deadline="1m",
    max_slippage_bps=50,
)


CANCEL = tactic.Cancel("")
"""A cancel of the order that is out; stories name no orders."""


def book(bid="100.0", ask="100.2", size="5"):
    return TopOfBook(D(bid), D(ask), D(size), D(size))


class Story:
    """One execution from second 0; each call tells an event and returns what is asked for."""

    def __init__(self, quantity="2", terms=TERMS, **rules):
        self.rules = msgspec.structs.replace(RULES, **rules)
        self.terms = terms
        self.state = MakerFirstState(quantity=D(quantity), started=0)
        self.order = ""

    def hear(self, event):
        self.state, actions = work_maker_first(self.state, event, self.rules, self.terms)
        assert len(actions) <= 1
        for action in actions:
            if isinstance(action, tactic.Place):
                assert action.order != self.order
                self.order = action.order
                return msgspec.structs.replace(action, order="")
            if isinstance(action, tactic.Cancel):
                assert action.order == self.order
                return CANCEL
            return action

    def touched(self, second, *prices):
        return self.hear(tactic.BookChanged(round(second * SECOND), book(*prices)))

    def clock(self, second):
        return self.hear(tactic.TimePassed(round(second * SECOND)))

    def accepted(self, second):
        return self.hear(tactic.Accepted(round(second * SECOND), self.order))

    def filled(self, second, quantity, order=None):
        name = self.order if order is None else order
        return self.hear(tactic.Filled(round(second * SECOND), name, D(quantity)))

    def ended(self, second):
        return self.hear(tactic.Ended(round(second * SECOND), self.order))

    def refused(self, second, code, text="words"):
        refusal = Refusal(code=code, text=text)
        return self.hear(tactic.Refused(round(second * SECOND), self.order, refusal))


def rest(quantity, price):
    return tactic.PlacePostOnly("", D(quantity), D(price))


def take(quantity, price):
    return tactic.PlaceIOC("", D(quantity), D(price))


def test_it_joins_the_touch_and_is_done_when_filled():
    story = Story()
    assert story.clock(0) is None
    assert story.touched(1) == rest("2", "100.0")
    assert story.accepted(1.1) is None
    assert story.filled(5, "0.5") is None
    assert story.filled(9, "1.5") == tactic.Done()
    assert (story.state.ended, story.state.left) == ("", 0)


def test_it_sells_with_the_sign_turned():
    story = Story("-2")
    assert story.touched(1) == rest("-2", "100.2")
    story.accepted(1)
    assert story.filled(2, "2") == tactic.Done()


def test_it_follows_a_small_move_on_its_schedule_only():
    story = Story()
    story.touched(0)
    story.accepted(0)
    assert story.touched(9.9, "100.1", "100.3") is None
    assert story.touched(10, "100.1", "100.3") == CANCEL
    # Until the venue answers, nothing else leaves.
    assert story.touched(10.1, "100.2", "100.4") is None
    assert story.ended(10.2) == rest("2", "100.2")


def test_it_follows_a_large_move_as_soon_as_it_has_rested_a_little():
    story = Story()
    story.touched(0)
    story.accepted(0)
    assert story.touched(1.9, "100.3", "100.5") is None
    assert story.touched(2, "100.3", "100.5") == CANCEL


def test_it_does_not_chase_its_own_shadow():
    story = Story(place="improve")
    assert story.touched(0) == rest("2", "100.1")
    story.accepted(0)
    # The best bid is the order itself now.
    assert story.touched(30, "100.1", "100.3") is None


def test_it_does_not_cancel_what_the_venue_has_not_acknowledged_only_to_follow():
    story = Story()
    story.touched(0)
    assert story.touched(20, "101.0", "101.2") is None
    assert story.accepted(21) == CANCEL


def test_what_filled_while_the_cancel_travelled_is_not_placed_again():
    story = Story()
    story.touched(0)
    story.accepted(0)
    assert story.touched(10, "100.1", "100.3") == CANCEL
    assert story.filled(10.1, "1.2") is None
    assert story.ended(10.2) == rest("0.8", "100.1")
    story.accepted(10.3)
    assert story.touched(21, "100.2", "100.4") == CANCEL
    assert story.filled(21.1, "0.8") == tactic.Done()


def test_a_cancel_that_is_refused_is_tried_again_later():
    story = Story()
    story.touched(0)
    story.accepted(0)
    assert story.touched(10, "100.1", "100.3") == CANCEL
    assert story.hear(tactic.CancelRefused(11 * SECOND, story.order)) is None
    assert story.clock(11.5) is None
    assert story.clock(12) == CANCEL


def test_it_follows_at_most_so_often():
    story = Story(max_reprices=1)
    story.touched(0)
    story.accepted(0)
    assert story.touched(10, "100.1", "100.3") == CANCEL
    assert story.ended(10) == rest("2", "100.1")
    story.accepted(10)
    assert story.touched(40, "100.5", "100.7") is None
    assert story.state.reprices == 1


def test_at_the_deadline_it_takes_what_is_left_within_the_cap():
    story = Story()
    story.touched(0)  # The mid at arrival is 100.1.
    story.accepted(0)
    story.filled(3, "0.5")
    assert story.touched(30, "99.9", "100.3") is None
    assert story.clock(59.9) is None
    assert story.clock(60) == CANCEL
    # 50 bps from 100.1 is 100.6005.
    assert story.ended(60.1) == take("1.5", "100.6")
    assert story.filled(60.2, "1.5") == tactic.Done()


def test_the_cap_may_be_measured_from_the_touch():
    story = Story("-2", slippage_from="touch")
    story.touched(0)
    story.accepted(0)
    story.touched(50, "98.0", "98.2")
    story.clock(60)
    # 50 bps below the bid of 98.0 is 97.51, rounded toward it.
    assert story.ended(60) == take("-2", "97.6")


def test_it_does_not_take_past_the_cap_and_waits_a_little_for_the_market_to_come_back():
    story = Story()
    story.touched(0)
    story.accepted(0)
    story.touched(50, "101.0", "101.2")
    story.clock(60)
    assert story.ended(60.1) is None
    assert story.clock(69) is None
    assert story.touched(69.5, "100.2", "100.4") == take("2", "100.6")
    assert story.ended(69.6) is None
    gave_up = story.clock(70)
    assert gave_up == tactic.GiveUp(
        "not filled by the deadline, nor then within 50 bps of the arrival"
    )


def test_it_takes_a_few_times_at_most():
    story = Story(deadline="10s", reprice_every="5s")
    story.touched(0)
    story.accepted(0)
    story.clock(10)
    second = 10.0
    asked = story.ended(second)
    for _ in range(MAX_TAKES):
        assert isinstance(asked, tactic.PlaceIOC)
        story.filled(second, "0.1")
        assert story.ended(second) is None
        second += 1
        asked = story.clock(second)
    assert isinstance(asked, tactic.GiveUp)
    assert story.state.left == D("1.7")


def test_it_may_leave_what_is_left():
    story = Story(at_deadline="give_up")
    story.touched(0)
    story.accepted(0)
    assert story.clock(60) == CANCEL
    assert story.ended(60) == tactic.GiveUp("not filled by the deadline")


def test_an_order_that_would_have_crossed_is_placed_again_and_counts():
    story = Story(max_reprices=1)
    story.touched(0)
    assert story.refused(0.1, "post_only") is None
    assert story.clock(0.5) is None
    assert story.touched(1.2, "100.1", "100.3") == rest("2", "100.1")
    assert story.refused(1.3, "post_only") is None
    # Enough: it waits for the deadline.
    assert story.clock(30) is None
    assert story.clock(60) == take("2", "100.6")


def test_any_other_refusal_ends_it():
    story = Story()
    story.touched(0)
    assert story.refused(0.1, "gate", "quantity is zero") == tactic.GiveUp(
        "refused: order gate: quantity is zero"
    )


def test_a_busy_venue_is_asked_again():
    story = Story()
    story.touched(0)
    assert story.refused(0.1, "busy") is None
    assert story.clock(1.2) == rest("2", "100.0")
    assert story.state.reprices == 0


def test_a_share_of_the_displayed_size_is_shown_at_a_time():
    story = Story(participation=0.1)
    assert story.touched(0) == rest("0.50", "100.0")
    story.accepted(0)
    assert story.filled(1, "0.5") == rest("0.50", "100.0")
    assert story.state.reprices == 0


def test_what_is_too_small_for_the_exchange_is_left():
    story = Story("0.06")
    story.touched(0)
    story.accepted(0)
    story.filled(1, "0.03")
    story.touched(20, "100.1", "100.3")
    assert story.ended(21) == tactic.GiveUp("0.03 is left, below the exchange's minimum")


def test_the_rest_of_an_exit_always_goes():
    story = Story("-0.06", msgspec.structs.replace(TERMS, exits=True))
    story.touched(0)
    story.accepted(0)
    story.filled(1, "0.05")
    story.touched(20, "99.9", "100.1")
    assert story.ended(21) == rest("-0.01", "100.1")


def test_without_any_touch_it_gives_up_in_the_end():
    story = Story()
    assert story.clock(69) is None
    assert story.clock(70) == tactic.GiveUp("no best bid and ask were seen")


def test_told_to_stop_it_takes_its_order_back():
    story = Story()
    story.touched(0)
    assert story.hear(tactic.Stop(SECOND)) == CANCEL
    assert story.ended(2) == tactic.GiveUp("stopped")
    assert Story().hear(tactic.Stop(0)) == tactic.GiveUp("stopped")


def test_a_late_fill_of_an_earlier_order_takes_back_what_is_too_much():
    story = Story()
    story.touched(0)
    story.accepted(0)
    story.touched(10, "100.1", "100.3")
    assert story.ended(10) == rest("2", "100.1")
    assert story.filled(10.1, "0.5", order="0") == CANCEL
    assert story.ended(10.2) == rest("1.5", "100.1")


def test_after_a_restart_it_goes_on_with_its_deadline_and_its_count():
    story = Story()
    story.touched(0)
    story.accepted(0)
    story.touched(10, "100.1", "100.3")
    story.ended(10)
    assert story.hear(tactic.Resumed(20 * SECOND, D("0.7"))) is None
    assert (story.state.reprices, story.state.arrival) == (1, D("100.1"))
    assert story.touched(21, "100.4", "100.6") == rest("0.7", "100.4")
    assert story.clock(60) == CANCEL
    assert story.ended(60) == take("0.7", "100.6")


def test_who_slept_past_the_deadline_starts_over():
    story = Story()
    story.touched(0)
    story.accepted(0)
    assert story.hear(tactic.Resumed(3600 * SECOND, D("0.7"))) is None
    assert story.touched(3601, "120.0", "120.2") == rest("0.7", "120.0")
    assert (story.state.started, story.state.arrival) == (3600 * SECOND, D("120.1"))


# -- laws ------------------------------------------------------------------------------------------

RULES_OF_ANY_KIND = st.builds(
    Execution,
    tactic=st.just("maker_first"),
    place=st.sampled_from(["join", "improve", "behind"]),
    ticks=st.integers(1, 3),
    reprice_every=st.sampled_from(["3s", "10s"]),
    least_rest=st.sampled_from(["1s", "3s"]),
    move_bps=st.sampled_from([0.0, 5.0, 50.0]),
    max_reprices=st.integers(0, 4),
    participation=st.none() | st.floats(0.01, 1.0),
    deadline=st.sampled_from(["10s", "30s"]),
    at_deadline=st.sampled_from(["take", "give_up"]),
    max_slippage_bps=st.sampled_from([0.0, 5.0, 500.0]),
    slippage_from=st.sampled_from(["arrival", "touch"]),
)


class Venue:
    """Does to the one order whatever chance wants, and holds the machine to its laws."""

    def __init__(self, draw, rules, quantity, exits):
        self.draw, self.rules = draw, rules
        self.terms = msgspec.structs.replace(TERMS, exits=exits)
        self.wanted = quantity
        self.position = D(0)
        self.state = MakerFirstState(quantity=quantity, started=0)
        self.now = 0
        self.names = set()
        self.order = None  # (action, left, accepted, cancelling)
        self.touch = None
        self.placed = 0
        self.deadline = duration_ns(rules.deadline)

    def tell(self, event):
        self.state, actions = work_maker_first(self.state, event, self.rules, self.terms)
        # What is saved can be read back to the very same.
        self.state = msgspec.json.decode(msgspec.json.encode(self.state), type=MakerFirstState)
        for action in actions:
            self.do(action)

    def do(self, action):
        if isinstance(action, tactic.Cancel):
            assert self.order is not None
            assert action.order == self.order["action"].order
            assert not self.order["cancelling"]
            self.order["cancelling"] = True
        elif isinstance(action, tactic.PlacePostOnly | tactic.PlaceIOC):
            assert self.order is None, "two orders at a time"
            assert action.order not in self.names
            self.names.add(action.order)
            buy = action.quantity > 0
            assert buy == (self.wanted > 0)
            assert abs(self.position + action.quantity) <= abs(self.wanted), "more than wanted"
            assert action.quantity % self.terms.step == 0
            assert action.price % self.terms.tick == 0
            if isinstance(action, tactic.PlacePostOnly):
                self.placed += 1
                assert action.price < self.touch.ask if buy else action.price > self.touch.bid
                assert self.now < self.state.started + self.deadline
            else:
                assert self.rules.at_deadline == "take"
                reference = self.touch.ask if buy else self.touch.bid
                if self.rules.slippage_from == "arrival":
                    reference = self.state.arrival
                worst = worst_price(buy, reference, self.rules.max_slippage_bps, self.terms.tick)
                assert action.price == worst
            self.order = {"action": action, "left": abs(action.quantity), "cancelling": False}
        else:
            assert self.order is None
            assert isinstance(action, tactic.Done) == (self.position == self.wanted)

    def fill(self, quantity):
        name = self.order["action"].order
        self.order["left"] -= quantity
        self.position += quantity if self.wanted > 0 else -quantity
        if not self.order["left"]:
            self.order = None
        self.tell(tactic.Filled(self.now, name, quantity))

    def gone(self, event, *more):
        name = self.order["action"].order
        self.order = None
        self.tell(event(self.now, name, *more))

    def market(self, tick, spread):
        bid = D(1000 + tick) * self.terms.tick
        self.touch = TopOfBook(bid, bid + spread * self.terms.tick, D("0.5"), D("0.5"))
        self.tell(tactic.BookChanged(self.now, self.touch))

    def answer(self, how):
        """Let the venue do something about the order, as far as that is possible now."""
        order = self.order
        if order is None:
            return
        if how == "accept":
            self.tell(tactic.Accepted(self.now, order["action"].order))
        elif how == "part":
            self.fill(min(D("0.01"), order["left"]))
        elif how == "fill":
            self.fill(order["left"])
        elif how == "gone":
            self.gone(tactic.Ended)
        elif how == "cancel refused":
            if order["cancelling"]:
                order["cancelling"] = False
                self.tell(tactic.CancelRefused(self.now, order["action"].order))
        elif order["left"] == abs(order["action"].quantity):
            self.gone(tactic.Refused, Refusal(code=how, text="words"))

    def crash(self):
        """Lose the order and everything that was not saved."""
        self.order = None
        self.names.clear()
        left = self.wanted - self.position
        if left and self.state.ended is None:
            self.tell(tactic.Resumed(self.now, left))


HOW = st.sampled_from(
    [
        *("accept", "part", "fill", "gone", "cancel refused"),
        *("post_only", "nothing_to_take", "busy"),
        "venue",
    ]
)
HAPPENING = st.one_of(
    st.tuples(st.just("clock"), st.integers(1, 4000)),
    st.tuples(st.just("market"), st.integers(-30, 30), st.integers(1, 4)),
    st.tuples(st.just("answer"), HOW),
    st.tuples(st.just("answer"), HOW),
    st.tuples(st.just("crash")),
    st.tuples(st.just("stop")),
)


@given(
    st.data(),
    RULES_OF_ANY_KIND,
    st.integers(1, 300).map(lambda n: n * D("0.01")),
    st.booleans(),
    st.booleans(),
    st.lists(HAPPENING, max_size=60),
)
def test_whatever_happens_it_keeps_its_laws_and_ends(data, rules, size, sells, exits, happenings):
    venue = Venue(data, rules, -size if sells else size, exits)
    for what, *how in happenings:
        if what == "clock":
            venue.now += how[0] * SECOND // 1000
            venue.tell(tactic.TimePassed(venue.now))
        elif what == "market":
            venue.market(*how)
        elif what == "answer":
            venue.answer(*how)
        elif what == "stop":
            venue.tell(tactic.Stop(venue.now))
        else:
            venue.crash()
        assert venue.state.reprices <= rules.max_reprices
        assert venue.state.takes <= MAX_TAKES
    # From here on the venue answers within a second; cancels come through, orders don't fill.
    ends = venue.state.started + venue.deadline + GRACE_NS
    while venue.now <= ends + 3 * SECOND and venue.state.ended is None:
        if venue.order is not None and (
            venue.order["cancelling"] or isinstance(venue.order["action"], tactic.PlaceIOC)
        ):
            venue.answer("gone")
        venue.now += SECOND
        venue.tell(tactic.TimePassed(venue.now))
    assert venue.state.ended is not None


@settings(deadline=None)
@given(st.lists(st.integers(1, 20), min_size=1, max_size=8), st.integers(1, 300))
def test_restarts_change_nothing_about_what_is_traded_in_a_kind_market(naps, lots):
    wanted = lots * D("0.01")
    if wanted < D("0.05"):
        return
    venue = Venue(None, RULES, wanted, False)
    for nap in naps:
        venue.market(0, 2)
        venue.answer("accept")
        venue.answer("part")
        venue.now += nap * SECOND
        venue.crash()
    venue.market(0, 2)
    while venue.order is not None:
        venue.answer("fill")
        venue.now += SECOND
        venue.tell(tactic.TimePassed(venue.now))
    left = wanted - venue.position
    assert left == 0 or left < D("0.05")
