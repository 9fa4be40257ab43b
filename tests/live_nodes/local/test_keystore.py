"""The keystore: opened by its passphrase alone, whole at every moment, and shown nowhere."""

from __future__ import annotations

import json
import os
import pty
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest
from typer.testing import CliRunner

import perpdesk
from config.errors import GateRefused
from live_nodes.local import keystore
from live_nodes.local.keys import Secret, keys_of, variables_of
from live_nodes.local.keystore import Keystore
from perpdesk import build_app
from tests.live_nodes.documents import node_of
from tests.waiting import DEADLINE

MARK = "s3cr3t-mark"
PHRASE = "four words of mine"
TESTNET = ("BYBIT_TESTNET_API_KEY", "BYBIT_TESTNET_API_SECRET")


@pytest.fixture(autouse=True)
def own_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Name a keystore and its key file that are the test's own."""
    file = tmp_path / "passphrase"
    file.write_text(PHRASE + "\n", encoding="utf-8")
    file.chmod(0o600)
    monkeypatch.setenv(keystore.PATH, str(tmp_path / "config" / "keystore.json"))
    monkeypatch.setenv(keystore.KEY_FILE, str(file))
    for name in TESTNET:
        monkeypatch.delenv(name, raising=False)


def kept(**secrets: str) -> Keystore:
    store = Keystore.default()
    with store.changing() as found:
        found.update(secrets)
    return store


def perpdesk_keys(*words: str, value: str = "", **variables: str) -> tuple[int, str, str]:
    """Run a command in a process of its own, without a terminal."""
    done = subprocess.run(
        [sys.executable, perpdesk.__file__, "keys", *words],
        input=value,
        env=os.environ | variables,
        capture_output=True,
        text=True,
        check=False,
        start_new_session=True,
    )
    return done.returncode, done.stdout, done.stderr


def test_a_secret_from_standard_input_is_kept_encrypted_listed_and_removed() -> None:
    code, out, err = perpdesk_keys("add", "BYBIT_API_KEY", value=MARK + "\n")
    assert (code, out) == (0, ""), err
    store = Keystore.default()
    assert store.secrets() == {"BYBIT_API_KEY": MARK}
    assert store.path.stat().st_mode & 0o777 == 0o600
    text = store.path.read_text()
    assert MARK not in text + err
    assert "BYBIT" not in text
    run, app = CliRunner(), build_app()
    again = run.invoke(app, ["keys", "add", "BYBIT_API_KEY"], input="other")
    assert "--replace" in str(again.exception)
    assert run.invoke(app, ["keys", "list"]).stdout == "BYBIT_API_KEY\n"
    shown = run.invoke(app, ["keys", "list", "--json"], env={"BYBIT_API_KEY": "mine"}).stdout
    assert json.loads(shown) == [{"name": "BYBIT_API_KEY", "hidden_by": "the environment"}]
    wrong = run.invoke(app, ["keys", "remove", "BYBIT_API_KEI"])
    assert "did you mean BYBIT_API_KEY?" in str(wrong.exception)
    assert run.invoke(app, ["keys", "remove", "BYBIT_API_KEY"]).exit_code == 0
    assert store.secrets() == {}


@pytest.mark.parametrize("words", ["add 3kJ-secret", "add BYBIT_API_KEY", "list"])
def test_what_is_no_name_or_no_secret_or_no_keystore_is_refused_and_not_quoted(words: str) -> None:
    run = CliRunner().invoke(build_app(), ["keys", *words.split()], input="two\nlines")
    assert run.exception.exit_code == 2
    assert "3kJ" not in f"{run.exception}{run.output}"
    assert not Keystore.default().path.exists()


