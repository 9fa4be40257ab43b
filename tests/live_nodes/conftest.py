"""What several tests of live nodes share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.live_nodes.killing import Ground


@pytest.fixture(scope="session")
def ground(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ground]:
    """Return a practice exchange in a process of its own, and what makes nodes that may die."""
    with Ground(tmp_path_factory.mktemp("ground")) as made:
        yield made
