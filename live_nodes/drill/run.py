"""Drill all guards of a document: backtest worlds one by one, practice worlds two at once."""

from __future__ import annotations

import itertools
import tempfile
import threading
import time
import traceback
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import replace
from pathlib import Path
from typing import Any

from actors.desk.build import guards_of
from actors.guards.core.guard import Guard
from config.documents import Setup
from config.errors import DeskError, InputError, hint
from config.guard_warnings import idle_guards
from config.resolved import Resolved
from live_nodes.drill.backtest_world import BacktestWorld
from live_nodes.drill.documents import OPERATOR_USE, lent, scene_of
from live_nodes.drill.drill_run import DrillRun
from live_nodes.drill.practice_world import PracticeWorld
from live_nodes.drill.rows import DrillRow, compare
from live_nodes.drill.world import DrillError, World, WorldName
from live_nodes.local.mailbox import OPERATOR
from live_nodes.node.operator_desk import OperatorGuard

WORLDS: tuple[WorldName, ...] = ("backtest", "practice")
AT_ONCE = 2
"""Practice drills at the same time; each is two processes that mostly wait."""
BEATS = {"backtest": 2.5, "practice": 0.6}


def drill(
    resolved: Resolved,
    *,
    worlds: Sequence[WorldName] = WORLDS,
    guards: Sequence[str] = (),
    progress: Callable[[int, int, str], object] = lambda done, total, what: None,
    folder: Path | None = None,
) -> list[DrillRow]:
    """Drill each guard of a document alone and compare the worlds.

    The document has passed every check. By default all enabled guards are drilled and practice
    files are temporary. `progress` gets the numbers of rows that are done and of all, and which one
    has just ended, from any thread. Rows are in the document's order, by guard. Raises InputError
    when the document has no such guard. Raises DeskError when a guard has no drill.
    """
    chosen = _chosen(resolved, guards)
    missing = [
        f"{key} ({type(guard).__name__})"
        for key, guard in chosen.items()
        if type(guard).drill is Guard.drill
    ]
    if missing:
        raise DeskError(
            f"{resolved.file}: nothing says how to drill {', '.join(missing)}: write the method "
            "drill of its class"
        )
    idle = idle_guards(resolved.document)
    uses = {key: component.use for key, component in resolved.document.actors.items()}
    rows = [
        DrillRow(key, uses.get(key, OPERATOR_USE), world, note=idle.get(key, ""))
        for key in chosen
        for world in worlds
    ]
    stopped, done = threading.Event(), itertools.count(1)
    progress(0, len(rows), "")

    with tempfile.TemporaryDirectory(prefix="drill-") as temporary:
        base = folder or Path(temporary)

        def one(row: DrillRow) -> None:
            _one(resolved, row, chosen[row.guard], base / row.guard, stopped)
            progress(next(done), len(rows), f"{row.guard} in {row.world}")

        pool = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="drill")
        try:
            left = {pool.submit(one, row) for row in rows if row.world == "practice"}
            for row in rows:
                if row.world == "backtest":
                    one(row)
            while left:
                # In short waits, so that Ctrl-C works.
                ended, left = wait(left, timeout=0.2)
                for future in ended:
                    future.result()
        finally:
            # Running drills end their nodes and exchanges first.
            stopped.set()
            pool.shutdown(wait=True, cancel_futures=True)
    compare(rows)
    return rows


def _chosen(resolved: Resolved, keys: Sequence[str]) -> dict[str, Guard[Any, Any]]:
    if not isinstance(resolved.document, Setup):
        raise InputError(f"{resolved.file}: kind is {resolved.kind}, which has no guards")
    there = {key: actor.guard for key, actor in guards_of(resolved.document).items()}
    if not there:
        raise InputError(f"{resolved.file}: actors: no guard is enabled: there is nothing to drill")
    there |= {OPERATOR: OperatorGuard().guard}
    for key in keys:
        if key not in there:
            known = f"there are {', '.join(there)}"
            raise InputError(f"{resolved.file}: no enabled guard {key}{hint(key, there)}; {known}")
    return {key: guard for key, guard in there.items() if not keys or key in keys}


def _one(
    resolved: Resolved, row: DrillRow, guard: Guard[Any, Any], place: Path, stopped: threading.Event
) -> None:
    began = time.monotonic()
    practice = row.world == "practice"
    world: World | None = None
    try:
        scene = scene_of(resolved.document, row.guard)
        scene = replace(scene, beat=BEATS[row.world], real_time=practice)
        plan = guard.drill(scene)
        row.note = "; ".join(filter(None, (row.note, lent(resolved.document, scene))))
        if practice:
            place.mkdir(parents=True, exist_ok=True)
            world = PracticeWorld(resolved, scene, place, stopped, plan.params)
        else:
            world = BacktestWorld(resolved, scene, plan.params)
        DrillRun(world, scene, plan, row, float(resolved.document.risk.deadline)).run()
    except (DrillError, DeskError) as error:
        row.fail(str(error))
    except Exception as error:  # noqa: BLE001 - the row says what broke it, the others go on
        row.fail(f"{type(error).__name__}: {error}; {traceback.format_exc(limit=-3)}")
    finally:
        if world is not None:
            world.close()
        row.took_s = time.monotonic() - began
