"""Encrypted keystore: one file of API keys and other secrets, opened by a passphrase.

The names and values are encrypted by AES-256-GCM, with a key that scrypt makes from the passphrase;
each write takes a new salt, so no key and nonce serve twice. By default the file is outside of any
project, in the user's configuration folder.
"""

from __future__ import annotations

import base64
import fcntl
import functools
import getpass
import hashlib
import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from config.errors import GateRefused, InputError
from live_nodes.local.files import replace_file
from live_nodes.local.keys import Secret, private_text, variables_of

PATH, KEY_FILE, PASSPHRASE = "PERPDESK_KEYSTORE", "PERPDESK_KEY_FILE", "PERPDESK_PASSPHRASE"
"""Names of the variables with the keystore's path, a file with its passphrase, or this itself."""
FORMAT = b"perpdesk keystore 1"
SHORTEST = 12
"""Least characters of a passphrase."""
SALT_BYTES, NONCE_BYTES = 16, 12
SCRYPT = {"n": 1 << 17, "r": 8, "p": 1, "dklen": 32, "maxmem": 1 << 28}
"""OWASP's parameters (Password Storage Cheat Sheet): 128 MiB and some tenths of a second a try."""


@dataclass(frozen=True)
class Keystore:
    """The keystore at a path; `unlock` returns its passphrase, once that is needed."""

    path: Path
    unlock: Callable[[], Secret] = field(repr=False)

    @classmethod
    def default(cls) -> Keystore:
        """Return the user's keystore: at PERPDESK_KEYSTORE, else in the configuration folder."""
        config = os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config"
        path = Path(os.environ.get(PATH) or Path(config) / "perpdesk" / "keystore.json")
        return cls(path, functools.partial(passphrase, path))

    def __str__(self) -> str:
        return f"the keystore {self.path}"

    def secrets(self) -> dict[str, str]:
        """Return all secrets by name; raise GateRefused if they can't be read or decrypted."""
        from cryptography.exceptions import InvalidTag
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        try:
            kept = json.loads(private_text(self.path))
            salt, nonce, box = (
                base64.b64decode(kept[name], validate=True) for name in ("salt", "nonce", "box")
            )
            if kept["format"] != FORMAT.decode() or len(nonce) != NONCE_BYTES:
                raise ValueError
        except (OSError, InputError) as error:
            raise GateRefused(f"{self}: {error}") from None
        except (ValueError, KeyError, TypeError):
            raise GateRefused(f"{self}: is damaged, or none of this version") from None
        try:
            plain = AESGCM(_key(self.unlock(), salt)).decrypt(nonce, box, FORMAT)
        except InvalidTag:
            raise GateRefused(
                f"{self}: wrong passphrase, or the file was changed by something else"
            ) from None
        return dict(json.loads(plain))

    @contextmanager
    def changing(self) -> Iterator[dict[str, str]]:
        """Yield all secrets and write them back at the end, while other writers wait."""
        # Where a link leads: in its place, the file there would keep what was taken out.
        path = self.path.resolve()
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with path.with_name(f"{path.name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            secrets = self.secrets() if path.exists() else {}
            yield secrets
            self._write(path, secrets)

    def _write(self, path: Path, secrets: Mapping[str, str]) -> None:
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        salt, nonce = os.urandom(SALT_BYTES), os.urandom(NONCE_BYTES)
        plain = json.dumps(secrets).encode()
        box = AESGCM(_key(self.unlock(), salt)).encrypt(nonce, plain, FORMAT)
        texts = {"salt": salt, "nonce": nonce, "box": box}
        kept = {name: base64.b64encode(value).decode() for name, value in texts.items()}
        content = json.dumps({"format": FORMAT.decode(), **kept}, indent=2).encode()
        replace_file(path, content, durable=True, mode=0o600)


@functools.cache
def _key(secret: Secret, salt: bytes) -> bytes:
    return hashlib.scrypt(secret.reveal().encode(), salt=salt, **SCRYPT)


@functools.cache
def passphrase(path: Path) -> Secret:
    """Return the passphrase: of a variable or credential, of a key file, else ask for it.

    It is kept for the life of the process, as a node that takes up a release reads its keys again.
    Raises GateRefused where nobody can be asked. Raises InputError if others can read the key file,
    or the passphrase is short, or that of a new keystore was not repeated.
    """
    if given := variables_of().get(PASSPHRASE):
        place, text = PASSPHRASE, given
    elif place := os.environ.get(KEY_FILE, ""):
        try:
            text = private_text(Path(place)).strip()
        except OSError as error:
            raise GateRefused(f"{KEY_FILE}: {error}") from None
    elif on_terminal():
        is_new, place = not path.exists(), str(path)
        text = getpass.getpass(f"{'New passphrase' if is_new else 'Passphrase'} of {path}: ")
        if is_new and getpass.getpass("Again: ") != text:
            raise InputError("the two are not the same; nothing was written")
    else:
        raise GateRefused(
            f"the keystore {path} is locked, and there is no terminal to ask for its passphrase: "
            f"name a file that holds it ({KEY_FILE}), or let systemd give it ({PASSPHRASE})"
        )
    if len(text) < SHORTEST:
        raise InputError(f"{place}: a passphrase has {SHORTEST} characters or more")
    return Secret(text)


def on_terminal() -> bool:
    """Return whether a person can be asked: a job in the background would be stopped for it."""
    try:
        terminal = os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY)
    except OSError:
        return False
    try:
        return os.tcgetpgrp(terminal) == os.getpgrp()
    finally:
        os.close(terminal)
