"""The process beside a node that writes its audit chain, and mirrors its journal.

It ends when the node's process has ended or closed the pipe to it, after a last look: also after
kill -9. Run with a state folder and the journal's name in the mirror, whose URL is the first line
of the pipe, empty without a mirror.
"""

from __future__ import annotations

import os
import select
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Self

from actors.records.chain import Chain, follow_connection
from actors.records.journal_files import NAME
from config.errors import DeskError

if TYPE_CHECKING:
    # It brings all documents with it, and most followers need none.
    from live_nodes.local.keys import Secret

EVERY_S = 1.0
END_S = 5.0
"""How long a stop of the node waits for the last look."""
AGAIN_S = 5.0
"""A follower that ended is started again after so long, then twice as long, up to `SOUND_S`."""
SOUND_S = 300.0
"""One that ran so long is sound: what it says is told again."""
NICE = 10


class Follower:
    """Starts the follower of a journal, and starts it again when it ends; `tell` gets its lines.

    `tell` is called in another thread.
    """

    def __init__(
        self,
        folder: Path,
        tell: Callable[[str], None],
        mirror: Secret | None = None,
        name: str = "",
    ) -> None:
        self._folder, self._tell, self._mirror, self._name = folder, tell, mirror, name
        self._closing = threading.Event()
        self._process: subprocess.Popen[str] | None = None
        self._thread = threading.Thread(target=self._keep, name="records", daemon=True)

    def __enter__(self) -> Self:
        self._start()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._closing.set()
        process = self._process
        if process is None:
            return
        assert process.stdin is not None
        process.stdin.close()
        self._thread.join(END_S)

    def kill(self) -> None:
        """End its present process as a crash would."""
        if self._process is not None:
            self._process.kill()

    def _start(self) -> None:
        paths = os.pathsep.join(place for place in sys.path if place)
        command = [sys.executable, "-P", "-m", __name__, str(self._folder), self._name]
        try:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                env={**os.environ, "PYTHONPATH": paths},
                start_new_session=True,
            )
            assert self._process.stdin is not None
            self._process.stdin.write(f"{self._mirror.reveal() if self._mirror else ''}\n")
            self._process.stdin.flush()
            if self._closing.is_set():
                self._process.stdin.close()
        except OSError as error:
            self._process = None
            self._tell(f"the audit chain stands still: its process can't start: {error}")

    def _keep(self) -> None:
        pause, told = AGAIN_S, set[str]()
        while True:
            process, began = self._process, time.monotonic()
            if process is not None:
                assert process.stdout is not None
                for line in process.stdout:
                    self._tell_once(line.rstrip("\n"), told, began)
                code = process.wait()
                if self._closing.is_set():
                    return
                ended = f"the audit chain's process ended with {code}: started again"
                self._tell_once(ended, told, began)
            if time.monotonic() - began > SOUND_S:
                pause = AGAIN_S
            if self._closing.wait(pause):
                return
            pause = min(2 * pause, SOUND_S)
            self._start()

    def _tell_once(self, line: str, told: set[str], began: float) -> None:
        # One that ends again and again says the same each time.
        if line not in told or time.monotonic() - began > SOUND_S:
            told.add(line)
            self._tell(line)


def follow(folder: Path, ended: Callable[[float], bool], say: Callable[[str], None]) -> None:
    """Chain what a journal gets until `ended`, which waits for so many seconds, and once more."""
    chain, journal = Chain(folder), follow_connection(folder / NAME)
    said, last = "", False
    try:
        while True:
            try:
                while chain.add(journal, time.time_ns()):
                    pass
                trouble = ""
            except (sqlite3.Error, OSError) as error:
                trouble = f"the audit chain stands still: {error}"
            if trouble and trouble != said:
                say(trouble)
            said = trouble
            if last:
                return
            last = ended(EVERY_S)
    finally:
        journal.close()
        chain.close()


def main() -> None:
    """Follow the journal of the folder that the arguments name."""
    folder, url = Path(sys.argv[1]), sys.stdin.readline().strip()
    os.nice(NICE)
    over = threading.Event()

    def ended(seconds: float) -> bool:
        # Nothing more is ever sent: it can be read once the node has ended.
        if select.select([sys.stdin], [], [], seconds)[0]:
            over.set()
        return over.is_set()

    def say(line: str) -> None:
        # Once the node has ended nobody reads it, and a last look still follows.
        with suppress(OSError):
            print(line, flush=True)

    def crashed(how: threading.ExceptHookArgs) -> None:
        # The node tells of a process that ended, and starts it again; a mere thread nobody misses.
        threading.__excepthook__(how)
        os._exit(1)

    threading.excepthook = crashed
    mirroring = threading.Thread()
    if url:
        from live_nodes.local.keys import Secret
        from live_nodes.records.mirror import Mirror

        mirror = Mirror(folder, sys.argv[2], Secret(url), say)
        mirroring = threading.Thread(target=mirror.run, args=(over.wait,), name="mirror")
    mirroring.start()
    try:
        follow(folder, ended, say)
    except (DeskError, sqlite3.Error, OSError) as error:
        say(f"the audit chain stands still: {error}")
        sys.exit(1)
    finally:
        over.set()
        # For its last look, before which it may not even have begun: an ending process starts no
        # thread.
        mirroring.join()


if __name__ == "__main__":
    main()
