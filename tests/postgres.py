"""A real PostgreSQL server for tests, on a loopback port; skips with a reason without one."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest

from tests.waiting import eventually

PASSWORD = "s3cret/@:%#?"
ENCODED = "s3cret%2F%40%3A%25%23%3F"


def _program(name: str) -> str:
    # Debian keeps the server's programs off the path.
    found = shutil.which(name) or next(iter(Path("/").glob(f"usr/lib/postgresql/*/bin/{name}")), "")
    if not found:
        pytest.skip(f"no {name} here: `apt-get install postgresql` brings it")
    return str(found)


def _user() -> str | None:
    """Return whom the server runs as, who must not be root; None is this user."""
    if os.geteuid():
        return None
    return next((u.pw_name for u in pwd.getpwall() if u.pw_name == "postgres"), "nobody")


class Postgres:
    """A server that wants a password; `url` ends where a database is to be named."""

    def __init__(self, home: Path) -> None:
        initdb, self._program, self._user = _program("initdb"), _program("postgres"), _user()
        self._home = home
        (home / "password").write_text(PASSWORD)
        if self._user:
            for place in (home, home / "password"):
                shutil.chown(place, self._user)
        begin = [initdb, "-D", str(home / "data"), "-U", "desk", "-A", "scram-sha-256", "-N"]
        begin += ["--pwfile", str(home / "password"), "-E", "UTF8", "--locale=C"]
        subprocess.run(begin, user=self._user, check=True, capture_output=True, cwd=home)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self._port = probe.getsockname()[1]
        self.url = f"postgresql://desk:{ENCODED}@127.0.0.1:{self._port}/"

    def start(self) -> None:
        """Start it, and wait until it answers."""
        settings = (f"port={self._port}", "listen_addresses=127.0.0.1", "fsync=off")
        line = [self._program, "-D", str(self._home / "data"), "-k", ""]
        line += [word for setting in settings for word in ("-c", setting)]
        with (self._home / "log").open("w") as log:
            self._server = subprocess.Popen(line, user=self._user, cwd=self._home, stderr=log)
        eventually(lambda: _answers(self.url), lambda: (self._home / "log").read_text())

    def stop(self, how: int = signal.SIGINT) -> None:
        """Stop it by a signal; SIGINT is a fast shutdown."""
        self._server.send_signal(how)
        self._server.wait()


@contextmanager
def running_postgres() -> Iterator[Postgres]:
    """Run a server of its own."""
    home = Path(tempfile.mkdtemp(prefix="perpdesk-postgres-"))
    try:
        server = Postgres(home)
        server.start()
        try:
            yield server
        finally:
            server.stop()
    finally:
        shutil.rmtree(home)


@contextmanager
def postgres_server() -> Iterator[str]:
    """Run a server; yield a URL whose database is to be named."""
    with running_postgres() as server:
        yield server.url


def _answers(url: str) -> bool:
    try:
        psycopg.connect(f"{url}postgres").close()
    except psycopg.OperationalError:
        return False
    return True


def new_database(server: str, how: str = "") -> str:
    """Make an empty database; return its URL."""
    name = f"trials_{uuid4().hex}"
    with psycopg.connect(f"{server}postgres", autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} {how}".encode())
    return server + name
