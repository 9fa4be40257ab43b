"""The dashboard's server: routes, who may use them, and headers that keep other pages out."""

from __future__ import annotations

import asyncio
import os
import socket
import sqlite3
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from functools import partial
from hmac import compare_digest
from itertools import chain
from pathlib import Path
from typing import Annotated, Any

import msgspec
from fastapi import Depends, FastAPI, HTTPException, Request
from fastapi.responses import FileResponse, JSONResponse, Response, StreamingResponse
from fastapi.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from config.errors import DeskError, GateRefused, InputError
from live_nodes.dashboard import files, pages
from live_nodes.dashboard.access import IDLE_S, Access, AccessError, Session
from live_nodes.dashboard.actions import Actions
from live_nodes.dashboard.live import Listeners, Watcher, message
from live_nodes.dashboard.pages import NodePages, as_json
from live_nodes.dashboard.sources import find
from live_nodes.local.actions import keep_action
from live_nodes.local.folder import REPORTS

COOKIE, CSRF, BACKGROUND = "perpdesk_session", "x-csrf-token", "x-background"
LOOPBACK = ("127.0.0.1", "localhost", "::1")
STATIC = Path(__file__).parent / "static"
LONGEST_BODY = 64 * 1024
KEEP_OPEN_S = 15.0
LATEST_MS = 9_000_000_000_000
"""The year 2255: nanoseconds of what is later do not fit into a column."""
UNREADABLE = (DeskError, sqlite3.Error, OSError, msgspec.MsgspecError)
"""What a node's files may raise: it is said, and the other nodes are shown."""
_FOUND_S = 5.0

_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "font-src 'self'; connect-src 'self'; frame-src 'self'; manifest-src 'self'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'"
)
_REPORT_POLICY = (
    "sandbox allow-scripts; default-src 'none'; script-src 'unsafe-inline'; "
    "style-src 'unsafe-inline'; img-src data:; font-src data:; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'self'"
)
"""A report has its scripts inside. It runs apart: without the session, or a network."""
_HEADERS = {
    "content-security-policy": _POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    "cache-control": "no-store",
}


class Login(msgspec.Struct, forbid_unknown_fields=True):
    """What signs in."""

    password: str
    code: str


