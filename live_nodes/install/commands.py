"""`perpdesk install …`: units of systemd that keep a node running."""

from __future__ import annotations

import re
import shutil
import sys
from contextlib import suppress
from pathlib import Path
from typing import Annotated

import typer

install_app = typer.Typer(
    name="install",
    help="Keep a node running as a service of this machine.\n\n"
    "Example: perpdesk install systemd live_nodes/nodes/xs_reversal_practice.yaml --to units",
    no_args_is_help=True,
)


def register(app: typer.Typer) -> None:
    """Add the commands to the application."""
    app.add_typer(install_app)


@install_app.callback()
def _group() -> None:
    """Keep `systemd` a command of its own."""


@install_app.command("systemd")
def systemd(
    file: Annotated[Path, typer.Argument(metavar="NODE", help="A node document (kind: node).")],
    to: Annotated[Path, typer.Option(help="Folder of the units.")] = Path("/etc/systemd/system"),
    study: Annotated[
        Path | None, typer.Option(help="A study that runs each Sunday, 02:00 UTC.")
    ] = None,
    credential: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=FILE",
            help="File with the value of a variable, such as BYBIT_API_KEY, that systemd hands to "
            "the node (FILE.cred: encrypted by systemd-creds); may be repeated.",
        ),
    ] = None,
    user: Annotated[
        str | None, typer.Option(help="Who runs it (default: who owns the working directory).")
    ] = None,
) -> None:
    """Write hardened systemd units: node, daily report (00:05 UTC), hourly backup, weekly study.

    The node restarts when it fails or its trading loop stands still for a minute. It runs in the
    working directory and may write its state folder only. No unit holds a secret. systemd-analyze,
    where there is one, verifies the units and scores how exposed the node is (0 least, 10 most).

    Example: perpdesk install systemd live_nodes/nodes/xs_reversal_practice.yaml --to units
    """
    from config.errors import InputError
    from config.suggestions import ENVIRONMENT_NAME
    from live_nodes.install.units import Site, owner, units
    from live_nodes.install.verify import exposure, verified
    from live_nodes.local.files import replace_file
    from live_nodes.local.folder import node_document

    credentials = {}
    for text in credential or ():
        name, _, path = text.partition("=")
        if not re.match(ENVIRONMENT_NAME, name) or not path.startswith("/"):
            # It may be the secret itself.
            raise InputError("--credential must be NAME=/absolute/file; it is not shown here")
        credentials[name] = Path(path)
    # Who installs may be root, who must not run the trader's code.
    node, project = node_document(file, trades=False), Path.cwd()
    if study is not None and not study.is_file():
        raise InputError(f"{study}: there is no such study")
    site = Site(
        node, file.absolute(), project, user or owner(project),
        study.absolute() if study else None, credentials,
    )  # fmt: skip
    written = units(site)
    services = [name for name in written if name.endswith(".service")]
    there = to / services[0]
    runs = re.compile(r"^ExecStart=.* live (.*)$", re.MULTILINE)
    if there.is_file() and runs.findall(there.read_text()) != runs.findall(written[there.name]):
        raise InputError(
            f"{there} runs another document than {site.file}: give one of the nodes another name, "
            "or remove that unit"
        )
    if not site.state.exists():
        site.state.mkdir(parents=True)
        with suppress(PermissionError, LookupError):
            shutil.chown(site.state, site.user)
    if site.user != (had := owner(site.state)):
        _say(f"warning: {site.state} is {had}'s: chown -R {site.user} {site.state}")
    to.mkdir(parents=True, exist_ok=True)
    for name, text in written.items():
        replace_file(to / name, text.encode(), durable=True)
        print(to / name)
    _say(f"runs as {site.user}" + " (better: a user of its own, --user)" * (site.user == "root"))
    for line in verified([to / name for name in written]):
        _say(line)
    if (score := exposure(to / services[0])) is not None:
        _say(f"systemd-analyze security: exposure {score} of 10")
    starts = [services[0], *(name for name in written if name.endswith(".timer"))]
    _say("start it: systemctl daemon-reload && systemctl enable --now " + " ".join(starts))


def _say(line: str) -> None:
    print(line, file=sys.stderr)
