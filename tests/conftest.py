"""Fixtures that several packages' tests share."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml
from hypothesis import settings

import perpdesk
from actors.records.journal_reading import read
from catalog.providers.base import Import
from catalog.providers.demo import DemoParams, generate
from catalog.storage.writer import CatalogWriter

# A busy machine is no bug: examples have no time limit each. `make test` tries the same few each
# time; `make test-slow` sets EXPLORE and looks for new ones.
EXPLORES = "EXPLORE" in os.environ
settings.register_profile("gate", deadline=None, derandomize=True, max_examples=25)
settings.register_profile("explore", deadline=None, max_examples=300)
settings.load_profile("explore" if EXPLORES else "gate")

TESTS = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Sort tests into those of `make test`, `make test-live` and `make test-slow` by markers.

    Everything below ``live_nodes`` is live, but for what is marked as ``end_to_end``.
    """
    for item in items:
        below = item.path.relative_to(TESTS).parts[0]
        if below == "live_nodes" and item.get_closest_marker("end_to_end") is None:
            item.add_marker("live")
        if getattr(getattr(item, "obj", None), "is_hypothesis_test", False):
            item.add_marker("examples")
    # The longest stand at the top level: no worker begins one of them when the others are done.
    items.sort(key=lambda item: item.path.parent != TESTS)


SMALL = DemoParams(days=120, perps=12)
"""Four months of twelve perpetuals: large enough to rank, small enough to run in seconds."""


@pytest.fixture(scope="session", autouse=True)
def trials_of_tests(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Count the trials of tests in a ledger of their own."""
    os.environ["PERPDESK_TRIALS"] = str(tmp_path_factory.mktemp("trials") / "trials.sqlite")


@pytest.fixture(scope="session", autouse=True)
def keystore_of_tests(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Open nobody's own keystore."""
    os.environ["PERPDESK_KEYSTORE"] = str(tmp_path_factory.mktemp("keys") / "keystore.json")


@pytest.fixture(scope="session")
def demo_market() -> Import:
    """Return the small demo market, made once a test session."""
    return generate(SMALL)


def written(path: Path, market: Import, **changes: Any) -> Path:
    """Write a market, with other ``tables`` or ``instruments``, into a new catalog."""
    with CatalogWriter(path) as writer:
        writer.add(replace(market, **changes))
    return path


@pytest.fixture(scope="session")
def demo_catalog(tmp_path_factory: pytest.TempPathFactory, demo_market: Import) -> Path:
    """Return the path of a catalog with the small demo market."""
    return written(tmp_path_factory.mktemp("catalog") / "demo", demo_market)


WriteRun = Callable[..., Path]


@pytest.fixture
def write_run(tmp_path: Path, demo_catalog: Path) -> WriteRun:
    """Return a function that writes a backtest document on the small demo catalog.

    Keyword arguments replace top-level keys.
    """

    def write(name: str = "small", **changes: Any) -> Path:
        document: dict[str, Any] = {
            "kind": "backtest",
            "name": name,
            "catalog": str(demo_catalog),
            "window": {"start": "2023-02-01", "end": "2023-04-01"},
            "strategies": {
                "reversal": {
                    "use": "strategies.xs_reversal:XSReversal",
                    "params": {"lookback": 1, "fraction": 0.25, "gross_leverage": 1.0},
                }
            },
        }
        document.update(changes)
        file = tmp_path / f"{name}.yaml"
        file.write_text(yaml.safe_dump(document, sort_keys=False), encoding="utf-8")
        return file

    return write


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own, of eight megabytes."""
    place = tmp_path / "small"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(place)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("only root can mount a small file system")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


@contextmanager
def full_disk(place: Path, folder: Path) -> Iterator[Path]:
    """Fill a file system to the brim by a file, on which a journal in `folder` may not go back.

    It would write for a while where it has written before.
    """
    with read(folder) as reader, reader.at_one_moment():
        reader.runs()
        yield fill_disk(place)


def fill_disk(place: Path, leave: int = 0) -> Path:
    """Fill a file system to the brim by a file, or but for some bytes, and return that."""
    rest = place / "rest"
    with rest.open("ab", buffering=0) as file:
        for size in (4096, 1):
            with suppress(OSError):
                while shutil.disk_usage(place).free >= leave and file.write(bytes(size)):
                    pass
    return rest


class Done(NamedTuple):
    """How a command ended, and what it printed."""

    code: object
    out: str
    err: str


RunCommand = Callable[..., Done]


@pytest.fixture
def run_command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> RunCommand:
    """Return a function that runs ``perpdesk`` with arguments in this process."""

    def run(*arguments: str) -> Done:
        monkeypatch.setattr(sys, "argv", ["perpdesk", *arguments])
        code: object = 0
        try:
            perpdesk.main()
        except SystemExit as ended:
            code = ended.code or 0
        except Exception:  # noqa: BLE001 - as the interpreter does
            traceback.print_exc()
            code = 1
        return Done(code, *capsys.readouterr())

    return run