class Action(msgspec.Struct, forbid_unknown_fields=True):
    """An action: why, and the password, or a code, again."""

    reason: str
    password: str = ""
    code: str = ""
    guard: str = ""
    scope: str = ""
    accept: bool = False


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What a dashboard shows, to whom: `names` are those that a browser may call it by."""

    places: tuple[Path, ...]
    results: tuple[Path, ...]
    access: Path
    names: tuple[str, ...] = ()
    https: bool = False


class Guarded:
    """Refuses what calls the server by another name, and sends the headers with all answers."""

    def __init__(self, app: ASGIApp, names: Iterable[str], https: bool) -> None:
        self._app, self._names = app, {*LOOPBACK, *map(str.lower, names)}
        self._headers = dict(_HEADERS)
        if https:
            self._headers["strict-transport-security"] = "max-age=31536000"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle a request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def with_headers(said: Message) -> None:
            if said["type"] == "http.response.start":
                given = {name for name, _ in said["headers"]}
                said["headers"] = [
                    *said["headers"],
                    *(
                        (name.encode(), value.encode())
                        for name, value in self._headers.items()
                        if name.encode() not in given
                    ),
                ]
            await send(said)

        sent = [value.decode("latin-1") for name, value in scope["headers"] if name == b"host"]
        if len(sent) != 1 or _host_of(sent[0]) not in self._names:
            # A page of others whose name was made to lead here (DNS rebinding).
            text = "this dashboard is not called so: see --name of perpdesk dashboard"
            await _said(403, text)(scope, receive, with_headers)
            return
        await self._app(scope, receive, with_headers)


def _host_of(text: str) -> str:
    host = text.rpartition("]")[0].lstrip("[") if text.startswith("[") else text.partition(":")[0]
    return host.lower()


class Dashboard:
    """The nodes that are shown, and everything that is kept between requests."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.access = Access(settings.access)
        self.listeners = Listeners()
        self.actions = Actions(self.listeners.tell)
        self.watcher = Watcher(self.nodes, self.listeners)
        self._nodes: dict[str, NodePages] = {}
        self._found_at = 0.0
        self._lock = threading.Lock()

    def nodes(self) -> list[NodePages]:
        """Return the nodes, with those that were started since."""
        with self._lock:
            known = self._nodes
            if not known or time.monotonic() - self._found_at >= _FOUND_S:
                try:
                    sources = find(self.settings.places)
                except (DeskError, OSError):
                    # A document that is being edited must not hide what runs.
                    if not known:
                        raise
                    sources = [node.source for node in known.values()]
                # Whose journal is gone must say so, not vanish with its positions.
                seen = {one.id for one in sources}
                lost = [n.source for n in known.values() if n.id not in seen]
                sources += [source for source in lost if source.folder.is_dir()]
                sources.sort(key=lambda source: source.id)
                before = {node.source: node for node in known.values()}
                self._nodes = {one.id: before.get(one) or NodePages(one) for one in sources}
                self._found_at = time.monotonic()
            return [*self._nodes.values()]

    def warm_up(self) -> None:
        """Fold the journals before the first page asks: it takes seconds where they are long."""
        for node in self.nodes():
            with suppress(*UNREADABLE), node.books.refreshed():
                pass

    def node(self, name: str) -> NodePages:
        """Return a node by its id."""
        self.nodes()
        if name not in self._nodes:
            known = ", ".join(self._nodes) or "none"
            raise HTTPException(404, f"there is no node {name}; there are {known}")
        return self._nodes[name]

    def result_folders(self) -> list[Path]:
        """Return where results are: the given folders, and the reports of each node."""
        reports = [node.source.folder / REPORTS for node in self.nodes()]
        return [*self.settings.results, *reports]

    def chosen(self, name: str) -> list[NodePages]:
        """Return one node, or all."""
        return [self.node(name)] if name else self.nodes()


def made_app(settings: Settings) -> ASGIApp:
    """Return the application."""
    dashboard = Dashboard(settings)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        dashboard.watcher.start()
        threading.Thread(target=dashboard.warm_up, daemon=True).start()
        yield
        await asyncio.to_thread(dashboard.watcher.stop)

    app = FastAPI(lifespan=lifespan, docs_url=None, redoc_url=None, openapi_url=None)
    app.state.dashboard = dashboard
    _answer_errors(app)
    _routes_of_access(app, dashboard)
    _routes_of_pages(app, dashboard)
    _routes_of_actions(app, dashboard)
    app.mount("/static", _Static(directory=STATIC, check_dir=False))

    @app.get("/")
    def index() -> Response:
        return FileResponse(STATIC / "index.html", headers={"cache-control": "no-cache"})

    # Outside of all, so that an error has the headers, too.
    return Guarded(app, settings.names, settings.https)


