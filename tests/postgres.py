"""A real PostgreSQL server for tests, on a loopback port; skips with a reason without one."""

from __future__ import annotations

import os
import pwd
import shutil
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


@contextmanager
def postgres_server() -> Iterator[str]:
    """Start a server that wants a password; yield a URL whose database is to be named."""
    initdb, postgres = _program("initdb"), _program("postgres")
    user = _user()
    home = Path(tempfile.mkdtemp(prefix="perpdesk-postgres-"))
    try:
        (home / "password").write_text(PASSWORD)
        if user:
            for place in (home, home / "password"):
                shutil.chown(place, user)
        begin = [initdb, "-D", str(home / "data"), "-U", "desk", "-A", "scram-sha-256", "-N"]
        begin += ["--pwfile", str(home / "password"), "-E", "UTF8", "--locale=C"]
        subprocess.run(begin, user=user, check=True, capture_output=True, cwd=home)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        settings = (f"port={port}", "listen_addresses=127.0.0.1", "fsync=off")
        line = [postgres, "-D", str(home / "data"), "-k", ""]
        line += [word for setting in settings for word in ("-c", setting)]
        with (
            (home / "log").open("w") as log,
            subprocess.Popen(line, user=user, cwd=home, stderr=log) as server,
        ):
            url = f"postgresql://desk:{ENCODED}@127.0.0.1:{port}/"
            try:
                eventually(lambda: _answers(url), lambda: (home / "log").read_text())
                yield url
            finally:
                server.terminate()
    finally:
        shutil.rmtree(home)


def _answers(url: str) -> bool:
    try:
        psycopg.connect(f"{url}postgres").close()
    except psycopg.OperationalError:
        return False
    return True


def new_database(server: str) -> str:
    """Make an empty database; return its URL."""
    name = f"trials_{uuid4().hex}"
    with psycopg.connect(f"{server}postgres", autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}".encode())
    return server + name
