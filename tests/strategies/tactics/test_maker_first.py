"""Maker first: stories with hand-made numbers, then laws against a venue that does anything."""

from decimal import Decimal as D

import msgspec
import pytest
from hypothesis import given
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
CANCEL, DONE = tactic.Cancel(""), tactic.Done()
"""Stories name no orders: it is the order that is out."""


class Story:
    """One execution from second 0; each call is an event and returns the action that follows."""

    def __init__(self, quantity="2", terms=TERMS, **rules):
        self.rules = msgspec.structs.replace(RULES, **rules)
        self.terms = terms
        self.state = MakerFirstState(quantity=D(quantity), started=0)
        self.order = ""

    def event(self, kind, second, *more):
        event = kind(round(second * SECOND), *more)
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

    def book(self, second, bid="100.0", ask=None):
        ask = D(bid) + D("0.2") if ask is None else D(ask)
        return self.event(tactic.BookChanged, second, TopOfBook(D(bid), ask, D(5), D(5)))

    def clock(self, second):
        return self.event(tactic.TimePassed, second)

    def accepted(self, second):
        return self.event(tactic.Accepted, second, self.order)

    def filled(self, second, quantity, order=None):
        return self.event(tactic.Filled, second, order or self.order, D(quantity))

    def ended(self, second):
        return self.event(tactic.Ended, second, self.order)

    def refused(self, second, code, text="words"):
        return self.event(tactic.Refused, second, self.order, Refusal(code=code, text=text))


def resting(quantity="2", terms=TERMS, **rules):
    """Return a story whose first order rests at the best price since second 0."""
    story = Story(quantity, terms, **rules)
    story.book(0)
    story.accepted(0)
    return story


def rest(quantity, price):
    return tactic.PlacePostOnly("", D(quantity), D(price))


def take(quantity, price):
    return tactic.PlaceIOC("", D(quantity), D(price))


def test_below_a_second_it_follows_and_pauses_within_milliseconds():
    pace = {"reprice_every": "300ms", "least_rest": "100ms", "deadline": "2s"}
    story = resting(**pace)
    assert story.book(0.2, bid="100.1") is None
    assert story.clock(0.3) == CANCEL
    assert story.ended(0.32) == rest("2", "100.1")
    assert story.refused(0.35, "post_only") is None
    assert story.clock(0.44) is None
    assert story.clock(0.45) == rest("2", "100.1")
    assert story.accepted(0.46) is None
    assert story.clock(1.99) is None
    assert story.clock(2) == CANCEL


@pytest.mark.parametrize(("quantity", "price"), [("2", "100.0"), ("-2", "100.2")])
def test_it_joins_the_best_price_and_is_done_when_filled(quantity, price):
    story = Story(quantity)
    assert story.clock(0) is None
    assert story.book(1) == rest(quantity, price)
    assert story.accepted(1.1) is None
    assert story.filled(5, "0.5") is None
    assert story.filled(9, "1.5") == DONE
    assert (story.state.ended, story.state.left) == ("", 0)


@pytest.mark.parametrize(("bid", "second"), [("100.1", 10), ("100.3", 2)])
def test_it_follows_a_small_move_on_schedule_and_a_large_one_after_the_least_rest(bid, second):
    story = resting()
    assert story.book(second - 0.1, bid) is None
    assert story.book(second, bid) == CANCEL
    # Until the venue answers, nothing else leaves.
    assert story.book(second + 0.1, "100.5") is None
    assert story.ended(second + 0.2) == rest("2", "100.5")


def test_it_does_not_follow_its_own_order():
    story = Story(place="improve")
    assert story.book(0) == rest("2", "100.1")
    story.accepted(0)
    assert story.book(30, "100.1", "100.3") is None


def test_it_does_not_cancel_what_the_venue_has_not_acknowledged_only_to_follow():
    story = Story()
    story.book(0)
    assert story.book(20, "101.0") is None
    assert story.accepted(21) == CANCEL


def test_what_filled_while_the_cancel_travelled_is_not_placed_again():
    story = resting()
    assert story.book(10, "100.1") == CANCEL
    assert story.filled(10.1, "1.2") is None
    assert story.ended(10.2) == rest("0.8", "100.1")
    story.accepted(10.3)
    assert story.book(21, "100.2") == CANCEL
    assert story.filled(21.1, "0.8") == DONE


def test_a_cancel_that_is_refused_is_tried_again_later():
    story = resting()
    assert story.book(10, "100.1") == CANCEL
    assert story.event(tactic.CancelRefused, 11, story.order) is None
    assert story.clock(11.5) is None
    assert story.clock(12) == CANCEL


def test_it_follows_max_reprices_times():
    story = resting(max_reprices=1)
    assert story.book(10, "100.1") == CANCEL
    assert story.ended(10) == rest("2", "100.1")
    story.accepted(10)
    assert story.book(40, "100.5") is None
    assert story.state.reprices == 1


