"""`perpdesk policy` as a user meets it: train, go on after Ctrl-C, evaluate, list, show, refuse."""

import json
from functools import partial
from pathlib import Path

import pytest

from backtests.policies import fitted_q, training
from backtests.policies.fitted_q import Settings
from backtests.policies.looks import Looks
from strategies.basis.policy import Trees
from tests.backtests.policies.conftest import Documents
from tests.backtests.policies.test_artifacts import altered
from tests.conftest import RunCommand

FEW = ("--folds", "2", "--seeds", "2", "--every", "1m")


@pytest.fixture
def policies(tmp_path: Path) -> Path:
    return tmp_path / "policies"


def test_from_training_to_a_refusal(run_command: RunCommand, file: Path, policies: Path):
    where = ("--policies", str(policies))
    trained = run_command("policy", "train", str(file), "--name", "demo", *FEW, *where, "--json")
    assert trained.code == 0, trained.err
    found = json.loads(trained.out)
    names = [one["name"] for one in found["policies"]]
    assert names == ["never", "above cost", "threshold", "learner", "foresight"]
    # Ten hours prove nothing: the threshold is kept.
    assert found["kind"] == "threshold"

    forced = run_command(
        *("policy", "train", str(file), "--name", "demo", *FEW, *where, "--always-trees")
    )
    assert forced.code == 0, forced.err
    assert "the trees decide in" in forced.out

    listed = run_command("policy", "list", *where)
    assert [line.split()[:3] for line in listed.out.splitlines()] == [
        ["demo", "1", "threshold,"],
        ["demo", "2", "trees,"],
    ]
    shown = run_command("policy", "show", "demo", "2", *where)
    assert "basis_bps" in shown.out
    judged = run_command("policy", "evaluate", str(file), "--name", "demo", *where, "--json")
    assert judged.code == 0, judged.err
    assert "overlaps" in judged.err

    altered(policies / "demo" / "2", "fees", ["0", "0"])
    refused = run_command("policy", "show", "demo", *where)
    assert refused.code == 3
    assert "altered since the training" in refused.err


def test_a_training_that_was_interrupted_goes_on(document: Documents, policies: Path):
    settings = Settings(seeds=(1, 2), every_ns=60 * 10**9, folds=2)
    train = partial(training.train, document(), policies, "demo", settings, lambda *_: None)
    learned: list[int] = []

    def learner(looks: Looks, seed: int, settings: Settings) -> Trees:
        if len(learned) == 3:
            learned.append(-1)
            raise KeyboardInterrupt
        learned.append(seed)
        return fitted_q.fit(looks, seed, settings)

    with pytest.raises(KeyboardInterrupt):
        train(learner=learner)
    assert not (policies / "demo" / "1").exists()
    done = train(learner=learner)
    # Two folds of two seeds: three were kept, the fourth was learned anew.
    assert learned == [1, 2, 1, -1, 2]
    assert [one.name for one in (policies / "demo").iterdir()] == ["1"]
    undisturbed = train()
    assert done.judged == undisturbed.judged


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--name", "../demo"), "letters, digits"),
        (("--name", "demo", "--every", "often"), "--every often"),
        (("--name", "demo", "--folds", "2", "--purge", "20h"), "purge"),
    ],
)
def test_wrong_input_is_named(
    run_command: RunCommand, file: Path, policies: Path, words: tuple[str, ...], told: str
):
    done = run_command("policy", "train", str(file), "--policies", str(policies), *words)
    assert done.code == 2
    assert told in done.err
