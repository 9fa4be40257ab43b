"""Closing against a venue that fills in parts, refuses, forgets and is late.

The venue here is a brute-force model of its own: orders and positions in dictionaries, reduce-only
orders capped when they fill, others not. Whatever the order of events, a position may only shrink,
and it must end flat once the venue behaves.
"""

from dataclasses import dataclass, field
from decimal import Decimal as D

from hypothesis import given
from hypothesis import strategies as st

from actors.closing.facts import (
    Act,
    AtVenue,
    CloseAct,
    ClosingFacts,
    ClosingNews,
    ClosingPolicy,
    ClosingState,
    ClosingTerms,
    PositionKey,
    WorkingOrder,
)
from actors.closing.steps import next_acts
from strategies.messages import Action, Verdict

S = 1_000_000_000
A, B, SPOT = "A-LINEAR.X", "B-LINEAR.X", "A-SPOT.X"
TERMS = {
    A: ClosingTerms(lot=D("0.1"), max_quantity=D(4)),
    B: ClosingTerms(lot=D(1)),
    SPOT: ClosingTerms(lot=D("0.1"), min_quantity=D("0.2"), spot=True),
}
FLATTEN = Verdict(action=Action.FLATTEN, guard="drawdown")


@dataclass
class Live:
    """An order at the venue, or on its way to it."""

    key: PositionKey
    left: D
    reduce_only: bool
    takes: bool
    ours: bool
    since: int
    answered: bool = False
    arrived: bool = True

    def seen(self, name: str) -> WorkingOrder:
        return WorkingOrder(
            id=name,
            owner=self.key.owner,
            instrument=self.key.instrument,
            left=self.left,
            reduce_only=self.reduce_only,
            takes=self.takes,
            answered=self.answered,
            since=self.since,
            ours=self.ours,
        )


