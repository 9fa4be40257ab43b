"""An import in a process of its own, which kills itself at a chosen I/O boundary.

Run as ``python -m tests.catalog.import_and_die CATALOG REPORT``: for every boundary it forks a
child that imports into a fresh copy of the catalog and dies there by SIGKILL; it writes a line of
JSON a boundary into the report. Forking saves the seconds of importing the engine each time.
"""

import json
import os
import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from catalog.storage.writer import CatalogWriter
from tests.catalog.market import BTC, ETH, candles, funding, marks
from tests.catalog.test_ticks import MESSAGES, table_of

BOUNDARIES = (
    *((os, "fsync"), (os, "rename"), (os, "replace"), (os, "link"), (pq, "write_table")),
    (pq.ParquetWriter, "write_table"),
)


def extend(catalog: Path) -> None:
    """The import under test: it extends one series and a day of a book, and adds others."""
    with CatalogWriter(catalog) as writer:
        writer.add_rows("bars", "1h", BTC, candles(500))
        writer.add_rows("bars", "1h", ETH, candles(500, seed=2))
        writer.add_rows("mark", "1h", BTC, marks(500))
        writer.add_rows("funding", "", BTC, funding(50))
        for part in (MESSAGES[8:], MESSAGES[2:6]):
            writer.add_rows("book", "", BTC, table_of(part))
        writer.provenance("hand", "simulated")


def die_at(fatal: int) -> list[str]:
    """Make the process die before its boundary of that number; gives the names passed so far.

    Nothing is forced onto the disk: what a killed process wrote is kept by the kernel anyway.
    """
    passed: list[str] = []

    def guarded(name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            if len(passed) == fatal:
                os.kill(os.getpid(), signal.SIGKILL)
            passed.append(name)
            return real(*args, **kwargs)

        return call

    for module, name in BOUNDARIES:
        real = getattr(module, name) if name != "fsync" else lambda _: None
        setattr(module, name, guarded(name, real))
    return passed


def main(catalog: Path, report: Path) -> None:
    """Die at every boundary in turn, each time in a copy of the catalog."""
    with report.open("w") as lines:
        fatal = 0
        while True:
            copy = catalog.with_name(f"killed-{fatal}")
            shutil.copytree(catalog, copy)
            reads, writes = os.pipe()
            child = os.fork()
            if child == 0:
                passed = die_at(fatal)
                extend(copy)
                os.write(writes, ",".join(passed).encode())
                os._exit(0)
            os.close(writes)
            _, status = os.waitpid(child, 0)
            names = os.read(reads, 65536).decode()
            os.close(reads)
            signalled = os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0
            code = os.WEXITSTATUS(status) if os.WIFEXITED(status) else None
            row = {"copy": str(copy), "signal": signalled, "code": code, "passed": names}
            lines.write(json.dumps(row) + "\n")
            if not signalled:
                return
            fatal += 1


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
