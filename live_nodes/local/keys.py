"""Find API keys and other secrets without showing them.

Each is looked for in the environment, in systemd's credentials, in ``.env`` and in the keystore
(`live_nodes.local.keystore`); the first that has it counts.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from config.documents import Keys, Node
from config.errors import GateRefused, InputError


def practice_keys(name: str) -> tuple[str, str]:
    """Return the API key and secret of a practice account by its name."""
    return f"practice-{name}", f"practice-secret-{name}"


ENV_FILE = Path(".env")
HIDDEN = "<secret>"

DEFAULT_NAMES = {
    "demo": ("BYBIT_DEMO_API_KEY", "BYBIT_DEMO_API_SECRET"),
    "testnet": ("BYBIT_TESTNET_API_KEY", "BYBIT_TESTNET_API_SECRET"),
    "mainnet": ("BYBIT_API_KEY", "BYBIT_API_SECRET"),
}
"""Default variable names, as in Nautilus."""


class Secret:
    """A text hidden from logs, reports and exceptions; `reveal` returns it."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """Return the text; call it only to send it to the venue."""
        return self._text

    def __repr__(self) -> str:
        return HIDDEN

    __str__ = __repr__

    def __format__(self, spec: str) -> str:
        return HIDDEN

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._text == self._text

    def __hash__(self) -> int:
        return hash(self._text)

    def __reduce__(self) -> str:
        raise TypeError("a secret is not written anywhere")


@dataclass(frozen=True)
class KeyPair:
    """An API key and its secret; `source` says where they were found."""

    key: Secret
    secret: Secret
    source: str = field(default="", compare=False)

    def sign(self, text: str) -> str:
        """Return the HMAC-SHA256 of a text, hexadecimal."""
        return hmac.new(self.secret.reveal().encode(), text.encode(), hashlib.sha256).hexdigest()


def key_names(node: Node) -> tuple[str, str] | None:
    """Return the names of the key variables; None where no key is needed."""
    if node.environment == "paper":
        return None
    keys: Keys | None = node.account.keys
    if keys is None:
        return DEFAULT_NAMES.get(node.environment)
    return keys.api_key_env, keys.api_secret_env


def keys_of(node: Node, variables: Mapping[str, str] | None = None) -> KeyPair | None:
    """Return the node's keys; None for paper, which has no account at the venue.

    `variables` are those of `variables_of` by default; the keystore has what they lack. Raises
    GateRefused when a secret is nowhere, or the keystore can't be opened. Raises InputError if
    others can read a file of secrets, or it is malformed.
    """
    if node.environment == "paper":
        return None
    names = key_names(node)
    if names is None:
        own, its_secret = map(Secret, practice_keys(node.account.name))
        return KeyPair(own, its_secret, "the practice account's own")
    values = variables_of() if variables is None else variables
    found = {name: secret_of(name, values) for name in names}
    missing = [name for name, (secret, _) in found.items() if not secret.reveal()]
    if missing:
        raise GateRefused(
            f"{node.name}: {' and '.join(missing)} not set: environment {node.environment} needs "
            f"the account's keys; put them into {ENV_FILE} (see .env.example) or the environment, "
            f"or keep them encrypted (`perpdesk keys add {missing[0]}`)"
        )
    (key, place), (secret, other) = found.values()
    first = f"{names[0]} and" if place == other else f"{names[0]} from {place},"
    return KeyPair(key, secret, f"{first} {names[1]} from {other}")


def secret_of(name: str, variables: Mapping[str, str]) -> tuple[Secret, str]:
    """Return a secret by its name, empty where there is none, and where it was found.

    Raises GateRefused if it is in no variable, and the keystore can't be opened.
    """
    if value := variables.get(name):
        sources = variables.sources if isinstance(variables, Variables) else {}
        return Secret(value), sources.get(name, "variables")
    from live_nodes.local.keystore import Keystore

    store = Keystore.default()
    try:
        kept = store.secrets() if store.path.exists() else {}
    except GateRefused as error:
        raise GateRefused(f"{name} is not set, and {error}") from None
    return Secret(kept.get(name, "")), str(store)


class Variables(dict[str, str]):
    """Values by name, and in `sources` where each was found; of several places the first counts."""

    def __init__(self, places: Mapping[str, Mapping[str, str]]) -> None:
        super().__init__()
        self.sources: dict[str, str] = {}
        for place, values in reversed(list(places.items())):
            self.update(values)
            self.sources.update(dict.fromkeys(values, place))


def variables_of(file: Path = ENV_FILE) -> Variables:
    """Return the variables of the environment, of systemd's credentials and of ``.env``.

    Raises InputError if others can read a file of them, or a line is not ``NAME=value``.
    """
    return Variables(
        {
            "the environment": dict(os.environ),
            "systemd's credentials": _credentials(os.environ.get("CREDENTIALS_DIRECTORY", "")),
            str(file): _lines_of(file),
        }
    )


def private_text(file: Path) -> str:
    """Read a file of secrets; raise InputError if others can read it, or it is not text."""
    mode = stat.S_IMODE(file.stat().st_mode)
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise InputError(
            f"{file}: others can read it (mode {mode:03o}), and it holds keys: "
            f"run `chmod 600 {file}`"
        )
    try:
        return file.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise InputError(f"{file}: must be text in UTF-8") from None


def _credentials(folder: str) -> dict[str, str]:
    # Their modes are systemd's: an access list for the unit's user shows as rights of the group.
    files = Path(folder).iterdir() if folder and Path(folder).is_dir() else ()
    return {
        file.name: file.read_text(encoding="utf-8", errors="replace").rstrip("\r\n")
        for file in files
        if file.name.isidentifier() and file.is_file()
    }


def _lines_of(file: Path) -> dict[str, str]:
    found: dict[str, str] = {}
    if file.is_file():
        for number, line in enumerate(private_text(file).splitlines(), start=1):
            text = line.strip().removeprefix("export ").lstrip()
            if not text or text.startswith("#"):
                continue
            name, equals, value = text.partition("=")
            if not equals or not name.strip().isidentifier():
                # The line may hold a secret, so the message omits it.
                raise InputError(f"{file}:{number}: must be NAME=value")
            found[name.strip()] = _unquoted(value.strip())
    return found


def _unquoted(value: str) -> str:
    if len(value) >= 2 and value[0] == value[-1] and value[0] in "\"'":
        return value[1:-1]
    return value
