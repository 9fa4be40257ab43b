"""How a rebalancer's plan moves on: numbers by hand, no engine."""

from decimal import Decimal as D

from strategies.messages import Target
from strategies.rebalance.plan import Change, Plan, Progress, changes_of, exits_first


def test_a_change_is_made_of_every_line_with_an_order():
    lines = (
        Target(instrument="A", current="1", order="2.5"),
        Target(instrument="B", current="4", order="0"),
        Target(instrument="C", current="0", order="-0.1"),
    )
    changes = changes_of(lines)
    assert changes == [Change("A", D(1), D("2.5")), Change("C", D(0), D("-0.1"))]
    assert [change.target for change in changes] == [D("3.5"), D("-0.1")]


def test_exits_leave_before_entries_and_each_keep_their_order():
    entry, exit_, turn, less = (
        Change("A", D(0), D(1)),
        Change("B", D(2), D(-2)),
        # Turned to a short of the same size: nothing grows.
        Change("C", D(2), D(-4)),
        Change("D", D(-3), D(1)),
    )
    assert exits_first([entry, exit_, turn, less]) == [exit_, turn, less, entry]


def test_a_decision_with_orders_is_under_way_and_keeps_what_was_done():
    begun = Progress(done=100).begun("rebalance", 205, 200, [Change("A", D(1), D(2))])
    plan = Plan(stamp=200, made=205, kind="rebalance", targets={"A": D(3)}, before={"A": D(1)})
    assert begun == Progress(done=100, plan=plan)
    assert begun.finished() == Progress(done=200)
    # Without orders it is done at once.
    assert Progress(done=100).begun("rebalance", 205, 200, []) == Progress(done=200)


def test_a_new_rebalance_takes_the_place_of_the_plan_under_way():
    under_way = Progress().begun("rebalance", 100, 100, [Change("A", D(0), D(1))])
    begun = under_way.begun("rebalance", 200, 200, [Change("B", D(0), D(1))])
    wanted, before = {"B": D(1)}, {"B": D(0)}
    plan = Plan(stamp=200, made=200, kind="rebalance", targets=wanted, before=before)
    assert begun.plan == plan


def test_leaving_one_instrument_goes_on_with_the_others_and_still_serves_their_stamp():
    both = [Change("A", D(0), D(1)), Change("B", D(0), D(-1))]
    under_way = Progress().begun("rebalance", 100, 100, both)
    left = under_way.begun("flatten", 130, None, [Change("A", D(1), D(-1))])
    targets = {"A": D(0), "B": D(-1)}
    before = {"A": D(1), "B": D(0)}
    assert left.plan == Plan(stamp=100, made=130, kind="flatten", targets=targets, before=before)


def test_what_a_plan_lacks_is_the_way_from_what_is_held():
    plan = Plan(stamp=1, made=1, kind="rebalance", targets={"C": D(5), "A": D(3), "B": D(-2)})
    lacking = plan.lacking({"A": D(1), "B": D(-2), "C": D(7)})
    assert lacking == [Change("A", D(1), D(2)), Change("C", D(7), D(-2))]
