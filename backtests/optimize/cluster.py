"""Trials on a Dask cluster: the workers of a study, on many machines.

Each Dask worker keeps processes of its own for a study, as ``workers.py`` makes them: they load
the code that is on disk when the study begins, and data once. The scheduler needs no perpdesk.
"""

from __future__ import annotations

import asyncio
import logging
import multiprocessing
import pickle
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError, Future
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack, contextmanager, suppress
from typing import Any
from uuid import uuid4

from distributed import Client, Worker, WorkerPlugin
from distributed.scheduler import KilledWorker

from backtests.optimize.trials import Trials
from backtests.optimize.workers import Pool, workers
from config.errors import DeskError, InputError
from config.resolved import Resolved

CONNECT_S = 15
IDLE_S = 900.0
"""A study that was killed leaves its processes on the workers; they end after so long."""


class StudyOnWorker(WorkerPlugin):
    """A study on one Dask worker: its base document, and the processes that run its trials.

    The processes begin with the first trial, or with `ready`, and end when none came for a while.
    """

    def __init__(self, base: Resolved, most_mb: int, wanted: dict[str, str]) -> None:
        self._base, self._most_mb, self._wanted = base, most_mb, wanted
        self._idle_s = IDLE_S

    def setup(self, worker: Worker) -> None:
        """Know the worker; nothing is begun."""
        self._where, self._count = worker.address, worker.state.nthreads
        self._pool: Pool | None = None
        self._kept, self._lock, self._running = ExitStack(), threading.Lock(), 0
        self._over, self._idle = False, threading.Timer(self._idle_s, self._end_if_idle)

    async def teardown(self, worker: Worker) -> None:
        """End the processes, and the trials that they run."""
        self._over = True
        await asyncio.to_thread(self._end)

    def ready(self) -> None:
        """Begin a process; raise InputError where it is made of other code or data."""
        self.run(pickle.dumps((Trials.made_of, ())))

    def run(self, work: bytes) -> Any:
        """Run a pickled method and arguments in one process; if that is killed, once more."""
        asked = pickle.loads(work)
        with self._lock:
            self._running += 1
            self._idle.cancel()
        try:
            pool, found = self._submit(*asked)
            try:
                return found.result()
            except BrokenProcessPool:
                self._end(pool)
            return self._submit(*asked)[1].result()
        except InputError as error:
            raise InputError(f"worker {self._where}: {error}") from None
        finally:
            with self._lock:
                self._running -= 1
                if not self._running:
                    self._idle = threading.Timer(self._idle_s, self._end_if_idle)
                    self._idle.daemon = True
                    self._idle.start()

    def _submit(
        self, work: Callable[..., Any], arguments: tuple[Any, ...]
    ) -> tuple[Pool, Future[Any]]:
        with self._lock:
            pool = self._begun()
            return pool, pool.submit(work, *arguments)

    def _begun(self) -> Pool:
        if self._over:
            raise CancelledError
        if self._pool is None:
            # Dask's workers are daemons, which may have no children; ours end with them.
            multiprocessing.current_process()._config["daemon"] = False  # type: ignore[attr-defined]
            begun = workers(self._base, self._count, self._most_mb, self._wanted)
            self._pool = self._kept.enter_context(begun)
        return self._pool

    def _end(self, only: Pool | None = None) -> None:
        with self._lock:
            if self._pool is not None and only in (None, self._pool):
                self._pool = None
                self._kept.__exit__(CancelledError, CancelledError(), None)  # kills, waits for none

    def _end_if_idle(self) -> None:
        if not self._running:
            self._end()


class ClusterPool(Pool):
    """Runs functions in the processes that a study has on a cluster."""

    def __init__(self, client: Client, name: str) -> None:
        # By value: else the scheduler would have to import it.
        def work(pickled: bytes) -> Any:
            from distributed import get_worker

            study: Any = get_worker().plugins[name]
            return study.run(pickled)

        self._work, self._dask = work, client.get_executor(pure=False)

    def submit(self, work: Callable[..., Any], /, *arguments: Any) -> Future[Any]:
        """Run a method of `Trials`; a worker that is killed meanwhile makes it run elsewhere."""
        pickled = pickle.dumps((work, arguments))
        found: Future[Any] = self._dask.submit(self._work, pickled)
        return found


def _lacking() -> Callable[[], str]:
    def lacking() -> str:  # by value, as who lacks perpdesk can't import it
        try:
            import backtests.optimize.cluster  # noqa: F401
        except ImportError as error:
            return str(error)
        return ""

    return lacking


async def _ready(name: str, dask_worker: Worker) -> None:
    study: Any = dask_worker.plugins[name]
    await asyncio.to_thread(study.ready)


@contextmanager
def cluster(
    base: Resolved, address: str, most_mb: int, wanted: dict[str, str]
) -> Iterator[ClusterPool]:
    """Have the workers of a Dask scheduler ready for trials of a document.

    Raises InputError where a worker is of other code or data, DeskError where none answers.
    """
    name = f"perpdesk-{uuid4().hex}"
    # What is lost is said below, in one sentence.
    logging.getLogger("distributed.client").setLevel(logging.CRITICAL)
    try:
        client = Client(address, timeout=CONNECT_S, set_as_default=False, name="perpdesk")
    except (OSError, ValueError) as error:
        raise DeskError(f"--cluster {address}: no scheduler answers there: {error}") from None
    with client:
        if not client.scheduler_info()["workers"]:
            raise DeskError(
                f"--cluster {address}: it has no workers: start `dask worker {address} --preload "
                "perpdesk` in the project's folder of each machine"
            )
        for where, missing in client.run(_lacking()).items():
            if missing:
                raise DeskError(f"worker {where}: {missing}: start it with --preload perpdesk")
        try:
            client.register_plugin(StudyOnWorker(base, most_mb, wanted), name=name)
            for where, found in client.run(_ready, name, on_error="return").items():
                if isinstance(found, DeskError):
                    raise found
                if found is not None:
                    raise DeskError(f"worker {where}: {found!r}")
            yield ClusterPool(client, name)
        except (KilledWorker, BrokenProcessPool) as error:
            raise DeskError(
                f"--cluster {address}: a trial ended worker after worker, often for lack of "
                f"memory: the same command goes on with what is left ({error})"
            ) from None
        except CancelledError:
            raise DeskError(
                f"--cluster {address}: the scheduler is lost; the same command goes on with what "
                "is left once it is back"
            ) from None
        finally:
            with suppress(Exception):
                client.unregister_worker_plugin(name)
