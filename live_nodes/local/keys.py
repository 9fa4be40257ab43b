"""Read API keys from ``.env`` and the environment without showing them."""

from __future__ import annotations

import hashlib
import hmac
import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from config.documents import Keys, Node
from config.errors import GateRefused, InputError


def practice_keys(name: str) -> tuple[str, str]:
    """Return the API key and secret of a practice account by its name in the exchange's document.

    Examples
    --------
    >>> practice_keys("main")
    ('practice-main', 'practice-secret-main')
    """
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
    """An API key and its secret."""

    key: Secret
    secret: Secret

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

    `variables` are those of ``.env`` below the environment by default. Raises GateRefused when a
    variable is missing or empty. Raises InputError if others can read ``.env``, or it is malformed.
    """
    if node.environment == "paper":
        return None
    names = key_names(node)
    if names is None:
        key, secret = practice_keys(node.account.name)
        return KeyPair(Secret(key), Secret(secret))
    values = variables_of() if variables is None else variables
    missing = [name for name in names if not values.get(name)]
    if missing:
        raise GateRefused(
            f"{node.name}: {' and '.join(missing)} not set: environment {node.environment} needs "
            f"the account's keys; put them into {ENV_FILE} (see .env.example) or the environment"
        )
    return KeyPair(Secret(values[names[0]]), Secret(values[names[1]]))


def variables_of(file: Path = ENV_FILE) -> dict[str, str]:
    """Return the variables of ``.env``; the environment overrides them.

    Raises InputError if others can read the file, or a line is not ``NAME=value``.
    """
    found: dict[str, str] = {}
    if file.is_file():
        mode = stat.S_IMODE(file.stat().st_mode)
        if mode & (stat.S_IRWXG | stat.S_IRWXO):
            raise InputError(
                f"{file}: others can read it (mode {mode:03o}), and it holds keys: "
                f"run `chmod 600 {file}`"
            )
        for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), start=1):
            text = line.strip().removeprefix("export ").lstrip()
            if not text or text.startswith("#"):
                continue
            name, equals, value = text.partition("=")
            if not equals or not name.strip().isidentifier():
                # The line may hold a secret, so the message omits it.
                raise InputError(f"{file}:{number}: must be NAME=value")
            found[name.strip()] = _unquoted(value.strip())
    return found | dict(os.environ)


def _unquoted(value: str) -> str:
    if len(value) >= 2 and value[0] == value[-1] and value[0] in "\"'":
        return value[1:-1]
    return value
