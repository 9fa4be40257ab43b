"""Keys are found by name and shown nowhere."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import pytest

from config.documents import Node
from config.errors import GateRefused, InputError
from live_nodes.local.endpoints import overridden, refuse_unconfirmed
from live_nodes.local.keys import KeyPair, Secret, keys_of, variables_of
from tests.live_nodes.documents import node_of

MARK = "s3cr3t-mark"


def node(**changes: object) -> Node:
    return node_of(**({"environment": "testnet", "account": {"name": "main"}} | changes))


def test_a_secret_is_neither_printed_nor_pickled() -> None:
    pair = KeyPair(Secret(MARK), Secret(MARK))
    shown = f"{pair} {pair!r} {pair.key} {pair.secret:>20} {[pair.secret]}"
    assert MARK not in shown
    with pytest.raises(TypeError):
        pickle.dumps(pair.secret)
    with pytest.raises(TypeError):
        json.dumps(pair.secret)
    assert pair.secret.reveal() == MARK


def test_each_environment_has_its_own_names() -> None:
    values = {"BYBIT_API_KEY": "m", "BYBIT_API_SECRET": "m", "BYBIT_DEMO_API_KEY": "d"}
    assert keys_of(node(environment="mainnet"), values) == KeyPair(Secret("m"), Secret("m"))
    with pytest.raises(GateRefused, match="BYBIT_DEMO_API_SECRET not set"):
        keys_of(node(environment="demo"), values)
    with pytest.raises(GateRefused, match="BYBIT_TESTNET_API_KEY and BYBIT_TESTNET_API_SECRET"):
        keys_of(node(), values)


def test_practice_and_paper_need_no_keys() -> None:
    practice = keys_of(node(environment="practice"), {})
    assert practice.key.reveal() == "practice-main"
    assert keys_of(node(environment="paper"), {}) is None


def test_the_environment_stands_above_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / ".env"
    file.write_text("# keys\nexport ONE='1'\nTWO=2\n\n", encoding="utf-8")
    file.chmod(0o600)
    monkeypatch.setenv("TWO", "two")
    found = variables_of(file)
    assert (found["ONE"], found["TWO"]) == ("1", "two")


@pytest.mark.parametrize(
    ("lines", "mode", "words"),
    [
        (f"KEY={MARK}\n", 0o640, "chmod 600"),
        (f"A=1\n{MARK}\n", 0o600, r"\.env:2: must be NAME=value"),
    ],
)
def test_a_file_that_others_can_read_or_with_a_broken_line_is_refused_and_not_quoted(
    tmp_path: Path, lines: str, mode: int, words: str
) -> None:
    file = tmp_path / ".env"
    file.write_text(lines, encoding="utf-8")
    file.chmod(mode)
    with pytest.raises(InputError, match=words) as refused:
        variables_of(file)
    assert MARK not in str(refused.value)


@pytest.mark.parametrize(
    ("environment", "word", "becomes"),
    [
        ("mainnet", "true", "testnet"),
        ("demo", "true", "testnet"),
        ("testnet", "false", "mainnet"),
        ("demo", "FALSE", "mainnet"),
        ("practice", "true", "practice"),
        ("paper", "false", "paper"),
    ],
)
def test_one_variable_takes_a_node_to_testnet_or_mainnet(
    environment: str, word: str, becomes: str
) -> None:
    changed, line = overridden(node(environment=environment), {"BYBIT_TESTNET": word})
    assert changed.environment == becomes
    assert line.startswith(f"BYBIT_TESTNET={word.lower()} ")


def test_the_variable_is_true_or_false_or_not_set() -> None:
    assert overridden(node(), {}) == (node(), "")
    with pytest.raises(InputError, match="must be true or false, was 'yes'"):
        overridden(node(), {"BYBIT_TESTNET": "yes"})


def test_real_money_is_not_traded_unconfirmed() -> None:
    refuse_unconfirmed(node())
    refuse_unconfirmed(node(environment="mainnet", confirm="mainnet"))
    with pytest.raises(GateRefused, match="confirm: mainnet"):
        refuse_unconfirmed(node(environment="mainnet"))
    # A node of another environment that the variable takes to mainnet must be confirmed as well.
    taken, _ = overridden(node(), {"BYBIT_TESTNET": "false"})
    with pytest.raises(GateRefused, match="real money"):
        refuse_unconfirmed(taken)
