"""`perpdesk dashboard`: pages of nodes in a browser; its password and read-only tokens."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path
from typing import Annotated

import typer
from typer.core import TyperGroup

AccessOption = Annotated[
    Path,
    typer.Option("--access", help="File of password and tokens, readable by its owner only."),
]
DEFAULT = Path("live_nodes/state/dashboard/access.json")
_SERVE = "serve"
_LOOPBACK = ("127.0.0.1", "localhost", "::1")


class _NodesFirst(TyperGroup):
    """`perpdesk dashboard NODE …` serves; the other commands are named."""

    def parse_args(self, ctx: typer.Context, args: list[str]) -> list[str]:  # type: ignore[override]
        named = args and (args[0] in self.commands or args[0] in ctx.help_option_names)
        return super().parse_args(ctx, args if named or not args else [_SERVE, *args])


dashboard_app = typer.Typer(
    name="dashboard",
    cls=_NodesFirst,
    help="Watch nodes in a browser, from their journals; halt, flatten and release.\n\n"
    "perpdesk dashboard NODE… serves pages of the nodes, on this machine only.\n\n"
    "Example: perpdesk dashboard live_nodes/nodes/xs_reversal_practice.yaml",
    no_args_is_help=True,
)
token_app = typer.Typer(name="token", help="Read-only tokens.", no_args_is_help=True)
dashboard_app.add_typer(token_app)


def register(app: typer.Typer) -> None:
    """Add `perpdesk dashboard`."""
    app.add_typer(dashboard_app)


@dashboard_app.command(_SERVE)
def serve(
    nodes: Annotated[
        list[Path], typer.Argument(help="Node documents, or folders with the states of nodes.")
    ],
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes a free one.")] = 8600,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    allow_remote: Annotated[
        bool, typer.Option("--allow-remote", help="Listen on an address that others reach.")
    ] = False,
    name: Annotated[
        list[str] | None, typer.Option(help="A name that browsers may call it by; may be repeated.")
    ] = None,
    https: Annotated[
        bool, typer.Option("--https", help="Browsers reach it by https, through a proxy.")
    ] = False,
    results: Annotated[
        list[Path] | None, typer.Option(help="Folder of results; may be repeated (results).")
    ] = None,
    access: AccessOption = DEFAULT,
) -> None:
    """Serve the pages of nodes until Ctrl-C.

    Reads journals and files, never a node's memory, and never slows a node. From elsewhere, come
    through `ssh -L 8600:127.0.0.1:8600`, or a proxy with TLS.

    Example: perpdesk dashboard live_nodes/state --port 8600
    """
    from config.errors import GateRefused
    from live_nodes.dashboard.access import read_kept
    from live_nodes.dashboard.sources import find

    if host not in _LOOPBACK and not allow_remote:
        raise GateRefused(
            f"--host {host}: others could reach the dashboard without TLS; leave it at 127.0.0.1 "
            "and come by ssh -L or a proxy, or add --allow-remote"
        )
    if read_kept(access) is None:
        raise GateRefused(f"{access}: no password yet: run perpdesk dashboard password")
    for source in find(nodes):
        print(f"{source.id}: {source.folder}", file=sys.stderr)
    from live_nodes.dashboard.app import Settings, run

    settings = Settings(
        places=tuple(nodes),
        results=tuple(results or [Path("results")]),
        access=access,
        names=tuple(name or ()),
        https=https,
    )
    run(settings, host, port, partial(print, file=sys.stderr, flush=True))


@dashboard_app.command("password")
def password(access: AccessOption = DEFAULT) -> None:
    """Set the password, and make a new secret for the one-time codes of an authenticator app.

    Asks for the password, or reads it from standard input where that is no terminal. Whoever is
    signed in has to sign in again; tokens stay.

    Example: perpdesk dashboard password
    """
    import pyotp

    from live_nodes.dashboard.access import set_password

    if sys.stdin.isatty():
        given = typer.prompt("Password", hide_input=True, confirmation_prompt=True)
    else:
        given = sys.stdin.readline().rstrip("\r\n")
    secret = set_password(access, given)
    uri = pyotp.TOTP(secret).provisioning_uri(name="perpdesk", issuer_name="perpdesk dashboard")
    print(f"{access}: password set", file=sys.stderr)
    print("Put this into an authenticator app; it is shown only now:", file=sys.stderr)
    print(secret)
    print(uri)


@token_app.command("add")
def add(
    name: Annotated[str, typer.Argument(help="What it is for, such as grafana.")],
    access: AccessOption = DEFAULT,
) -> None:
    """Make a token that may read all pages and do nothing; it is printed once.

    Example: perpdesk dashboard token add wallboard
    """
    from live_nodes.dashboard.access import add_token

    print(add_token(access, name))


@token_app.command("remove")
def remove(
    name: Annotated[str, typer.Argument(help="Its name.")], access: AccessOption = DEFAULT
) -> None:
    """Let a token read no more.

    Example: perpdesk dashboard token remove wallboard
    """
    from live_nodes.dashboard.access import remove_token

    remove_token(access, name)


@token_app.command("list")
def list_tokens(access: AccessOption = DEFAULT) -> None:
    """List the names of the tokens.

    Example: perpdesk dashboard token list
    """
    from live_nodes.dashboard.access import read_kept

    kept = read_kept(access)
    for name in sorted(kept.tokens if kept else ()):
        print(name)