def test_at_the_deadline_it_takes_what_is_left_within_the_cap():
    story = resting()  # The mid at arrival is 100.1.
    story.filled(3, "0.5")
    assert story.book(30, "99.9", "100.3") is None
    assert story.clock(59.9) is None
    assert story.clock(60) == CANCEL
    # 50 bps from 100.1 is 100.6005.
    assert story.ended(60.1) == take("1.5", "100.6")
    assert story.filled(60.2, "1.5") == DONE


def test_the_cap_may_be_measured_from_the_best_price():
    story = resting("-2", slippage_from="touch")
    story.book(50, "98.0")
    story.clock(60)
    # 50 bps below the bid of 98.0 is 97.51, rounded toward it.
    assert story.ended(60) == take("-2", "97.6")


def test_past_the_cap_it_waits_a_little_for_the_market_to_come_back():
    story = resting()
    story.book(50, "101.0")
    story.clock(60)
    assert story.ended(60.1) is None
    assert story.clock(69) is None
    assert story.book(69.5, "100.2") == take("2", "100.6")
    assert story.ended(69.6) is None
    assert story.clock(70) == tactic.GiveUp(
        "not filled by the deadline, nor then within 50 bps of the arrival"
    )


def test_it_takes_max_takes_times():
    story = resting(deadline="10s", reprice_every="5s")
    story.clock(10)
    second = 10.0
    action = story.ended(second)
    for _ in range(MAX_TAKES):
        assert isinstance(action, tactic.PlaceIOC)
        story.filled(second, "0.1")
        assert story.ended(second) is None
        second += 1
        action = story.clock(second)
    assert isinstance(action, tactic.GiveUp)
    assert story.state.left == D("1.7")


def test_it_gives_up_at_the_deadline_where_the_document_wants_that():
    story = resting(at_deadline="give_up")
    assert story.clock(60) == CANCEL
    assert story.ended(60) == tactic.GiveUp("not filled by the deadline")


def test_an_order_that_would_have_crossed_is_placed_again_and_counts():
    story = Story(max_reprices=1)
    story.book(0)
    assert story.refused(0.1, "post_only") is None
    assert story.clock(0.5) is None
    assert story.book(1.2, "100.1") == rest("2", "100.1")
    assert story.refused(1.3, "post_only") is None
    # Enough: it waits for the deadline.
    assert story.clock(30) is None
    assert story.clock(60) == take("2", "100.6")


def test_a_busy_venue_is_tried_again_and_another_refusal_ends_it():
    story = Story()
    story.book(0)
    assert story.refused(0.1, "busy") is None
    assert story.clock(1.2) == rest("2", "100.0")
    assert story.state.reprices == 0
    assert story.refused(1.3, "gate", "quantity is zero") == tactic.GiveUp(
        "refused: order gate: quantity is zero"
    )


def test_a_share_of_the_displayed_size_is_shown_at_a_time():
    story = Story(participation=0.1)
    assert story.book(0) == rest("0.50", "100.0")
    story.accepted(0)
    assert story.filled(1, "0.5") == rest("0.50", "100.0")
    assert story.state.reprices == 0


def test_what_is_too_small_for_the_exchange_is_left_and_the_rest_of_an_exit_goes():
    story = resting("0.06")
    story.filled(1, "0.03")
    story.book(20, "100.1")
    assert story.ended(21) == tactic.GiveUp("0.03 is left, below the exchange's minimum")
    story = resting("-0.06", msgspec.structs.replace(TERMS, exits=True))
    story.filled(1, "0.05")
    story.book(20, "99.9")
    assert story.ended(21) == rest("-0.01", "100.1")


def test_without_a_book_it_gives_up_in_the_end():
    story = Story()
    assert story.clock(69) is None
    assert story.clock(70) == tactic.GiveUp("no best bid and ask were seen")


def test_a_stop_cancels_its_order():
    story = Story()
    story.book(0)
    assert story.event(tactic.Stop, 1) == CANCEL
    assert story.ended(2) == tactic.GiveUp("stopped")
    assert Story().event(tactic.Stop, 0) == tactic.GiveUp("stopped")


def test_a_late_fill_of_an_earlier_order_cancels_what_is_too_much():
    story = resting()
    story.book(10, "100.1")
    assert story.ended(10) == rest("2", "100.1")
    assert story.filled(10.1, "0.5", order="0") == CANCEL
    assert story.ended(10.2) == rest("1.5", "100.1")


def test_after_a_restart_it_goes_on_with_its_deadline_and_its_count():
    story = resting()
    story.filled(3, "0.5")
    story.book(10, "100.1")
    story.ended(10)
    assert story.event(tactic.Resumed, 20, D("0.7")) is None
    assert (story.state.reprices, story.state.arrival) == (1, D("100.1"))
    assert story.book(21, "100.4") == rest("0.7", "100.4")
    assert story.clock(60) == CANCEL
    assert story.ended(60) == take("0.7", "100.6")


