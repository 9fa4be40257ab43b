"""Marked keys through everything a node does: they are found nowhere but in the environment."""

from __future__ import annotations

import os
import signal
from pathlib import Path

from live_nodes.local.keys import Secret, practice_keys
from live_nodes.local.keystore import KEY_FILE, PATH, Keystore
from tests.live_nodes.killing import MAKER, TAKER, Ground, KilledNode
from tests.waiting import eventually

NAMES = {"api_key_env": "MARKED_KEY", "api_secret_env": "MARKED_SECRET"}
WRONG = ("mArKeDkEy0123456789", "mArKeDsEcReT0123456789abcdef")
"""A pair that no exchange knows; its texts stand nowhere in the project."""


def marked(ground: Ground, **changes: object) -> KilledNode:
    """Return a node that has its keys from two variables."""
    node = ground.node(TAKER)
    account = {"name": node.account, "keys": NAMES}
    return KilledNode(ground, node.account, MAKER, {"account": account, **changes})


def given(pair: tuple[str, str]) -> dict[str, str]:
    """Return the variables with a pair of keys."""
    return dict(zip(("MARKED_KEY", "MARKED_SECRET"), pair, strict=True))


def found(folder: Path, texts: tuple[str, ...]) -> list[str]:
    """Return the files below a folder that hold one of the texts, whatever their kind.

    The practice exchange says its accounts' public keys at its start, in its own log.
    """
    files = [path for path in folder.rglob("*") if path.is_file() and path.suffix != ".log"]
    files += folder.rglob("node*.log")
    assert len(files) > 10, "there is nothing to be searched"
    return [
        f"{path.relative_to(folder)}: {text}"
        for path in files
        for text in texts
        if text.encode() in path.read_bytes()
    ]


def test_no_key_is_found_in_anything_a_node_leaves(ground: Ground) -> None:
    node = marked(ground)
    right = practice_keys(node.account)
    variables = given(right)

    killed = node.run("--run-once", fatal=("trade: sent submit_order", 2), environment=variables)
    assert killed.signal == signal.SIGKILL
    whole = node.run("--run-once", "--json", environment=variables)
    assert whole.code == 0, whole.said
    assert node.run("--run-once", "--force", "--dry-run", environment=variables).code == 0
    assert node.run(command="status", environment=variables).code == 0
    doctor = node.run(command="doctor", environment=variables)
    assert "MARKED_KEY" in doctor.said, "the names are shown"

    assert found(ground.folder, right) == []
    assert right[1].encode() not in (ground.exchange / "exchange.log").read_bytes()
    assert (node.folder / "node.log").stat().st_size > 10_000
    assert list((node.folder / "audit").iterdir())


def test_keys_of_the_keystore_are_used_and_found_nowhere(ground: Ground, tmp_path: Path) -> None:
    node = marked(ground)
    right, phrase = practice_keys(node.account), "four words of a test"
    store = Keystore(tmp_path / "keystore.json", lambda: Secret(phrase))
    with store.changing() as secrets:
        secrets.update(given(right))
    file = tmp_path / "passphrase"
    file.write_text(phrase, encoding="utf-8")
    file.chmod(0o600)
    variables = {PATH: str(store.path), KEY_FILE: str(file)}
    assert node.run("--run-once", environment=variables).code == 0, node.said()
    assert f"keys: MARKED_KEY and MARKED_SECRET from the keystore {store.path}" in node.said()
    assert found(ground.folder, (*right, phrase)) == []
    file.write_text("four words of another", encoding="utf-8")
    assert node.run("--run-once", "--force", environment=variables).code == 3
    assert "wrong passphrase" in node.said()


def test_no_key_is_found_in_what_a_refused_node_says_and_leaves(ground: Ground) -> None:
    node = marked(ground)
    right = practice_keys(node.account)
    for pair in (WRONG, (right[0], WRONG[1])):
        assert node.run(environment=given(pair)).code == 3, node.said()
        node.run(command="doctor", environment=given(pair))
    nobody = {"http": "http://127.0.0.1:9"} | {
        f"ws_{name}": f"ws://127.0.0.1:9/v5/{name}" for name in ("public", "private", "trade")
    }
    alone = marked(ground, venue_urls=nobody)
    assert alone.run(environment=given(WRONG)).code == 3
    alone.run(command="doctor", environment=given(WRONG))
    assert found(ground.folder, (*WRONG, right[1])) == []


def test_no_key_is_found_in_what_a_broken_link_makes_a_node_say(ground: Ground) -> None:
    """Errors of the adapter's own clients, which hold the keys, come up while the links fail."""
    node = marked(ground)
    right = practice_keys(node.account)
    node.begin("--for", "8s", environment=given(right))
    eventually(lambda: "trade: begins" in node.reached(), node.said)
    ground.tell(
        "/faults",
        trade={"model": "kill", "channel": "trade", "seconds": 2},
        private={"model": "kill", "channel": "private", "seconds": 2},
        http={"model": "http", "status": 500, "times": 5},
    )
    ended = node.ended()
    assert ended.code == 0, ended.said
    assert found(ground.folder, right) == []


def test_keys_are_taken_from_an_env_file_and_found_nowhere_else(
    ground: Ground, tmp_path: Path
) -> None:
    file = tmp_path / ".env"
    file.write_text("".join(f"{n}={v}\n" for n, v in given(WRONG).items()))
    os.chmod(file, 0o600)
    ended = marked(ground).run(folder=tmp_path)
    assert ended.code == 3
    assert "the venue does not know this key" in ended.said
    assert found(ground.folder, WRONG) == []
