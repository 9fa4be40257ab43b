"""An import killed at any I/O boundary, or at any moment, leaves the catalog as it was."""

import json
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from catalog.storage.store import Catalog
from catalog.verify import verify
from tests.catalog.import_and_die import extend
from tests.catalog.market import BTC, FOREVER, candles, write
from tests.catalog.test_ticks import MESSAGES, fill, table_of

ROOT = Path(__file__).resolve().parents[2]


def whole(path: Path) -> str:
    """Hash of a catalog in which every file is there and is what its index says."""
    catalog = Catalog(path)
    wrong = {finding.check for finding in verify(catalog) if finding.severity == "wrong"}
    # The book of the tests has no snapshot, and loses messages.
    assert wrong <= {"no_snapshot", "sequence"}
    return catalog.data_hash()


@pytest.fixture
def before(tmp_path: Path) -> Path:
    """A catalog of candles, and of the beginning of a book."""
    write(tmp_path / "catalog", BTCUSDT=candles(100))
    fill(tmp_path / "catalog", table_of(MESSAGES[:4]))
    return tmp_path / "catalog"


def test_killed_at_any_boundary_the_catalog_is_the_old_or_the_new_one(before, tmp_path):
    report = tmp_path / "report.jsonl"
    command = [sys.executable, "-m", "tests.catalog.import_and_die", str(before), str(report)]
    subprocess.run(command, cwd=ROOT, check=True, timeout=120)
    runs = [json.loads(line) for line in report.read_text().splitlines()]
    old = whole(before)

    *killed, finished = runs
    assert finished["code"] == 0
    new = whole(Path(finished["copy"]))
    boundaries = finished["passed"].split(",")
    assert len(killed) == len(boundaries)
    assert set(boundaries) >= {"write_table", "fsync", "rename", "replace"}
    assert {run["signal"] for run in killed} == {signal.SIGKILL}
    switch = boundaries.index("replace")
    for number, run in enumerate(killed):
        path = Path(run["copy"])
        assert whole(path) == (old if number <= switch else new), (number, boundaries[number])

    for run in killed[:: max(1, len(killed) // 8)]:
        path = Path(run["copy"])
        extend(path)
        assert whole(path) == new
        folders = {p.name for p in (path / "versions").iterdir()}
        assert all(name.isdigit() for name in folders), "leftovers are swept"
        assert len(folders) <= 2


def test_killed_at_a_random_moment_the_catalog_is_the_old_or_the_new_one(before):
    old = whole(before)
    script = (
        "import sys; from pathlib import Path; from tests.catalog.import_and_die import extend;"
        "print('ready', flush=True); extend(Path(sys.argv[1]))"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", script, str(before)], cwd=ROOT, stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    time.sleep(random.uniform(0.0, 0.1))
    process.kill()
    process.wait(timeout=10)
    process.stdout.close()

    killed = whole(before)
    extend(before)

    assert Catalog(before).series("bars", "1h", BTC, 0, FOREVER).num_rows == 500
    book = table_of(MESSAGES[:6] + MESSAGES[8:])
    assert Catalog(before).series("book", "", BTC, 0, FOREVER).equals(book)
    assert killed in (old, whole(before))