def test_on_a_terminal_value_and_passphrase_are_asked_for_without_an_echo() -> None:
    ours, theirs = pty.openpty()
    # A session of its own takes the first terminal that it opens as the controlling one.
    code = f"""import os, sys
os.close(os.open({os.ttyname(theirs)!r}, os.O_RDWR))
os.execv(sys.executable, [sys.executable, {perpdesk.__file__!r}, "keys", "add", "ONE"])"""
    child = subprocess.Popen(
        [sys.executable, "-c", code],
        env=os.environ | {keystore.KEY_FILE: ""},
        stdin=theirs,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    shown = b""
    for question, answer in (("Value of", MARK), ("New passphrase", PHRASE), ("Again", PHRASE)):
        while not re.search(f"{question}[^:]*: $", shown.decode()):
            shown += os.read(ours, 1024)
        os.write(ours, f"{answer}\n".encode())
    _, err = child.communicate(timeout=DEADLINE)
    assert child.returncode == 0, err
    assert MARK.encode() not in shown + err
    assert Keystore.default().secrets() == {"ONE": MARK}


def test_a_wrong_passphrase_and_a_changed_byte_are_one_clear_error_and_damage_another() -> None:
    store = kept(ONE=MARK)
    with pytest.raises(GateRefused, match="wrong passphrase, or the file was changed"):
        Keystore(store.path, lambda: Secret("another one, not mine")).secrets()
    document = json.loads(store.path.read_text())
    changed = "B" if document["box"][0] == "A" else "A"
    store.path.write_text(json.dumps(document | {"box": changed + document["box"][1:]}))
    with pytest.raises(GateRefused, match="wrong passphrase, or the file was changed"):
        store.secrets()
    store.path.write_text("{}")
    with pytest.raises(GateRefused, match="is damaged"):
        store.secrets()
    store.path.chmod(0o640)
    with pytest.raises(GateRefused, match="chmod 600"):
        store.secrets()


def test_a_keystore_behind_a_link_is_written_where_it_is(tmp_path: Path) -> None:
    """In the link's place, the file there would keep a secret that was taken out."""
    store = kept(ONE="1", TWO="2")
    store.path.rename(tmp_path / "elsewhere.json")
    store.path.symlink_to(tmp_path / "elsewhere.json")
    with store.changing() as found:
        del found["ONE"]
    assert store.path.is_symlink()
    assert Keystore(tmp_path / "elsewhere.json", store.unlock).secrets() == {"TWO": "2"}


def test_writes_take_turns_and_a_failed_one_changes_nothing() -> None:
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda name: kept(**{name: MARK}), ("ONE", "TWO", "THREE", "FOUR")))
    store = Keystore.default()
    assert store.secrets().keys() == {"ONE", "TWO", "THREE", "FOUR"}
    before = store.path.read_bytes()
    with suppress(RuntimeError), store.changing() as secrets:
        secrets.clear()
        raise RuntimeError
    assert store.path.read_bytes() == before
    with store.changing():
        pass
    assert json.loads(store.path.read_text())["salt"] != json.loads(before)["salt"]


def test_without_terminal_and_key_file_the_node_is_refused_and_says_what_helps() -> None:
    kept(ONE=MARK)
    code, _, err = perpdesk_keys("list", PERPDESK_KEY_FILE="")
    assert (code, "Traceback" in err) == (3, False)
    assert "is locked, and there is no terminal" in err
    code, _, err = perpdesk_keys("list", PERPDESK_PASSPHRASE="short")
    assert (code, "PERPDESK_PASSPHRASE: a passphrase has 12 characters or more" in err) == (2, True)
    file = os.environ[keystore.KEY_FILE]
    os.chmod(file, 0o644)
    code, _, err = perpdesk_keys("list")
    assert code == 2
    assert f"chmod 600 {file}" in err


def test_a_node_finds_its_keys_in_the_documented_order_and_says_where(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    node = node_of(environment="testnet", account={"name": "main"})
    store = kept(**dict.fromkeys(TESTNET, "of the keystore"))
    file, credentials = tmp_path / ".env", tmp_path / "credentials"
    both = " and ".join(TESTNET)

    def found() -> tuple[str, str]:
        keys = keys_of(node, variables_of(file))
        assert keys is not None
        return keys.key.reveal(), keys.source

    assert found() == ("of the keystore", f"{both} from the keystore {store.path}")
    file.write_text("".join(f"{name}=of the file\n" for name in TESTNET))
    file.chmod(0o600)
    assert found() == ("of the file", f"{both} from {file}")
    credentials.mkdir()
    for name in TESTNET:
        (credentials / name).write_text("of systemd\n")
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(credentials))
    assert found() == ("of systemd", f"{both} from systemd's credentials")
    monkeypatch.setenv(TESTNET[0], "of the environment")
    first, second = TESTNET
    source = f"{first} from the environment, {second} from systemd's credentials"
    assert found() == ("of the environment", source)