def run(settings: Settings, host: str, port: int, say: Callable[[str], None]) -> None:
    """Serve until SIGINT or SIGTERM; port 0 takes a free one. Raises DeskError if it is taken."""
    import uvicorn

    try:
        listening = socket.create_server(
            (host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET
        )
    except OSError as error:
        why = os.strerror(error.errno or 0)
        raise DeskError(f"{host}:{port}: {why}; --port names another") from None
    config = uvicorn.Config(
        made_app(settings),
        log_level="warning",
        access_log=False,
        server_header=False,
        # Whoever calls could else name another address, and try passwords for ever.
        proxy_headers=False,
        timeout_graceful_shutdown=1,
    )
    shown = f"[{host}]" if ":" in host else host
    say(f"dashboard at http://{shown}:{listening.getsockname()[1]}")
    uvicorn.Server(config).run([listening])


class _Static(StaticFiles):
    def file_response(self, *args: Any, **options: Any) -> Response:
        response = super().file_response(*args, **options)
        response.headers["cache-control"] = "no-cache"
        return response


# -- who may ---------------------------------------------------------------------------------------


def signed_in(request: Request, uses: bool = True) -> Session | None:
    """Return who asks; None is a read-only token. Raise HTTPException for nobody."""
    access: Access = request.app.state.dashboard.access
    kind, _, token = request.headers.get("authorization", "").partition(" ")
    if kind.lower() == "bearer" and request.method == "GET" and access.knows(token.strip()):
        return None
    uses = uses and BACKGROUND not in request.headers
    session = access.session(request.cookies.get(COOKIE, ""), uses=uses)
    if session is None:
        raise HTTPException(401, "sign in")
    return session


def acting(request: Request, session: Annotated[Session | None, Depends(signed_in)]) -> Session:
    """Return whose page sent a POST; raise HTTPException where it was another site's."""
    sent = request.headers.get(CSRF, "")
    if session is None or not compare_digest(sent.encode(), session.csrf.encode()):
        raise HTTPException(403, "this request did not come from the dashboard's own page")
    return session


async def _body[T](request: Request, kind: type[T]) -> T:
    if request.headers.get("content-type", "").partition(";")[0] != "application/json":
        raise HTTPException(400, "send JSON")
    if request.headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
        raise HTTPException(403, "this request came from another site")
    parts, size = list[bytes](), 0
    async for part in request.stream():
        size += len(part)
        if size > LONGEST_BODY:
            raise HTTPException(413, "this request is too long")
        parts.append(part)
    try:
        return msgspec.json.decode(b"".join(parts), type=kind)
    except msgspec.MsgspecError:
        # Not what is wrong with it: the message may have the password.
        raise HTTPException(400, f"expected {', '.join(kind.__annotations__)}") from None


def _address(request: Request) -> str:
    return request.client.host if request.client else "nobody"


def _routes_of_access(app: FastAPI, dashboard: Dashboard) -> None:
    access, room = dashboard.access, dashboard.settings.access.parent

    @app.get("/api/session")
    def session(request: Request) -> Response:
        try:
            found = signed_in(request)
        except HTTPException as nobody:
            return _said(401, str(nobody.detail), set_up=access.is_set_up)
        return _json(_session(found))

    @app.post("/api/login")
    async def login(request: Request) -> Response:
        sent, address = await _body(request, Login), _address(request)
        try:
            cookie, made = await asyncio.to_thread(
                access.sign_in, address, sent.password, sent.code
            )
        except AccessError as refused:
            await asyncio.to_thread(_keep_refusal, room, "sign-in", refused, address)
            return _refused(refused)
        await asyncio.to_thread(keep_action, room, "signed in", "", by=address)
        response = _json(_session(made))
        secure = dashboard.settings.https
        response.set_cookie(COOKIE, cookie, httponly=True, samesite="strict", secure=secure)
        return response

    @app.post("/api/logout", dependencies=[Depends(acting)])
    def logout(request: Request) -> Response:
        access.sign_out(request.cookies.get(COOKIE, ""))
        response = Response(status_code=204)
        response.delete_cookie(COOKIE, httponly=True, samesite="strict")
        return response


def _session(session: Session | None) -> dict[str, Any]:
    more: dict[str, Any] = {"csrf": "", "expires": None}
    if session is not None:
        more = {"csrf": session.csrf, "expires": int(session.ends * 1000)}
    return {"signed_in": True, "idle_s": IDLE_S, "read_only": session is None, **more}


# -- pages -----------------------------------------------------------------------------------------


def _routes_of_pages(app: FastAPI, dashboard: Dashboard) -> None:
    seen = [Depends(signed_in)]

    def page(path: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
        return app.get(path, dependencies=seen)

    @page("/api/desk")
    def desk() -> Response:
        rows = [_or_error(node, node.desk) for node in dashboard.nodes()]
        return _json({"now": _now(), "nodes": rows, "total": pages.totals(rows)})

    @page("/api/strategies")
    def strategies(node: str = "") -> Response:
        found, errors = _of_all(dashboard.chosen(node), NodePages.comparison)
        return _json({"rows": [*chain(*found)], "errors": errors})

    @page("/api/nodes/{node}/strategies/{strategy}")
    def strategy(node: str, strategy: str) -> Response:
        return _json(dashboard.node(node).strategy(strategy))

    @page("/api/positions")
    def positions(node: str = "") -> Response:
        found, errors = _of_all(dashboard.chosen(node), NodePages.positions)
        rows = [*chain(*(held for _, held in found))]
        heads = [head for head, _ in found]
        return _json({"now": _now(), "nodes": heads, "positions": rows, "errors": errors})

    @page("/api/nodes/{node}/book")
    def book(node: str, instrument: str = "", at: int | None = None, seconds: int = 60) -> Response:
        end = None if at is None else min(max(at, 0), LATEST_MS)
        return _json(dashboard.node(node).book(instrument, end, seconds))

    @page("/api/trades")
    def trades(request: Request, cursor: str | None = None, limit: int = 100) -> Response:
        node, wanted = _wanted(dashboard, request.query_params)
        return _json(node.trades(wanted, cursor, min(max(limit, 1), 500)))

    @page("/api/trades.csv")
    def trades_csv(request: Request) -> Response:
        node, wanted = _wanted(dashboard, request.query_params)
        headers = {"content-disposition": f'attachment; filename="trades-{node.id}.csv"'}
        # What can't be read must be refused here, not cut off after the answer began.
        node.trades(wanted, None, 1)
        lines = pages.csv_lines(node, wanted)
        return StreamingResponse(lines, media_type="text/csv", headers=headers)

    @page("/api/trips")
    def trips(request: Request, cursor: str | None = None, limit: int = 100) -> Response:
        node, wanted = _wanted(dashboard, request.query_params)
        return _json(node.trips(wanted, cursor, min(max(limit, 1), 500)))

    @page("/api/nodes/{node}/risk")
    def risk(node: str) -> Response:
        return _json(dashboard.node(node).risk())

    @page("/api/nodes/{node}/config")
    def config(node: str) -> Response:
        return _json(dashboard.node(node).config())

    @page("/api/nodes/{node}/logs")
    def logs(
        node: str, source: str = "node", lines: int = 200, contains: str = "", level: str = ""
    ) -> Response:
        most = min(max(lines, 1), 2000)
        return _json(dashboard.node(node).logs(source, most, contains, level))

    @page("/api/results")
    def results() -> Response:
        folders = dashboard.result_folders()
        rows = [*files.results(folders).values()]
        return _json({"folders": [str(folder) for folder in folders], "rows": rows})

    @page("/results/{number}/report.html")
    def report(number: str) -> Response:
        row = files.results(dashboard.result_folders()).get(number)
        if row is None or row["report"] is None:
            raise HTTPException(404, "there is no such report")
        headers = {"content-security-policy": _REPORT_POLICY}
        return FileResponse(files.report_of(Path(row["path"])), headers=headers)

    @page("/api/events")
    async def events(request: Request) -> Response:
        return StreamingResponse(
            _stream(dashboard, partial(_lasts, request)),
            media_type="text/event-stream",
            headers={"x-accel-buffering": "no"},
        )


def _lasts(request: Request) -> bool:
    try:
        signed_in(request, uses=False)
    except HTTPException:
        return False
    return True


async def _stream(dashboard: Dashboard, lasts: Callable[[], bool]) -> AsyncIterator[bytes]:
    queue = dashboard.listeners.join()
    try:
        nodes = [node.id for node in await asyncio.to_thread(dashboard.nodes)]
        # A page that reads now must hear of all that comes after.
        await asyncio.to_thread(dashboard.watcher.looked.wait, KEEP_OPEN_S)
        yield message("hello", {"now": _now(), "nodes": nodes})
        looked = time.monotonic()
        while True:
            try:
                said = await asyncio.wait_for(queue.get(), KEEP_OPEN_S)
            except TimeoutError:
                said = b":\n\n"
            if time.monotonic() - looked >= 1.0:
                looked = time.monotonic()
                if not await asyncio.to_thread(lasts):
                    yield message("bye", {"why": "the session ended: sign in again"})
                    return
            if said is None:
                return
            yield said
    finally:
        dashboard.listeners.leave(queue)


def _of_all[T](
    nodes: Iterable[NodePages], what: Callable[[NodePages], T]
) -> tuple[list[T], dict[str, str]]:
    """Return what of each node, and why others have none, by node."""
    found, errors = list[T](), dict[str, str]()
    for node in nodes:
        try:
            found.append(what(node))
        except UNREADABLE as error:
            errors[node.id] = files.masked(str(error))
    return found, errors


def _or_error(node: NodePages, row: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    try:
        return row()
    except UNREADABLE as error:
        known = {"node": node.id, "name": node.source.name, "environment": node.source.environment}
        return {**known, "error": files.masked(str(error)), "health": "bad"}


def _wanted(dashboard: Dashboard, query: Mapping[str, str]) -> tuple[NodePages, dict[str, Any]]:
    nodes = dashboard.chosen(query.get("node", ""))
    if not nodes:
        raise HTTPException(404, "there is no node")
    wanted: dict[str, Any] = {
        name: query[name] for name in ("strategy", "instrument", "side", "kind") if name in query
    }
    for name in ("from", "to"):
        if text := query.get(name, ""):
            if not text.isdecimal():
                raise HTTPException(400, f"{name} must be milliseconds UTC, was {text[:20]!r}")
            wanted[name] = min(int(text[:14]), LATEST_MS)
    return nodes[0], wanted


# -- actions ---------------------------------------------------------------------------------------


def _routes_of_actions(app: FastAPI, dashboard: Dashboard) -> None:
    access, actions = dashboard.access, dashboard.actions

    def act(name: str, work: Callable[[NodePages, str, Action], dict[str, Any]], code: int) -> None:
        @app.post(f"/api/nodes/{{node}}/{name}")
        async def done(
            request: Request, node: str, session: Annotated[Session, Depends(acting)]
        ) -> Response:
            shown = await asyncio.to_thread(dashboard.node, node)
            sent, address = await _body(request, Action), _address(request)
            try:
                await asyncio.to_thread(access.confirm, session, sent.password, sent.code)
            except AccessError as refused:
                room = dashboard.settings.access.parent
                await asyncio.to_thread(_keep_refusal, room, "action", refused, address)
                raise
            return _json(await asyncio.to_thread(work, shown, address, sent), code)

    act("flatten", lambda n, by, a: actions.flatten(n.source, by, a.reason), 202)
    act("halt", lambda n, by, a: actions.halt(n.source, by, a.reason, a.scope), 200)
    act(
        "release",
        lambda n, by, a: actions.release(n.source, by, a.reason, a.guard, a.scope, a.accept),
        200,
    )


# -- answers ---------------------------------------------------------------------------------------


def _answer_errors(app: FastAPI) -> None:
    codes = {**dict.fromkeys(UNREADABLE, 503), InputError: 400, GateRefused: 409}

    async def answer(request: Request, error: Exception) -> Response:
        if isinstance(error, AccessError):
            return _refused(error, reauthenticate=True)
        if isinstance(error, HTTPException):
            return _said(error.status_code, str(error.detail))
        code = next(codes[kind] for kind in type(error).__mro__ if kind in codes)
        return _said(code, files.masked(str(error)))

    for kind in (AccessError, HTTPException, *codes):
        app.add_exception_handler(kind, answer)


def _keep_refusal(room: Path, what: str, refused: AccessError, address: str) -> None:
    # Those after too many tries would fill the disk.
    if not refused.retry_s:
        keep_action(room, f"{what} refused", str(refused), by=address)


def _refused(refused: AccessError, **more: Any) -> Response:
    if not refused.retry_s:
        return _said(401, str(refused), **more)
    response = _said(429, str(refused), retry_s=round(refused.retry_s), **more)
    response.headers["retry-after"] = str(round(refused.retry_s))
    return response


def _said(code: int, text: str, **more: Any) -> JSONResponse:
    return JSONResponse({"error": text, **more}, status_code=code)


def _json(value: Any, code: int = 200) -> Response:
    return Response(as_json(value), status_code=code, media_type="application/json")


def _now() -> int:
    return time.time_ns() // 1_000_000
