"""Who is let in: passwords and codes, sessions, tokens, tries."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pyotp
import pytest

from config.errors import InputError
from live_nodes.dashboard import access
from live_nodes.dashboard.access import (
    IDLE_S,
    LASTS_S,
    TRIES,
    WINDOW_S,
    Access,
    AccessError,
    add_token,
    remove_token,
    set_password,
)

PASSWORD = "correct horse battery"


class Door:
    """An access file, a clock of one's own, and codes of it."""

    def __init__(self, folder: Path) -> None:
        self.file, self.now = folder / "access.json", 1_800_000_000.0
        self.secret = set_password(self.file, PASSWORD)
        self.opens()

    def opens(self) -> None:
        """Begin anew, as a restart does."""
        self.access = Access(self.file, lambda: self.now)

    @property
    def code(self) -> str:
        return pyotp.TOTP(self.secret).at(int(self.now))

    def enter(self, address: str = "a", password: str = PASSWORD, code: str = "") -> str:
        return self.access.sign_in(address, password, code or self.code)[0]

    def fails(self, address: str = "a", password: str = PASSWORD, code: str = "000000") -> float:
        with pytest.raises(AccessError) as refused:
            self.enter(address, password, code)
        return refused.value.retry_s


@pytest.fixture
def door(tmp_path: Path) -> Door:
    return Door(tmp_path)


def test_password_and_code_let_in_and_a_code_only_once(door: Door) -> None:
    assert door.fails(password="wrong horse battery", code=door.code) == 0
    assert door.fails() == 0
    cookie = door.enter()
    assert door.access.session(cookie) is not None
    assert door.access.session("another") is None
    assert door.fails(code=door.code) == 0
    door.opens()
    assert door.fails(code=door.code) == 0
    assert door.access.session(cookie) is None
    door.now += 30
    assert door.enter()


def test_nothing_secret_is_in_the_file_and_only_its_owner_reads_it(door: Door) -> None:
    token = add_token(door.file, "wall")
    text = door.file.read_text()
    assert PASSWORD not in text
    assert token not in text
    assert stat.S_IMODE(door.file.stat().st_mode) == 0o600
    assert door.access.knows(token)
    remove_token(door.file, "wall")
    assert not door.access.knows(token)
    door.file.chmod(0o644)
    with pytest.raises(InputError, match="others can read it"):
        door.enter()
    with pytest.raises(InputError, match="12 characters"):
        set_password(door.file.with_name("other.json"), "short")


def test_too_many_wrong_tries_lock_an_address_over_restarts_and_then_everybody(
    door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Each try takes its time.
    monkeypatch.setattr(access, "ALL_TRIES", TRIES + 2)
    for _ in range(TRIES):
        assert door.fails() == 0
    door.opens()
    assert door.fails() == pytest.approx(WINDOW_S)
    # Not even the right one is looked at.
    assert door.fails(code=door.code) == pytest.approx(WINDOW_S)
    assert door.enter("b")
    assert [door.fails("c"), door.fails("d")] == [0, 0]
    door.now += 60
    assert door.fails("d", code=door.code) == pytest.approx(WINDOW_S - 60)
    door.now += WINDOW_S
    assert door.enter("d")


def test_a_session_ends_idle_at_its_age_and_with_a_new_password(door: Door) -> None:
    cookie = door.enter()
    for _ in range(int(LASTS_S // IDLE_S)):
        door.now += IDLE_S - 1
        # What a page asks by itself does not keep it.
        assert door.access.session(cookie, uses=False)
        assert door.access.session(cookie)
    door.now += IDLE_S - 1
    assert door.access.session(cookie) is None
    cookie = door.enter()
    door.now += IDLE_S + 1
    assert door.access.session(cookie, uses=False) is None
    cookie = door.enter()
    door.secret = set_password(door.file, PASSWORD)
    assert door.access.session(cookie) is None
    door.now += 30
    cookie = door.enter()
    door.access.sign_out(cookie)
    assert door.access.session(cookie) is None


def test_an_action_takes_the_password_or_a_code_again(door: Door) -> None:
    session = door.access.session(door.enter())
    assert session is not None
    door.access.confirm(session, PASSWORD, "")
    door.now += 30
    door.access.confirm(session, "", door.code)
    for password, code in (("", door.code), ("wrong", ""), ("", "ä"), ("wrong", door.code)):
        with pytest.raises(AccessError, match="wrong, or the code was used"):
            door.access.confirm(session, password, code)


def test_wrong_tries_of_others_never_keep_from_acting_and_a_new_password_forgets_them(
    door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(access, "ALL_TRIES", TRIES + 1)
    session = door.access.session(door.enter("proxy"))
    assert session is not None
    assert [door.fails("proxy") for _ in range(TRIES)] == [0] * TRIES
    assert door.fails("b") == 0
    assert door.fails("b", code=door.code) > 0
    door.access.confirm(session, PASSWORD, "")
    # One's own wrong tries count, and keep nobody else out.
    for _ in range(TRIES):
        with pytest.raises(AccessError, match="are wrong"):
            door.access.confirm(session, "wrong", "")
    with pytest.raises(AccessError, match="too many"):
        door.access.confirm(session, PASSWORD, "")
    door.secret = set_password(door.file, PASSWORD)
    assert door.enter("proxy")


def test_the_password_confirms_an_action_where_nothing_can_be_written(door: Door) -> None:
    session = door.access.session(door.enter())
    assert session is not None
    door.file.with_name(f".access.tries.json.{os.getpid()}.writing").mkdir()
    door.access.confirm(session, PASSWORD, "")
    door.now += 30
    # A code counts once, which must be written.
    with pytest.raises(OSError, match="writing"):
        door.access.confirm(session, "", door.code)
