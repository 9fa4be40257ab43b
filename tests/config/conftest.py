"""Fixtures of the documents' tests."""

from collections.abc import Callable
from pathlib import Path

import pytest

from config import validate
from tests.config.shipped import ROOT

Write = Callable[[str, str], Path]


@pytest.fixture(autouse=True)
def _at_home_and_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Run at the project's root, without the checks that other packages registered."""
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(validate, "_checks", {})
    monkeypatch.setattr(validate, "_sources", [])


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Return a function that writes a document's text under a name."""

    def written(name: str, text: str) -> Path:
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
        return file

    return written
