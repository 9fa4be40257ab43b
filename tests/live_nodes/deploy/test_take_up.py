"""A running node takes a release up between two rebalances, keeps its positions."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml

from actors.records.journal import Journal
from actors.records.journal_reading import read
from config.durations import DAY_NS
from live_nodes.deploy import deploy as work
from live_nodes.deploy.rules import OWNER, STATE, CanaryState
from live_nodes.local.folder import releases_of
from live_nodes.local.mailbox import MailRequest, ask
from live_nodes.local.releases import CURRENT, DOCUMENT, Release, Releases
from tests.live_nodes.deploy.studies import study_folder
from tests.live_nodes.killing import Ground, KilledNode
from tests.waiting import eventually

AAA, EAGER = "AAAUSDT-LINEAR.BYBIT", "tests.live_nodes.desk_strategies:Eager"
CANARY = {"canary": {"environments": ["practice"], "size": 0.5, "days": 2}}


@pytest.fixture
def node(ground: Ground) -> Iterator[KilledNode]:
    """Return a node that holds what a leverage of 0.1 wants."""
    made = ground.node()
    assert made.run("--run-once").code == 0, made.said()
    yield made
    if not made.dead:
        made.process.kill()


def released(node: KilledNode, folder: Path, **study: Any) -> Releases:
    work.deploy(work.plan(node.file, study_folder(folder, **study)), folder.name)
    return releases_of(node.file)


def said(node: KilledNode, words: str, times: int = 1) -> None:
    eventually(lambda: node.said().count(words) >= times, lambda: f"{words}:\n{node.said()}")


def stop(node: KilledNode) -> None:
    os.kill(node.pid, signal.SIGTERM)
    assert node.ended().code == 0, node.said()


def test_a_release_is_taken_up_in_place_and_undone_and_the_positions_stay(
    node: KilledNode, tmp_path: Path
) -> None:
    held = node.positions()
    node.begin()
    said(node, " runs (pid ")
    pid = node.pid
    released(node, tmp_path / "first", leverage=0.2)
    said(node, "release 1 is taken up: first")
    said(node, " runs (pid ", 2)
    assert "release 1 of the study first" in node.said()
    assert (node.pid, node.dead, node.positions()) == (pid, False, held)
    work.rollback(node.file, None, "no better")
    said(node, "release 0 is taken up: no better")
    said(node, " runs (pid ", 3)
    stop(node)
    assert node.positions() == held
    with read(node.folder) as journal:
        documents = [run.document for run in journal.runs(3)]
    found = releases_of(node.file)
    # The newest first: release 0 is the document that ran before, value by value.
    assert documents == [found.release(n).config for n in (0, 1, 0)]
    # The next rebalance after a take-up is by its parameters.
    work.rollback(node.file, 1, "after all")
    assert node.run("--run-once", "--force").code == 0
    assert round(node.decisions()[0].gross, 3) == 0.2


def test_a_strategy_that_decides_at_any_time_is_left_alone_until_flat_and_its_halt_stays(
    ground: Ground, tmp_path: Path
) -> None:
    wants = {"wants": {AAA: "1"}, "prices": {AAA: "100"}}
    eager = {"eager": {"use": EAGER, "instruments": [AAA], "params": wants}}
    node = ground.node(strategies=eager)
    node.begin()
    said(node, "eager: filled BUY")
    study = {"parameters": {"stop_deadline": 40.0}, "strategies": eager}
    released(node, tmp_path / "longer", **study)
    said(node, "release 1 waits: eager decides at any time: until it is flat")
    assert node.positions() == {AAA: Decimal(1)}
    ask(node.folder, MailRequest(command="flatten", reason="I am off"))
    said(node, "release 1 is taken up: longer")
    said(node, " runs (pid ", 2)
    assert node.positions() == {}
    with read(node.folder) as journal:
        assert [verdict.guard for _, verdict in journal.standing()] == ["operator"]
    stop(node)


def test_a_restart_drops_no_position_that_a_release_waits_for(
    node: KilledNode, tmp_path: Path
) -> None:
    held = node.positions()
    released(node, tmp_path / "less", parameters={"universe.exclude": ["AAA*"]})
    for _ in range(2):
        node.begin()
        said(node, "release 1 waits: it would not own steady's AAAUSDT-LINEAR.BYBIT")
        stop(node)
    assert node.positions() == held


def edit(node: KilledNode, **changes: Any) -> None:
    text = yaml.safe_load(node.file.read_text()) | changes
    node.file.write_text(yaml.safe_dump(text))


def test_what_is_not_sound_or_does_not_start_gives_way_to_what_ran(
    node: KilledNode, tmp_path: Path
) -> None:
    """Nor does it close positions on its way, though a stop would."""
    held = node.positions()
    edit(node, on_stop="flatten")
    node.begin()
    said(node, " runs (pid ")
    # The venue's fees are higher, which a start refuses.
    edit(node, expected={"fees": {"linear": {"maker": 0, "taker": 0}}})
    releases = released(node, tmp_path / "cheap", leverage=0.2)
    said(node, "release 1 is reverted, 0 runs: it does not start: ")
    said(node, " runs (pid ", 2)
    assert (node.positions(), releases.moves()[-1].kind) == (held, "revert")
    with releases.locked():
        text = releases.document(1).read_bytes()
        broken = releases.write({DOCUMENT: text + b"?"}, **record_of(releases.release(1)))
        releases.move(msgspec.structs.replace(releases.moves()[-1], number=broken.number))
    said(node, "release 2 is reverted, 0 runs: it is not sound: ")
    assert (node.said().count(" runs (pid "), node.positions()) == (2, held)
    # Also to what ran since, rather than to what was there before it was made.
    edit(node, expected={})
    released(node, tmp_path / "sound", leverage=0.3)
    said(node, " runs (pid ", 3)
    work.rollback(node.file, 1, "cheaper")
    said(node, "release 1 is reverted, 3 runs: it does not start: ")
    said(node, " runs (pid ", 4)
    assert node.positions() == held
    stop(node)
    assert node.positions() == {}, "a stop of the node closes all"


def record_of(release: Release) -> dict[str, Any]:
    made = ("number", "made", "by", "files")
    return {k: v for k, v in msgspec.structs.asdict(release).items() if k not in made}


def test_a_canary_is_small_and_reverts_by_itself_outside_the_band(
    node: KilledNode, tmp_path: Path
) -> None:
    edit(node, deploy=CANARY)
    node.begin()
    said(node, " runs (pid ")
    # Nothing that this node may earn in a second is within the band: 2 % at least on the first day.
    releases = released(node, tmp_path / "dear", leverage=0.2, band=(2.0, 3.0))
    said(node, "desk: size x 0.5: release 1 is a canary for 2 days")
    said(node, " runs (pid ", 2)
    with read(node.folder) as journal:
        assert [v.guard for _, v in journal.standing()] == ["node.release"]
    stop(node)
    assert node.run("--run-once", "--force").code == 0
    decision = node.decisions()[0]
    assert (decision.multiplier, round(decision.gross, 3)) == (0.5, 0.2)
    values = [abs(float(t.target) * (t.price or 0)) for t in decision.targets]
    assert sum(values) / float(decision.equity) == pytest.approx(0.1, rel=0.02), "half of 0.2"
    age(node, releases, days=1)
    node.begin()
    said(node, "release 1 is reverted, 0 runs: outside: ")
    said(node, "release 0 is taken up: outside")
    said(node, " runs (pid ", 2)
    alerts = [json.loads(line) for line in (node.folder / "alerts.jsonl").read_text().splitlines()]
    assert [a["level"] for a in alerts if "is reverted" in a["text"]] == ["critical"]
    with read(node.folder) as journal:
        assert journal.standing() == []
    stop(node)
    assert (releases.moves()[-1].by, releases.stages()) == (
        "the node",
        {0: "current", 1: "reverted"},
    )


def test_a_canary_that_stayed_inside_gets_its_full_size_without_a_restart(
    node: KilledNode, tmp_path: Path
) -> None:
    edit(node, deploy=CANARY)
    # Also where it changes nothing, so that a running node takes it up as it is.
    releases = released(node, tmp_path / "usual", leverage=0.1, band=(-5.0, 5.0))
    age(node, releases, days=2)
    moves = (releases.folder / CURRENT).rename(tmp_path / CURRENT)
    node.begin()
    said(node, " runs (pid ")
    moves.rename(releases.folder / CURRENT)
    said(node, "release 1 runs: usual")
    said(node, "release 1 runs: inside: ")
    said(node, "desk: node.release no longer halts entries")
    assert (node.said().count(" runs (pid "), releases.stages()[1]) == (1, "current")
    stop(node)


def age(node: KilledNode, releases: Releases, days: int) -> None:
    """Let the canary of a node that is stopped have run for so many days, without profit."""
    begun: dict[str, Any] = {
        "move": releases.moves()[-1].ts,
        "equity": Decimal(100_000),
        "result": Decimal(0),
    }
    with Journal.open(node.folder, node=node.account) as journal:
        state = CanaryState(**begun, lived=days * DAY_NS)
        journal.state(OWNER).save(STATE, msgspec.json.encode(state))


@pytest.mark.kill
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
@pytest.mark.parametrize("seconds", [0.0, 0.3, 0.6, 1.0, 1.5, 2.0, 3.0, 4.0])
def test_a_node_may_be_ended_at_any_moment_of_taking_a_release_up(
    node: KilledNode, tmp_path: Path, number: int, seconds: float
) -> None:
    held, traded = node.positions(), len(node.at_the_exchange()["executions"])
    node.begin()
    said(node, " runs (pid ")
    releases = released(node, tmp_path / "first", leverage=0.2)
    said(node, "stopping: release 1 is taken up")
    node.process.join(seconds)
    os.kill(node.pid, number)
    assert node.ended().code in (0, 3, 130, -signal.SIGTERM, -signal.SIGKILL), node.said()
    assert "Traceback" not in node.said()
    assert node.run("--run-once").code == 0, node.said()
    assert "release 1 of the study first" in node.said()
    assert (node.positions(), releases.stages()[1]) == (held, "current")
    assert len(node.at_the_exchange()["executions"]) == traded
    assert node.at_the_exchange()["open_orders"] == []
