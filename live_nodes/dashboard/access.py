"""Who may see the dashboard: password and one-time code, sessions, read-only tokens, tries.

``access.json`` (mode 600) has the password as argon2 has it, the secret of the one-time codes and
the digests of tokens; ``access.tries.json`` beside it the wrong tries and the last code used, so
that neither begins anew with a restart.
"""

from __future__ import annotations

import hashlib
import secrets
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from hmac import compare_digest
from itertools import chain
from pathlib import Path

import msgspec

from config.errors import DeskError, InputError
from live_nodes.local.files import replace_file
from live_nodes.local.keys import private_text

SHORTEST = 12
"""Characters of a password at least."""
IDLE_S, LASTS_S = 30 * 60.0, 12 * 3600.0
"""How long a session lasts without use, and at most."""
WINDOW_S, TRIES, ALL_TRIES = 15 * 60.0, 5, 30
"""Wrong tries of an address, and of all, within so many seconds; then nobody is asked."""
_STEP_S = 30
_SESSIONS = 100


class Kept(msgspec.Struct, kw_only=True):
    """What ``access.json`` has; `tokens` are SHA-256 by name."""

    password: str
    totp: str
    tokens: dict[str, str] = {}


class Tries(msgspec.Struct):
    """Times of wrong tries by address, UNIX seconds, and the step of the last code used."""

    wrong: dict[str, list[float]] = {}
    used: int = 0


class AccessError(Exception):
    """Somebody is not let in; `retry_s` is how long nobody is asked, after too many tries."""

    def __init__(self, text: str, retry_s: float = 0.0) -> None:
        super().__init__(text)
        self.retry_s = retry_s


@dataclass(kw_only=True)
class Session:
    """One signed-in browser; times are UNIX seconds, `of` the access that let it in.

    `wrong` are its wrong tries to confirm an action.
    """

    csrf: str
    of: str
    made: float
    used: float
    wrong: list[float] = field(default_factory=list)

    @property
    def ends(self) -> float:
        """When it ends at the latest."""
        return self.made + LASTS_S


def read_kept(file: Path) -> Kept | None:
    """Return what the file has, None without one; raise InputError where others can read it."""
    try:
        return msgspec.json.decode(private_text(file), type=Kept)
    except FileNotFoundError:
        return None
    except (OSError, msgspec.MsgspecError) as error:
        raise DeskError(f"{file}: can't be read ({error}); make it anew") from error


def write_kept(file: Path, kept: Kept) -> None:
    """Write the file, for its owner only from the first byte on."""
    file.parent.mkdir(parents=True, exist_ok=True)
    replace_file(file, msgspec.json.encode(kept), mode=0o600)


def set_password(file: Path, password: str) -> str:
    """Keep a password, not too short, and a new secret of codes, which is returned; tokens stay."""
    import argon2
    import pyotp

    if len(password) < SHORTEST:
        raise InputError(f"the password needs {SHORTEST} characters at least")
    before = read_kept(file)
    totp = pyotp.random_base32()
    tokens = {} if before is None else before.tokens
    hashed = argon2.PasswordHasher().hash(password)
    write_kept(file, Kept(password=hashed, totp=totp, tokens=tokens))
    # Whoever may write here is the owner, whom the wrong tries of others kept out.
    _tries_of(file).unlink(missing_ok=True)
    return totp


def _tries_of(file: Path) -> Path:
    return file.with_suffix(".tries.json")


def add_token(file: Path, name: str) -> str:
    """Keep a new token under a name, and return it; it is shown only now."""
    kept = _set_up(file)
    if name in kept.tokens:
        raise InputError(f"there is a token {name!r}; remove it first, or take another name")
    token = f"pdr_{secrets.token_urlsafe(32)}"
    kept.tokens[name] = _digest(token)
    write_kept(file, kept)
    return token


def remove_token(file: Path, name: str) -> None:
    """Forget a token; raise InputError where there is none of the name."""
    kept = _set_up(file)
    if kept.tokens.pop(name, None) is None:
        raise InputError(f"no token {name!r}; there are {', '.join(kept.tokens) or 'none'}")
    write_kept(file, kept)


def _set_up(file: Path) -> Kept:
    kept = read_kept(file)
    if kept is None:
        raise InputError(f"{file}: set a password first: perpdesk dashboard password")
    return kept


