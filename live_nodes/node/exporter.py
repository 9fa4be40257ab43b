"""Prometheus exporter of a node: ``/metrics``, ``/healthz`` and ``/readyz`` over HTTP.

Served by threads of its own, which wait neither for the event loop nor for each other: the loop
never waits for a scrape. What fails here is said, and never ends or delays trading.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from live_nodes.local.heartbeat import STALE_S, Beat
from live_nodes.node.context import RunContext
from live_nodes.node.metrics import NodeMetrics

AT_ONCE = 8
"""Requests that are served at a time; more are closed."""
PATIENCE_S = 5.0
AGAIN_S = 10.0
"""Pause between two tries to get the port."""
FRESH_S = 1.0
"""Age of figures up to which a scrape gets the same again: scraping harder costs nothing."""
Page = Callable[[], tuple[int, bytes]]


def health(beat: Beat | None, now_ns: int) -> str:
    """Return why trading makes no progress, empty while it does; `now_ns` is UNIX (UTC)."""
    if beat is None:
        return "no heartbeat yet"
    age = (now_ns - beat.ts) / 1e9
    return f"no heartbeat for {age:.0f} s: the event loop hangs" if age > STALE_S else beat.stalled


def readiness(beat: Beat | None, now_ns: int) -> str:
    """Return why the node does not trade, empty while it runs with all its links."""
    why = health(beat, now_ns)
    if why or beat is None:
        return why
    if beat.phase != "running":
        return f"the node is {beat.phase}"
    return f"down: {', '.join(beat.links_down)}" if beat.links_down else ""


def _keep_serving(
    address: tuple[str, int],
    pages: dict[str, Page],
    failed: Callable[[str], None],
    closed: threading.Event,
) -> None:
    said = False
    while not closed.is_set():
        try:
            server = _server(address, pages)
        except OSError as error:
            if not said:
                said = True
                host, port = address
                failed(f"metrics can't be served at {host}:{port}: {error}; tries again")
            closed.wait(AGAIN_S)
            continue
        with server:
            while not closed.is_set():
                server.handle_request()


def _server(address: tuple[str, int], pages: dict[str, Page]) -> ThreadingHTTPServer:
    places = threading.BoundedSemaphore(AT_ONCE)

    class Handler(BaseHTTPRequestHandler):
        timeout = PATIENCE_S

        def do_GET(self) -> None:
            page = pages.get(self.path.partition("?")[0])
            try:
                status, body = (404, b"/metrics, /healthz, /readyz\n") if page is None else page()
            except Exception as error:  # noqa: BLE001 - whatever it is, a scraper sees it
                status, body = 500, f"{type(error).__name__}: {error}\n".encode()
            self.send_response(status)
            self.send_header("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            """Print nothing: standard output is the node's."""

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        timeout = 0.25

        def process_request(self, request: Any, client_address: Any) -> None:
            if places.acquire(blocking=False):
                super().process_request(request, client_address)
            else:
                self.shutdown_request(request)

        def process_request_thread(self, request: Any, client_address: Any) -> None:
            try:
                super().process_request_thread(request, client_address)
            finally:
                places.release()

        def handle_error(self, *_: Any) -> None:
            """A client that went away is no news."""

    return Server(address, Handler)


@contextmanager
def exported(context: RunContext) -> Iterator[None]:
    """Serve a run's metrics while it lasts, if its document wants that."""
    settings, heartbeat = context.node.metrics, context.heartbeat
    if settings.port is None:
        yield
        return

    failed = partial(context.warn, kind="metrics")
    try:
        metrics = NodeMetrics(context.node, context.folder, heartbeat)
    except Exception as error:  # noqa: BLE001 - figures are no reason not to trade
        failed(f"metrics can't be served: {type(error).__name__}: {error}")
        yield
        return
    newest, lock = [(-FRESH_S, b"")], threading.Lock()

    def figures() -> tuple[int, bytes]:
        with lock:
            if time.monotonic() - newest[0][0] >= FRESH_S:
                page = metrics.page()
                newest[0] = time.monotonic(), page
            return 200, newest[0][1]

    def answer(judge: Callable[[Beat | None, int], str]) -> tuple[int, bytes]:
        why = judge(heartbeat.last, time.time_ns())
        return (503, f"{why}\n".encode()) if why else (200, b"ok\n")

    pages: dict[str, Page] = {
        "/metrics": figures,
        "/healthz": lambda: answer(health),
        "/readyz": lambda: answer(readiness),
    }
    closed, address = threading.Event(), (settings.host, settings.port)
    serving = threading.Thread(
        target=_keep_serving, args=(address, pages, failed, closed), name="exporter", daemon=True
    )
    serving.start()
    try:
        yield
    finally:
        closed.set()
        # The port is free then.
        serving.join(PATIENCE_S)
