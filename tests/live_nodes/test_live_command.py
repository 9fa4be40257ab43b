"""`perpdesk live` refuses wrong input by name before anything starts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from config.errors import GateRefused, InputError
from live_nodes.operate.commands import live
from tests.live_nodes.documents import node_file


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return node_file(tmp_path, state=str(tmp_path / "state"))


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"force": True}, "--force belongs to --run-once"),
        ({"duration": "soon"}, "--for: expected a duration"),
        ({"duration": "5m", "run_once": True}, "exclude each other"),
        ({"settings": ["environment=mainet"]}, "did you mean mainnet"),
    ],
)
def test_wrong_input_is_named(file: Path, asked: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words) as refused:
        live(file, **asked)
    assert refused.value.exit_code == 2


def test_unconfirmed_mainnet_is_refused(file: Path) -> None:
    with pytest.raises(GateRefused, match="confirm: mainnet") as refused:
        live(file, ["environment=mainnet"])
    assert refused.value.exit_code == 3
