"""Folders of policies: whole, numbered, refused when altered; trainings that go on."""

import json
from contextlib import suppress
from pathlib import Path

import pytest

from backtests.policies.artifacts import folders, kept, newest, summary, under_way, write
from config.errors import DeskError, InputError
from strategies.basis.features import FEATURES
from strategies.basis.policy import Trees, load
from strategies.basis.threshold import Threshold
from tests.backtests.policies.test_walk_forward import leaf
from tests.strategies.basis.test_policy import TRAINED

LEVELS = Threshold(open_bps=30.0, close_bps=-20.0)
FACTS = {"low": [0.0] * len(FEATURES), "high": [1.0] * len(FEATURES), "seeds": [1]}
FACTS |= {"params": TRAINED, "fees": ["0.001", "0.00055"]}


def test_versions_count_up_and_what_was_written_is_what_is_read(tmp_path: Path):
    one, two = (write(tmp_path, "demo", LEVELS, trees, FACTS) for trees in (leaf(7.0), None))
    assert [one.name, two.name] == ["1", "2"]
    trees = load(one).trees
    assert trees is not None
    assert trees.value.tolist() == [7.0]
    assert (load(two).trees, load(two).threshold) == (None, LEVELS)
    assert newest(tmp_path, "demo") == "2"
    assert list(folders(tmp_path)) == [one, two]


def test_a_write_that_fails_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def full(path: Path, *words: str, **how: str) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(InputError, match="cannot be written: no space left"):
        write(tmp_path, "demo", LEVELS, leaf(1.0), FACTS)
    assert list((tmp_path / "demo").iterdir()) == []


def altered(folder: Path, key: str, value: object) -> None:
    """Change a manifest's value as a person would, with an editor."""
    path = folder / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {key: value}))


def test_an_altered_policy_is_listed_as_refused(tmp_path: Path):
    folder = write(tmp_path, "demo", LEVELS, leaf(1.0), FACTS)
    altered(folder, "threshold", {"open_bps": 1.0, "close_bps": 0.0})
    assert "altered since the training" in summary(folder)["refused"]


def test_missing_names_are_told_with_those_there_are(tmp_path: Path):
    write(tmp_path, "demo", LEVELS, None, FACTS)
    with pytest.raises(InputError, match="no policy dmeo; there is demo"):
        newest(tmp_path, "dmeo")


def learned(root: Path, key: str, value: float, *, interrupted: bool = False) -> float:
    """Return what one seed of a training has learned."""
    with suppress(KeyboardInterrupt), under_way(root, "demo", key) as folder:
        found = kept(folder, "seed-1", Trees, lambda: leaf(value))
        if interrupted:
            raise KeyboardInterrupt
    return float(found.value[0])


def test_a_training_takes_up_what_it_kept_and_forgets_what_another_learned(tmp_path: Path):
    assert learned(tmp_path, "key", 3.0, interrupted=True) == 3.0
    assert learned(tmp_path, "key", 4.0, interrupted=True) == 3.0
    assert learned(tmp_path, "other key", 5.0) == 5.0
    assert list((tmp_path / "demo").iterdir()) == []


def test_a_folder_that_cannot_be_written_is_named_before_anything_is_learned(tmp_path: Path):
    (tmp_path / "policies").write_text("")
    with (
        pytest.raises(InputError, match=r"policies/demo: cannot be written: Not a directory"),
        under_way(tmp_path / "policies", "demo", "key"),
    ):
        pass


def test_one_training_of_a_name_runs_at_a_time(tmp_path: Path):
    words = pytest.raises(DeskError, match="another training of it is under way")
    with under_way(tmp_path, "demo", "key"), words, under_way(tmp_path, "demo", "other key"):
        pass
