"""`perpdesk exchange`: a Bybit v5 of one's own, on this machine."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from config.commands import SetOption

if TYPE_CHECKING:
    from config.documents import ExchangeDocument
    from live_nodes.local.practice_process import Endpoint

STATE_ROOMS = Path("live_nodes/state"), Path("state")
"""Of the checkout, and of a project's folder, which has no ``live_nodes``."""


def register(app: typer.Typer) -> None:
    """Add `perpdesk exchange`."""
    app.command("exchange")(exchange_command)


def exchange_command(
    file: Annotated[Path, typer.Argument(help="A document of kind exchange.")],
    state: Annotated[
        Path | None,
        typer.Option(help="State file; exchange-NAME/exchange.db in the folder of states."),
    ] = None,
    port: Annotated[int | None, typer.Option(help="Port of 127.0.0.1; 0 takes a free one.")] = None,
    admin_port: Annotated[int | None, typer.Option(help="Port of the admin.")] = None,
    settings: SetOption = None,
    stop: Annotated[
        bool, typer.Option("--stop", help="Stop the one that runs; FILE may be a node's, too.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the endpoint as JSON.")] = False,
) -> None:
    """Run a practice exchange that speaks Bybit v5 until Ctrl-C; what happens there is kept.

    A node on practice starts one of its own, which keeps running after it; --stop ends it.

    Example: perpdesk exchange live_nodes/practice/markets/demo.yaml
    """
    import msgspec

    from config.documents import ExchangeDocument
    from config.validate import checked

    if stop:
        _stop(file, state, settings or [], as_json)
        return
    overrides = list(settings or ())
    overrides += [f"port={port}"] if port is not None else []
    overrides += [f"admin_port={admin_port}"] if admin_port is not None else []
    document: ExchangeDocument = checked(file, overrides, ExchangeDocument).document
    # aiohttp and the catalog take a second to import; a wrong document is answered before.
    from live_nodes.practice.process import run_exchange

    path = state or _state_of(document)

    def ready(endpoint: Endpoint) -> None:
        if as_json:
            print(msgspec.json.encode(endpoint).decode(), flush=True)
            return
        names = ", ".join(f"{name} (key practice-{name})" for name in document.accounts)
        print(f"practice exchange {document.name}: {endpoint.http}, admin {endpoint.admin}")
        print(f"accounts: {names}; state in {path}; Ctrl-C stops it", flush=True)

    import asyncio

    ended = asyncio.run(run_exchange(document, path, ready))
    if as_json:
        print(msgspec.json.encode(ended._asdict()).decode())
    why = ended.reason
    print(f"practice exchange {document.name} stopped: {why}; its state is kept", file=sys.stderr)
    _warn(ended.unmet_faults)


def _stop(file: Path, state: Path | None, settings: list[str], as_json: bool) -> None:
    import msgspec

    from config.documents import ExchangeDocument, Node
    from config.errors import InputError
    from config.load import load
    from live_nodes.local.folder import state_folder
    from live_nodes.local.practice_process import EXCHANGE, STATE, stop_exchange, unmet_faults

    document = load(file, settings, imports=False).document
    if isinstance(document, Node):
        path = state or state_folder(document) / EXCHANGE / STATE
    elif isinstance(document, ExchangeDocument):
        path = state or _state_of(document)
    else:
        raise InputError(f"{file}: kind is {document.kind}, but --stop needs an exchange or a node")
    unmet = unmet_faults(path.parent, path.name)
    was_running = stop_exchange(path.parent, state=path.name)
    _warn(unmet)
    if as_json:
        result = {"stopped": was_running, "state": str(path), "unmet_faults": unmet}
        print(msgspec.json.encode(result).decode())
    elif was_running:
        print(f"stopped; its state is kept in {path}")
    else:
        print(f"no exchange runs on {path}")


def _warn(unmet_faults: list[str]) -> None:
    from live_nodes.local.practice_process import UNMET

    for name in unmet_faults:
        print(f"warning: {UNMET.format(name)}", file=sys.stderr)


def _state_of(document: ExchangeDocument) -> Path:
    from live_nodes.local.practice_process import STATE

    checkout, project = STATE_ROOMS
    room = checkout if checkout.parent.is_dir() else project
    return room / f"exchange-{document.name}" / STATE