def test_a_restart_past_the_deadline_starts_over():
    story = resting()
    assert story.event(tactic.Resumed, 3600, D("0.7")) is None
    assert story.book(3601, "120.0") == rest("0.7", "120.0")
    assert (story.state.started, story.state.arrival) == (3600 * SECOND, D("120.1"))


def withdrawn(story, second):
    return story.refused(second, "withdrawn")


def test_an_order_that_never_left_until_the_deadline_is_taken():
    story = Story()
    story.book(0)
    assert story.clock(60) == CANCEL
    assert withdrawn(story, 60) == take("2", "100.6")


def test_who_does_not_take_rests_for_the_whole_time_once_his_order_leaves():
    story = Story(at_deadline="give_up")
    story.book(0)
    assert story.clock(60) == CANCEL
    assert withdrawn(story, 60) == rest("2", "100.0")
    story.accepted(65)
    assert story.clock(119) is None
    assert story.clock(120) == CANCEL
    assert story.ended(120) == tactic.GiveUp("not filled by the deadline")


def test_an_answer_that_comes_long_after_the_deadline_leaves_time_to_take():
    story = resting()
    assert story.clock(60) == CANCEL
    assert story.filled(90, "0.5") is None
    assert story.ended(90) == take("1.5", "100.6")


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
    """Answers the one order as chance wants, and asserts the laws of the machine."""

    def __init__(self, rules, quantity, exits):
        self.rules = rules
        self.terms = msgspec.structs.replace(TERMS, exits=exits)
        self.wanted = quantity
        self.position = D(0)
        self.state = MakerFirstState(quantity=quantity, started=0)
        self.now = 0
        self.names = set()
        self.order = None  # (action, left, accepted, cancelling)
        self.touch = None
        self.deadline = duration_ns(rules.deadline)

    def step(self, event):
        self.state, actions = work_maker_first(self.state, event, self.rules, self.terms)
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
        self.step(tactic.Filled(self.now, name, quantity))

    def gone(self, event, *more):
        name = self.order["action"].order
        self.order = None
        self.step(event(self.now, name, *more))

    def clock(self, milliseconds):
        self.now += milliseconds * SECOND // 1000
        self.step(tactic.TimePassed(self.now))

    def stop(self):
        self.step(tactic.Stop(self.now))

    def market(self, tick, spread):
        bid = D(1000 + tick) * self.terms.tick
        self.touch = TopOfBook(bid, bid + spread * self.terms.tick, D("0.5"), D("0.5"))
        self.step(tactic.BookChanged(self.now, self.touch))

    def answer(self, how):
        order = self.order
        if order is None:
            return
        if how == "accept":
            self.step(tactic.Accepted(self.now, order["action"].order))
        elif how == "part":
            self.fill(min(D("0.01"), order["left"]))
        elif how == "fill":
            self.fill(order["left"])
        elif how == "gone":
            self.gone(tactic.Ended)
        elif how == "cancel refused":
            if order["cancelling"]:
                order["cancelling"] = False
                self.step(tactic.CancelRefused(self.now, order["action"].order))
        elif order["left"] == abs(order["action"].quantity):
            self.gone(tactic.Refused, Refusal(code=how, text="words"))

    def crash(self):
        """Lose the order and everything that was not saved."""
        self.order = None
        self.names.clear()
        left = self.wanted - self.position
        if left and self.state.ended is None:
            self.step(tactic.Resumed(self.now, left))


REFUSALS = ["withdrawn", "post_only", "nothing_to_take", "busy", "venue"]
ANSWERS = st.sampled_from(["accept", "part", "fill", "gone", "cancel refused", *REFUSALS])
EVENT = st.one_of(
    st.tuples(st.just("clock"), st.integers(1, 4000)),
    st.tuples(st.just("market"), st.integers(-30, 30), st.integers(1, 4)),
    st.tuples(st.just("answer"), ANSWERS),
    st.tuples(st.just("answer"), ANSWERS),
    st.tuples(st.just("crash")),
    st.tuples(st.just("stop")),
)


@given(
    RULES_OF_ANY_KIND,
    st.integers(1, 300).map(lambda n: n * D("0.01")),
    st.booleans(),
    st.booleans(),
    st.lists(EVENT, max_size=60),
)
def test_whatever_happens_it_keeps_its_laws_and_ends(rules, size, sells, exits, events):
    venue = Venue(rules, -size if sells else size, exits)
    for what, *how in events:
        getattr(venue, what)(*how)
        assert venue.state.reprices <= rules.max_reprices
        assert venue.state.takes <= MAX_TAKES
    # From here on the venue answers within a second; cancels come through, orders don't fill.
    ends = venue.state.started + venue.deadline + GRACE_NS
    while venue.now <= ends + 3 * SECOND and venue.state.ended is None:
        if venue.order is not None and (
            venue.order["cancelling"] or isinstance(venue.order["action"], tactic.PlaceIOC)
        ):
            venue.answer("gone")
        venue.clock(1000)
    assert venue.state.ended is not None
