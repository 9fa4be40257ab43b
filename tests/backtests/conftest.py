"""Ten hours of the demo's basis."""

from pathlib import Path

import pytest

from catalog.demo.basis import BasisParams, generate
from catalog.storage.writer import CatalogWriter


@pytest.fixture(scope="session")
def basis(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Quotes from 2025-03-03 00:00 on: a settlement at eight."""
    folder = tmp_path_factory.mktemp("basis") / "catalog"
    with CatalogWriter(folder) as writer:
        writer.add(generate(BasisParams(hours=10)))
    return folder