class Access:
    """Lets people in; safe to call from several threads."""

    def __init__(self, file: Path, clock: Callable[[], float] = time.time) -> None:
        self._file, self._clock = file, clock
        self._tries = _tries_of(file)
        self._lock = threading.Lock()
        self._sessions: dict[str, Session] = {}

    @property
    def is_set_up(self) -> bool:
        """Whether there is a password."""
        return read_kept(self._file) is not None

    def sign_in(self, address: str, password: str, code: str) -> tuple[str, Session]:
        """Return the cookie of a new session, and the session; raise AccessError."""
        with self._lock:
            kept, now, tries = _set_up(self._file), self._clock(), self._read_tries()
            _refuse_many(tries.wrong.get(address, []), TRIES, now)
            _refuse_many(sorted(chain(*tries.wrong.values())), ALL_TRIES, now)
            # As wrong before it is looked at: a kill in between must not give a try for nothing.
            tries.wrong.setdefault(address, []).append(now)
            self._write(tries)
            tries.used = self._proven(kept, tries.used, password, code, both=True)
            del tries.wrong[address]
            self._write(tries)
            while len(self._sessions) >= _SESSIONS:
                self._sessions.pop(next(iter(self._sessions)))
            cookie = secrets.token_urlsafe(32)
            made = Session(csrf=secrets.token_urlsafe(32), of=_of(kept), made=now, used=now)
            self._sessions[_digest(cookie)] = made
            return cookie, made

    def confirm(self, session: Session, password: str, code: str) -> None:
        """Check the password, or a code, of somebody signed in again; raise AccessError.

        Tries count by session: neither those of others, who may come by the same proxy, nor a full
        disk must keep the owner from flattening.
        """
        with self._lock:
            kept, now, tries = _set_up(self._file), self._clock(), self._read_tries()
            session.wrong = [ts for ts in session.wrong if ts > now - WINDOW_S]
            _refuse_many(session.wrong, TRIES, now)
            session.wrong.append(now)
            step = self._proven(kept, tries.used, password, code, both=False)
            session.wrong.pop()
            if step:
                tries.used = step
                self._write(tries)

    def session(self, cookie: str, *, uses: bool = True) -> Session | None:
        """Return the session of a cookie, None where it has ended; `uses` keeps it from idling."""
        name, now, kept = _digest(cookie), self._clock(), read_kept(self._file)
        with self._lock:
            found = self._sessions.get(name)
            if found is None:
                return None
            idle = now - found.used > IDLE_S
            if kept is None or idle or now > found.ends or found.of != _of(kept):
                del self._sessions[name]
                return None
            if uses:
                found.used = now
            return found

    def sign_out(self, cookie: str) -> None:
        """End a session."""
        with self._lock:
            self._sessions.pop(_digest(cookie), None)

    def knows(self, token: str) -> bool:
        """Whether it is one of the read-only tokens."""
        kept, digest = read_kept(self._file), _digest(token)
        return kept is not None and any(compare_digest(digest, t) for t in kept.tokens.values())

    def _proven(self, kept: Kept, used: int, password: str, code: str, *, both: bool) -> int:
        """Return the step of the code, 0 where the password did; raise AccessError."""
        import argon2
        import pyotp

        is_password, step = False, 0
        if both or password:
            try:
                is_password = argon2.PasswordHasher().verify(kept.password, password)
            except (argon2.exceptions.VerificationError, argon2.exceptions.InvalidHashError):
                is_password = False
        if both or not password:
            totp, this = pyotp.TOTP(kept.totp), int(self._clock()) // _STEP_S
            for one in range(max(this - 1, used + 1), this + 2):
                right = compare_digest(totp.at(one * _STEP_S).encode(), code.encode())
                step = one if right else step
        if not (is_password and step if both else is_password or step):
            raise AccessError("password or code are wrong, or the code was used before")
        return step

    def _read_tries(self) -> Tries:
        try:
            tries = msgspec.json.decode(self._tries.read_bytes(), type=Tries)
        except FileNotFoundError:
            return Tries()
        except msgspec.MsgspecError as error:
            raise DeskError(f"{self._tries}: can't be read ({error}); delete it") from error
        since = self._clock() - WINDOW_S
        recent = {a: [ts for ts in times if ts > since] for a, times in tries.wrong.items()}
        return Tries({a: times for a, times in recent.items() if times}, tries.used)

    def _write(self, tries: Tries) -> None:
        replace_file(self._tries, msgspec.json.encode(tries))


def _refuse_many(times: list[float], most: int, now: float) -> None:
    if len(times) >= most:
        wait = times[-most] + WINDOW_S - now
        raise AccessError(f"too many wrong tries: wait {wait / 60:.0f} minutes", max(1.0, wait))


def _of(kept: Kept) -> str:
    return _digest(kept.password + kept.totp)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
