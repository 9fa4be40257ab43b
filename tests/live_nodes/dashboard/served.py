"""A dashboard that serves, and one who is signed in."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import pyotp
import uvicorn

from live_nodes.dashboard import access
from live_nodes.dashboard.app import Settings, made_app
from tests.waiting import eventually

PASSWORD = "correct horse battery"


class Visitor(httpx.Client):
    """A browser; `act` sends a POST as its page would."""

    csrf = ""

    def __init__(self, **options: Any) -> None:
        super().__init__(timeout=30, **options)

    def sign_in(self, secret: str) -> None:
        sent = {"password": PASSWORD, "code": pyotp.TOTP(secret).now()}
        self.csrf = self.post("/api/login", json=sent).raise_for_status().json()["csrf"]

    def page(self, path: str) -> Any:
        return self.get(path).raise_for_status().json()

    def act(self, path: str, **body: Any) -> httpx.Response:
        return self.post(path, json=body, headers={"X-CSRF-Token": self.csrf})


@contextmanager
def serving(folder: Path, *places: Path) -> Iterator[tuple[str, str]]:
    """Serve nodes; yield the address and the secret of the codes."""
    file = folder / "access" / "access.json"
    secret = access.set_password(file, PASSWORD)
    names, results = ("Desk.Example",), (folder / "results",)
    app = made_app(Settings(places=places, results=results, access=file, names=names))
    server = uvicorn.Server(
        uvicorn.Config(app, port=0, log_level="warning", timeout_graceful_shutdown=1)
    )
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        eventually(lambda: server.started, "the server")
        port = server.servers[0].sockets[0].getsockname()[1]
        yield f"http://127.0.0.1:{port}", secret
    finally:
        server.should_exit = True
        thread.join()


@contextmanager
def visiting(folder: Path, *places: Path) -> Iterator[Visitor]:
    """Yield somebody who is signed in."""
    with serving(folder, *places) as (address, secret), Visitor(base_url=address) as visitor:
        visitor.sign_in(secret)
        yield visitor


class Events:
    """Reads a visitor's server-sent events in a thread; `seen` has name, data and when it came."""

    def __init__(self, visitor: Visitor) -> None:
        self.seen: list[tuple[str, dict[str, Any], float]] = []
        self._visitor = visitor
        threading.Thread(target=self._read, daemon=True).start()
        self.of("hello")

    def of(self, name: str) -> tuple[dict[str, Any], float]:
        """Wait for the first event of a name."""
        return eventually(lambda: next((x[1:] for x in self.seen if x[0] == name), None), name)

    def _read(self) -> None:
        name = ""
        stream = self._visitor.stream("GET", "/api/events", timeout=None)
        with suppress(httpx.TransportError), stream as response:
            for line in response.iter_lines():
                if line.startswith("event: "):
                    name = line.removeprefix("event: ")
                elif line.startswith("data: "):
                    data = json.loads(line.removeprefix("data: "))
                    self.seen.append((name, data, time.time()))
