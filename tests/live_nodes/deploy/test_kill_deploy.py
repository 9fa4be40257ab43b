"""Killed at any step of a deployment or a rollback, a node runs what it ran, whole."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from live_nodes.deploy import deploy as work
from live_nodes.local.folder import node_document, releases_of
from live_nodes.local.releases import DOCUMENT
from tests.live_nodes.deploy.studies import study_folder
from tests.live_nodes.documents import node_file

STEPS = ("fsync", "replace", "rename", "mkdir", "chmod")
KILLED, DONE = 9, 0


def dies_at(step: int, act: Callable[[], object]) -> bool:
    """Run something in a child that dies just before, or just after, its n-th step on the disk.

    Even steps die before, odd ones after. Return whether it died.
    """
    child = os.fork()
    if child == 0:
        count = 0

        def deadly(real: Callable[..., Any]) -> Callable[..., Any]:
            def call(*arguments: Any, **words: Any) -> Any:
                nonlocal count
                count += 1
                if count == step // 2 and step % 2 == 0:
                    os._exit(KILLED)
                number = count
                try:
                    return real(*arguments, **words)
                finally:
                    if number == step // 2:
                        os._exit(KILLED)

            return call

        for name in STEPS:
            setattr(os, name, deadly(getattr(os, name)))
        act()
        os._exit(DONE)
    _, status = os.waitpid(child, 0)
    code = os.waitstatus_to_exitcode(status)
    assert code in (KILLED, DONE)
    return code == KILLED


def runs(node: Path) -> tuple[int | None, bytes]:
    """Return what a node runs: its release's number and document, which must be whole."""
    assert node_document(node).name == "mine"
    found = releases_of(node)
    move = found.current()
    if move is None:
        return None, node.read_bytes()
    return move.number, found.document(move.number).read_bytes()


@pytest.mark.kill
@pytest.mark.parametrize("command", ["first deploy", "deploy", "rollback"])
def test_a_crash_in_any_step_leaves_the_old_release_running(tmp_path: Path, command: str) -> None:
    study, other = (
        study_folder(tmp_path / name, leverage=leverage, sharpe=sharpe)
        for name, leverage, sharpe in (("one", 0.2, 1.5), ("two", 0.3, 2.0))
    )
    moved = steps = 0
    for step in range(2, 1000):
        place = tmp_path / str(step)
        place.mkdir()
        node = node_file(place, state=str(place / "state"))
        if command != "first deploy":
            work.deploy(work.plan(node, study), "one")
        before = runs(node)

        def act(node: Path = node) -> None:
            if command == "rollback":
                work.rollback(node, None, "back")
            else:
                work.deploy(work.plan(node, other), "two")

        died = dies_at(step, act)
        after = runs(node)
        if not died:
            assert after[0] != before[0]
            break
        steps += 1
        if after != before:
            # The last rename is the whole move; only what follows it finds it made.
            moved += 1
            assert after[0] != before[0]
            continue
        assert not moved
        # Nothing that was left behind is in the way of the next try.
        act()
        number, document = runs(node)
        assert number is not None
        assert document == (releases_of(node).of(number) / DOCUMENT).read_bytes()
    assert moved == 3, "just after the rename, before and after the folder is synced"
    assert steps >= {"first deploy": 40, "deploy": 20, "rollback": 6}[command]