@dataclass
class World:
    """The venue, its clock, and a strategy that will not stop."""

    held: dict[PositionKey, D]
    policy: ClosingPolicy
    now: int = 0
    orders: dict[str, Live] = field(default_factory=dict)
    venue: AtVenue | None = None
    state: ClosingState = field(default_factory=ClosingState)
    said: list[ClosingNews] = field(default_factory=list)
    made: int = 0

    def add(self, key: PositionKey, left: D, *, reduce_only: bool, takes: bool, ours: bool) -> None:
        self.made += 1
        self.orders[f"{'z' if ours else 'o'}{self.made}"] = Live(
            key, left, reduce_only, takes, ours, self.now
        )

    def look(self) -> None:
        """Show the closer what is there, and do what it asks for, as its shell does."""
        for _ in range(4):
            view = ClosingFacts(
                now=self.now,
                verdicts=(FLATTEN,),
                positions={key: held for key, held in self.held.items() if held},
                orders=tuple(live.seen(name) for name, live in self.orders.items()),
                terms=TERMS,
                venue=self.venue,
            )
            self.state, acts = next_acts(self.state, view, self.policy)
            for act in acts:
                self.do(act)
            if not any(isinstance(act, CloseAct) for act in acts):
                return

    def do(self, act: Act) -> None:
        if isinstance(act, CloseAct):
            spot = TERMS[act.key.instrument].spot
            self.add(act.key, act.quantity, reduce_only=not spot, takes=True, ours=True)
            self.check_asked(act.key)
        elif isinstance(act, ClosingNews):
            self.said.append(act)

    def check_asked(self, key: PositionKey) -> None:
        """Never more on its way out than is held, counting all that the venue would not cap."""
        held = self.held[key]
        leaving = [
            live
            for name, live in self.orders.items()
            if live.key == key
            and live.left * held < 0
            and name not in self.state.lost
            and (live.ours or not live.reduce_only)
        ]
        assert sum(abs(live.left) for live in leaving) <= abs(held)

    def spam(self, key: PositionKey, quantity: D, *, reduce_only: bool, takes: bool) -> None:
        """Let the strategy send an order, as far as the order gate and the closer's hold do."""
        held = self.held[key]
        spot = TERMS[key.instrument].spot
        pending = sum((o.left for o in self.orders.values() if o.key == key), D(0))
        size = abs(quantity)
        exits = held * quantity < 0
        terms = TERMS[key.instrument]
        if size % terms.lot or (spot and size < terms.min_quantity):
            return  # The gate, or the venue, would not have it.
        if reduce_only and not spot:
            allowed = exits
        else:
            left = held + pending
            allowed = exits and size <= abs(held) and left * quantity < 0 and size <= abs(left)
            allowed = allowed and key not in self.state.attempts
        if allowed:
            capped = reduce_only and not spot
            self.add(key, quantity, reduce_only=capped, takes=takes, ours=False)

    def fill(self, name: str, part: int) -> None:
        """Fill a fraction (in tenths) of an order."""
        live = self.orders[name]
        if not live.arrived:
            return
        held = self.held[live.key]
        lot = TERMS[live.key.instrument].lot
        size = min(abs(live.left), max(lot, abs(live.left) * part / 10 // lot * lot))
        sign = 1 if live.left > 0 else -1
        if live.reduce_only:
            size = min(size, abs(held)) if held * sign < 0 else D(0)
        if size == 0:
            del self.orders[name]
            return
        after = held + sign * size
        entry = held * sign > 0
        assert entry or after * held >= 0, "a position turned round"
        if live.ours:
            assert abs(after) < abs(held)
        self.held[live.key] = after
        live.left -= sign * size
        live.answered = True
        if not live.left:
            del self.orders[name]

    def ask(self) -> None:
        positions: dict[str, D] = {}
        for key, held in self.held.items():
            positions[key.instrument] = positions.get(key.instrument, D(0)) + held
        self.venue = AtVenue(
            queried_at=self.now,
            positions={name: held for name, held in positions.items() if held},
            orders={n: o.key.instrument for n, o in self.orders.items() if o.arrived},
        )

    def calm(self) -> None:
        """Let the venue carry out all that it is asked for, and the time pass.

        The strategy goes on with exits that rest far from the market, again as soon as one is
        cancelled: none may keep the closer waiting for ever.
        """
        for _ in range(400):
            self.now += S // 4
            for name in list(self.orders):
                live = self.orders.get(name)
                if live is None:
                    continue
                if not live.arrived:
                    if self.now > live.since + 40 * S:  # The engine gives it up.
                        del self.orders[name]
                elif name in self.state.cancels:
                    del self.orders[name]
                elif live.takes:
                    self.fill(name, 10)
            for key, held in self.held.items():
                self.spam(key, -held, reduce_only=False, takes=False)
            self.ask()
            self.look()


KEYS = (PositionKey("one", A), PositionKey("two", B), PositionKey("one", SPOT))
sizes = st.integers(1, 120).map(lambda n: D(n) / 10)


@st.composite
def opening(draw: st.DrawFn) -> dict[PositionKey, D]:
    return {
        KEYS[0]: draw(sizes) * draw(st.sampled_from((1, -1))),
        KEYS[1]: D(draw(st.integers(-9, 9))),
        KEYS[2]: draw(sizes),
    }


@given(held=opening(), verifies=st.booleans(), data=st.data())
def test_whatever_the_venue_does_positions_only_shrink_and_end_flat(held, verifies, data):
    policy = ClosingPolicy(
        grace_ns=2 * S,
        deadline_ns=30 * S,
        owners={key.instrument: key.owner for key in KEYS},
        verifies=verifies,
    )
    world = World(held=dict(held), policy=policy)
    world.look()
    for _ in range(data.draw(st.integers(0, 40), label="events")):
        event = data.draw(
            st.sampled_from(
                ("time", "time", "look", "fill", "answer", "end", "lose", "spam", "spam", "ask")
            )
        )
        name = data.draw(st.sampled_from(sorted(world.orders))) if world.orders else None
        if event == "time":
            world.now += data.draw(st.integers(1, 12 * S))
        elif event == "spam":
            key = data.draw(st.sampled_from(KEYS))
            size = data.draw(sizes) * data.draw(st.sampled_from((1, -1)))
            world.spam(
                key, size, reduce_only=data.draw(st.booleans()), takes=data.draw(st.booleans())
            )
        elif event == "ask":
            world.ask()
        elif name is not None and event == "fill":
            world.fill(name, data.draw(st.integers(1, 10)))
        elif name is not None and event == "answer" and world.orders[name].arrived:
            world.orders[name].answered = True
        elif name is not None and event == "end" and world.orders[name].arrived:
            # Filled in full, cancelled or rejected: the closer does not ask.
            del world.orders[name]
        elif name is not None and event == "lose" and not world.orders[name].answered:
            world.orders[name].arrived = False
        world.look()
    world.calm()
    for key, left in world.held.items():
        terms = TERMS[key.instrument]
        assert abs(left) < max(terms.lot, terms.min_quantity if terms.spot else D(0))
    assert world.orders == {}
    assert [said.kind for said in world.said if said.kind in ("flat", "not_flat")][-1] == "flat"
