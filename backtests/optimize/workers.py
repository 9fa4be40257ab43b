"""Worker processes of a study: each keeps its data, is replaced at a memory cap, ends with us.

Workers are spawned: a forked engine deadlocks.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from itertools import batched, chain
from multiprocessing import resource_tracker
from typing import Any

from backtests.optimize.identity import made_of
from backtests.optimize.trials import Trials
from config.errors import DeskError, InputError
from config.resolved import Resolved

_trials: Trials


def _begin(base: Resolved) -> None:
    global _trials
    parent = multiprocessing.parent_process()
    assert parent is not None

    def end_with_parent() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=end_with_parent, daemon=True).start()
    _trials = Trials(base)


def _measured[T](work: Callable[..., T], *arguments: Any) -> tuple[T, int]:
    """Return what the work returns, and the bytes of memory that this worker then takes."""
    import psutil

    return work(_trials, *arguments), psutil.Process().memory_info().rss


def _each[T](mine: Trials, work: Callable[[Trials, Any], T], items: tuple[Any, ...]) -> list[T]:
    return [work(mine, item) for item in items]


class Pool:
    """Runs methods of `Trials`, and functions of one, in processes that keep a study's data."""

    replaced = 0

    def submit[T](self, work: Callable[..., T], /, *arguments: Any) -> Future[T]:
        """Let the next free process do something."""
        raise NotImplementedError

    def map[T](
        self, work: Callable[[Trials, Any], T], items: Iterable[Any], chunksize: int = 1
    ) -> Iterator[T]:
        """Yield what becomes of each item, in their order."""
        chunks: list[Future[list[T]]] = [
            self.submit(_each, work, chunk) for chunk in batched(items, chunksize)
        ]
        return chain.from_iterable(chunk.result() for chunk in chunks)


class Workers(Pool):
    """Processes that run trials; one that takes more than so many MB is replaced after its trial.

    A pool of processes can't end one of them by its memory: each has a pool of its own here, and a
    thread that feeds it. `wanted` is what each must be made of, as `made_of` has it.
    """

    def __init__(self, base: Resolved, count: int, most_mb: int, wanted: dict[str, str]) -> None:
        self._base, self._most, self._wanted = base, most_mb * 2**20, wanted
        # Processes inherit the mask of the thread that begins them: the parent hears Ctrl-C, and
        # ends them, also those that have not begun to listen. The tracker that spawning needs
        # takes the mask from the thread that begins it, so that must be another.
        resource_tracker.ensure_running()
        deaf = signal.SIG_BLOCK, (signal.SIGINT,)
        self._threads = ThreadPoolExecutor(count, initializer=signal.pthread_sigmask, initargs=deaf)
        self._own, self._lock = threading.local(), threading.Lock()
        self._pools, self._over = set[ProcessPoolExecutor](), False
        self.replaced = 0

    def submit[T](self, work: Callable[..., T], /, *arguments: Any) -> Future[T]:
        """Let the next free worker do something."""
        return self._threads.submit(self._run, work, *arguments)

    def pids(self) -> list[int]:
        """Return the ids of the processes."""
        return [pid for pool in self._pools for pid in pool._processes or ()]

    def kill(self) -> None:
        """End all at once, whatever they do."""
        with self._lock:
            self._over = True
            processes = [p for pool in self._pools for p in (pool._processes or {}).values()]
        self._threads.shutdown(wait=False, cancel_futures=True)
        for process in processes:
            process.kill()

    def shutdown(self) -> None:
        """End all once their work is done."""
        self._threads.shutdown()
        for pool in self._pools:
            pool.shutdown()

    def _run[T](self, work: Callable[..., T], *arguments: Any) -> T:
        with self._lock:
            if self._over:
                raise BrokenProcessPool
            begun = None
            pool: ProcessPoolExecutor | None = getattr(self._own, "pool", None)
            if pool is None:
                spawn = multiprocessing.get_context("spawn")
                pool = ProcessPoolExecutor(1, spawn, initializer=_begin, initargs=(self._base,))
                self._own.pool = pool
                self._pools.add(pool)
                begun = pool.submit(_measured, Trials.made_of)
            asked = pool.submit(_measured, work, *arguments)
        if begun is not None:
            self._refuse_other(begun.result()[0])
        done, size = asked.result()
        if size > self._most:
            pool.shutdown()
            with self._lock:
                self._pools.discard(pool)
                self._own.pool = None
                self.replaced += 1
        return done

    def _refuse_other(self, found: dict[str, str]) -> None:
        other = [name for name, value in self._wanted.items() if found.get(name) != value]
        if other:
            raise InputError(
                f"a worker process has another {', another '.join(other)} than the study began "
                "with: its trials would not be those of the others; the same command goes on once "
                "all have the same"
            )


@contextmanager
def workers(
    base: Resolved, count: int | str, most_mb: int, wanted: dict[str, str] | None = None
) -> Iterator[Pool]:
    """Spawn workers for trials of a document; they end with the block, or with this process.

    `count` is how many, or the address of a Dask scheduler whose workers spawn them. They are
    refused where they are not made of what is `wanted`, by default what this process is made of.
    """
    wanted = wanted or made_of(base)
    if isinstance(count, str):
        from backtests.optimize.cluster import cluster

        with cluster(base, count, most_mb, wanted) as theirs:
            yield theirs
        return
    pool = Workers(base, count, most_mb, wanted)
    try:
        yield pool
    except BaseException as error:
        pool.kill()
        if isinstance(error, BrokenProcessPool):
            raise DeskError(
                "a worker process was ended from outside, often for lack of memory: the same "
                "command goes on with what is left; give it fewer --workers"
            ) from error
        raise
    pool.shutdown()
