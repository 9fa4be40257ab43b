"""A deployment is refused or whole, says what changes, and can be undone byte for byte."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from actors.records.journal import Journal
from config.durations import DAY_NS
from config.errors import DeskError
from config.load import load
from config.resolved import ValueDifference
from live_nodes.deploy import deploy as work
from live_nodes.deploy.gates import days_lived
from live_nodes.local.folder import node_document, node_to_stop, releases_of
from live_nodes.local.heartbeat import Heartbeat
from live_nodes.local.releases import DOCUMENT, RECORD, STUDY, Move, Releases
from tests.conftest import Done, RunCommand
from tests.live_nodes.deploy.studies import LEVERAGE, study_folder
from tests.live_nodes.documents import STEADY, node_file

STUDIED = {"steady": {"use": STEADY, "params": {"fraction": 0.2}}}
Deploy = Callable[..., Done]


@pytest.fixture
def node(tmp_path: Path) -> Path:
    return node_file(tmp_path, state=str(tmp_path / "state"), strategies=STUDIED)


@pytest.fixture
def deploy(node: Path, tmp_path: Path, run_command: RunCommand) -> Deploy:
    """Return what deploys a study with such figures; ``words`` are options."""

    def run(name: str = "", *words: str, **figures: Any) -> Done:
        study = ["--study", str(study_folder(tmp_path / name, **figures))] if name else []
        return run_command("deploy", str(node), *study, *words)

    return run


def leverage(node: Path) -> Any:
    return node_document(node).strategies["steady"].params.get("gross_leverage", "as by default")


def moves(node: Path) -> list[tuple[str, int]]:
    return [(move.kind, move.number) for move in releases_of(node).moves()]


def test_a_release_is_the_whole_document_with_the_parameters_and_the_node_runs_it(
    node: Path, deploy: Deploy
) -> None:
    done = deploy("first", "--reason", "a better leverage")
    assert done.code == 0, done.err
    assert f"{LEVERAGE}: 1.0 -> 0.2" in done.err
    # The study's best backtest has the same leverage, and another fraction.
    assert "strategies.steady.params.fraction: 0.3 -> 0.2" in done.err
    assert done.out == "release 1 is to run\n"
    found = releases_of(node)
    release = found.release(1)
    assert (release.study, release.reason, release.before) == ("first", "a better leverage", 0)
    assert release.parameters == {LEVERAGE: 0.2}
    assert release.provenance["data"] == "d" * 64
    assert [row["measured"] for row in release.gates] == [0, 1.5, 0.97, 0.2, 0.1, 120]
    assert load(found.document(1)).config_hash == release.config
    assert "extends" not in yaml.safe_load(found.document(1).read_text())
    assert (leverage(node), node_to_stop(node, (), print).name) == (0.2, "mine")
    assert moves(node) == [("deploy", 0), ("deploy", 1)]


@pytest.mark.parametrize(
    ("figures", "gate"),
    [
        ({"sharpe": -0.1}, "Sharpe out of sample"),
        ({"sharpe": None}, "Sharpe out of sample"),
        ({"deflated_sharpe": 0.94}, "deflated Sharpe"),
        ({"overfitting": 0.51}, "probability of overfitting"),
        ({"max_drawdown": 0.31}, "drawdown"),
        ({"trades": 29}, "closed trades"),
        ({"accepted": False}, "gates that the study failed"),
    ],
)
def test_a_gate_that_fails_refuses_and_nothing_is_written(
    node: Path, deploy: Deploy, figures: dict[str, Any], gate: str
) -> None:
    done = deploy("bad", **figures)
    assert done.code == 3
    assert "nan" not in done.err or figures == {"sharpe": None}
    assert done.err.rstrip().endswith(f"mine: refused, nothing is released: {gate}")
    assert not releases_of(node).folder.exists()


def test_a_study_must_beat_the_one_that_runs_by_the_margin(node: Path, deploy: Deploy) -> None:
    assert deploy("first").code == 0
    assert deploy("worse", sharpe=1.59, leverage=0.3).code == 3
    done = deploy("better", sharpe=1.61, leverage=0.3)
    assert done.code == 0, done.err
    name, measured = [(r["name"], r["measured"]) for r in releases_of(node).release(2).gates][-1]
    assert (name, round(measured, 6)) == (
        "Sharpe out of sample above that of first, release 1",
        0.11,
    )
    assert leverage(node) == 0.3


def test_an_edited_document_is_released_with_the_parameters_that_run(
    node: Path, deploy: Deploy
) -> None:
    assert "--study DIR: no release of a study runs" in deploy().err
    deploy("first")
    assert deploy().code == 0
    assert moves(node)[-1] == ("deploy", 1), "nothing changed, so nothing is released"
    text = yaml.safe_load(node.read_text()) | {"stop_deadline": 40}
    node.write_text(yaml.safe_dump(text))
    assert node_document(node).stop_deadline == 30
    done = deploy("", "--reason", "slow venue")
    assert (done.code, "stop_deadline: 30.0 -> 40.0" in done.err) == (0, True), done.err
    assert (node_document(node).stop_deadline, leverage(node)) == (40, 0.2)


def test_after_a_rollback_to_what_ran_before_all_releases_the_document_can_run_again(
    node: Path, deploy: Deploy, tmp_path: Path, run_command: RunCommand
) -> None:
    deploy("first")
    assert run_command("rollback", str(node), "--to", "0", "--reason", "worse", "--yes").code == 0
    node.write_text(yaml.safe_dump(yaml.safe_load(node.read_text()) | {"stop_deadline": 40}))
    folder = releases_of(node).folder
    assert f"or move {folder} away: the document runs again" in deploy().err
    folder.rename(tmp_path / "undone")
    assert node_document(node).stop_deadline == 40


def test_a_rollback_is_byte_for_byte_and_goes_from_each_to_the_one_before(
    node: Path, deploy: Deploy, run_command: RunCommand
) -> None:
    back = ("rollback", str(node))
    assert "nothing was ever released" in run_command(*back).err
    deploy("first")
    found = releases_of(node)
    kept = [found.document(number).read_bytes() for number in (0, 1)]
    deploy("second", leverage=0.3, sharpe=2.0)

    def disagreed(changes: list[ValueDifference]) -> None:
        raise DeskError(str(*changes))

    with pytest.raises(DeskError, match=r"0\.3 -> 0\.2"):
        work.rollback(node, None, "on second thoughts", disagreed)
    assert leverage(node) == 0.3
    done = run_command(*back, "--reason", "worse fills")
    assert (done.code, f"{LEVERAGE}: 0.3 -> 0.2" in done.err) == (0, True)
    assert (found.document(1).read_bytes(), leverage(node)) == (kept[1], 0.2)
    run_command(*back)
    assert (found.document(0).read_bytes(), leverage(node)) == (kept[0], 1.0)
    assert "release 0 is the first; --to N" in run_command(*back).err
    assert "there is no release 7; there are 0, 1, 2" in run_command(*back, "--to", "7").err
    assert run_command(*back, "--to", "2").code == 0
    listed = json.loads(run_command("releases", str(node), "--json").out)
    assert [row["state"] for row in listed] == ["rolled back", "rolled back", "current"]
    assert "worse fills" in run_command("releases", str(node)).out


def test_a_release_that_was_changed_is_not_run_but_can_be_stopped(
    node: Path, deploy: Deploy, run_command: RunCommand
) -> None:
    deploy("first")
    file = releases_of(node).document(1)
    assert file.stat().st_mode & 0o222 == 0
    file.chmod(0o644)
    file.write_text(file.read_text().replace("0.2", "0.9"))
    said: list[str] = []
    releases_of(node).begin(1)
    assert node_to_stop(node, (), said.append).name == "mine"
    assert "was changed since it was released" in said[0]
    assert "was changed since it was released" in run_command("live", str(node)).err
    assert "broken" in run_command("releases", str(node), "--json").out
    # It is not in the way of another, either way.
    assert run_command("rollback", str(node)).code == 0
    assert leverage(node) == 1.0
    assert run_command("rollback", str(node), "--to", "1").code == 1
    assert deploy("second", leverage=0.3).code == 0
    assert leverage(node) == 0.3


def changed(releases: Releases, number: int, name: str, old: str, new: str) -> None:
    file = releases.of(number) / name
    file.chmod(0o644)
    text = file.read_text()
    assert old in text
    (releases.of(number) / "before").write_text(text)
    file.write_text(text.replace(old, new))


def test_a_release_whose_record_has_no_hash_of_the_document_is_not_run(
    node: Path, deploy: Deploy, run_command: RunCommand
) -> None:
    deploy("first")
    changed(releases_of(node), 1, RECORD, f'"{DOCUMENT}":', '"other":')
    changed(releases_of(node), 1, DOCUMENT, "0.2", "0.9")
    (releases_of(node).of(1) / "other").write_bytes(
        (releases_of(node).of(1) / "before").read_bytes()
    )
    assert "node.yaml: was changed since it was released" in run_command("live", str(node)).err


def test_nothing_is_deployed_by_a_studys_outcome_that_was_changed_since(
    node: Path, deploy: Deploy
) -> None:
    deploy("first")
    changed(releases_of(node), 1, STUDY, "1.5", "0.5")
    done = deploy()
    assert (done.code, "study.json: was changed since it was released" in done.err) == (1, True)
    # The margin is above what the release has measured, whatever stands there now.
    assert deploy("worse", sharpe=1.59, leverage=0.3).code == 3
    assert deploy("better", sharpe=1.61, leverage=0.3).code == 0


def test_a_release_that_comes_back_by_itself_has_its_own_size_and_days(
    node: Path, deploy: Deploy
) -> None:
    text = yaml.safe_load(node.read_text())
    for name, days in (("first", 7), ("second", 60)):
        text["deploy"] = {"canary": {"environments": ["practice"], "days": days}}
        node.write_text(yaml.safe_dump(text))
        assert deploy(name, leverage=days / 100, sharpe=days).code == 0
    found = releases_of(node)
    found.revert(found.moves()[-1], 1, "outside")
    assert [(move.number, move.days) for move in found.moves()] == [(0, 0), (1, 7), (2, 60), (1, 7)]


def test_a_node_is_stopped_by_what_ran_not_by_a_release_that_waits(
    node: Path, deploy: Deploy
) -> None:
    deploy("first")
    releases_of(node).begin(1)
    node.write_text(yaml.safe_dump(yaml.safe_load(node.read_text()) | {"tag": "n2"}))
    assert deploy().code == 0
    assert node_document(node).tag == "n2"
    assert node_to_stop(node, (), print).tag != "n2"


def test_a_release_that_a_newer_version_reads_no_more_is_named_and_replaced(
    node: Path, deploy: Deploy, run_command: RunCommand
) -> None:
    deploy("first")
    found = releases_of(node)
    with found.locked():
        old = found.document(1).read_bytes() + b"gone: 1\n"
        made = found.write({DOCUMENT: old}, reason="old", before=1, config="", source="")
        found.move(Move(number=made.number, ts=1, by="anna", why="old", kind="deploy"))
    done = run_command("live", str(node))
    assert (done.code, "`perpdesk deploy" in done.err, "gone: unknown key" in done.err) == (
        2,
        True,
        True,
    )
    assert deploy("second", leverage=0.3).code == 0
    assert leverage(node) == 0.3


def test_mainnet_takes_what_has_lived_on_each_rung_of_the_ladder_and_small_at_first(
    tmp_path: Path, deploy: Deploy, run_command: RunCommand
) -> None:
    changes = {"environment": "mainnet", "confirm": "mainnet", "state": str(tmp_path / "state")}
    ladder = {"deploy": {"ladder": {"paper": 0, "testnet": 0}}, "strategies": STUDIED}
    deploy("first")
    folder = tmp_path / "real"
    folder.mkdir()
    real, study = node_file(folder, **changes, **ladder), str(tmp_path / "first")
    command = ("deploy", str(real), "--study", study)
    assert run_command(*command).err.rstrip().endswith("nothing is released: days on practice")
    practice = releases_of(tmp_path / "node.yaml").state
    lived(practice, days=1)
    done = run_command(*command)
    assert (done.code, done.out) == (0, "release 1 is to run at 0.25 of its size for 7 days\n")
    listed = json.loads(run_command("releases", str(real), "--json").out)
    assert [row["state"] for row in listed] == ["earlier", "canary"]


def lived(state: Path, days: float) -> None:
    """Let a node have run the current release for so long, and a second run be killed."""
    releases = Releases(state)
    move = releases.current()
    assert move is not None
    config, now = releases.release(move.number).config, [time.time_ns()]
    with Journal.open(state, node="mine", clock_ns=lambda: now[0]) as journal:
        for end in (True, False):
            journal.begin_run(environment="practice", document=config)
            now[0] += round(days * DAY_NS)
            if end:
                journal.end_run()


def test_days_lived_are_those_of_the_same_parameters(node: Path, deploy: Deploy) -> None:
    deploy("first")
    state = releases_of(node).state
    lived(state, days=2.5)
    assert days_lived(state, {LEVERAGE: 0.2}) == 2.5
    assert days_lived(state, {LEVERAGE: 0.3}) == 0
    assert days_lived(state / "elsewhere", {LEVERAGE: 0.2}) == 0


def test_a_killed_run_of_the_same_process_number_is_not_the_present_one(
    node: Path, deploy: Deploy
) -> None:
    """In a container each start has the same number."""
    deploy("first")
    state, config = releases_of(node).state, releases_of(node).release(1).config
    now = [time.time_ns() - 5 * DAY_NS]
    with Journal.open(state, node="mine", clock_ns=lambda: now[0]) as journal:
        for days in (4, 1):
            journal.begin_run(environment="practice", document=config)
            now[0] += days * DAY_NS
        Heartbeat(state, print).beat("running")
        assert days_lived(state, {LEVERAGE: 0.2}) == pytest.approx(1, abs=0.01)


def test_the_ladder_is_skipped_with_a_reason_alone(
    tmp_path: Path, node: Path, deploy: Deploy, run_command: RunCommand
) -> None:
    deploy("first")
    text = yaml.safe_load(node.read_text()) | {"environment": "mainnet"}
    node.write_text(yaml.safe_dump(text))
    command = ("deploy", str(node), "--study", str(tmp_path / "first"), "--skip-ladder")
    assert run_command(*command).code == 2
    assert run_command(*command, "--reason", "tested elsewhere").code == 0
    assert releases_of(node).release(1).reason == "tested elsewhere (ladder skipped)"


def test_what_a_canary_must_be_judged_by_is_wanted_before(deploy: Deploy, node: Path) -> None:
    text = yaml.safe_load(node.read_text())
    text["deploy"] = {"canary": {"environments": ["practice"]}}
    node.write_text(yaml.safe_dump(text))
    assert deploy("first", band=(float("nan"), 1.0)).code == 2, "JSON has no NaN"
    assert deploy("second").code == 0
    (move,) = [move for move in releases_of(node).moves() if move.number == 1]
    assert (move.size, move.days) == (0.25, 7)


def test_parameters_that_the_node_lacks_are_named(tmp_path: Path, run_command: RunCommand) -> None:
    other = {"other": {"use": STEADY}}
    file = node_file(tmp_path, state=str(tmp_path / "state"), strategies=other)
    done = run_command("deploy", str(file), "--study", str(study_folder(tmp_path / "first")))
    assert (done.code, "the study's parameters do not fit it" in done.err) == (2, True), done.err


def test_two_who_deploy_at_once_do_not_undo_each_other(node: Path, deploy: Deploy) -> None:
    deploy("first")
    found = releases_of(node)
    seen = found.moves()[-1]
    assert found.revert(seen, 1, "outside") == "", "it runs already"
    assert found.revert(seen, 0, "outside") == "release 1 is reverted, 0 runs: outside"
    assert not found.end_canary(seen, "inside")
    with found.locked():
        assert not found.end_canary(found.moves()[-1], "inside"), "a node never waits"
    assert (moves(node)[-1], found.document(1).exists()) == (("revert", 0), True)
