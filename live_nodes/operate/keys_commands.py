"""`perpdesk keys …`: keep API keys encrypted, and ask the venue what they may do."""

from __future__ import annotations

import json
import re
import sys
from getpass import getpass
from typing import TYPE_CHECKING, Annotated

import typer

from config.commands import JsonOption, SetOption
from live_nodes.operate.commands import NodeFile, show_checks

if TYPE_CHECKING:
    from live_nodes.local.keystore import Keystore

Name = Annotated[
    str, typer.Argument(metavar="NAME", help="A variable's name, such as BYBIT_API_KEY.")
]

keys_app = typer.Typer(
    name="keys",
    help="API keys: keep them encrypted, and see what they may do at the venue.\n\n"
    "A node finds its keys in the environment, in systemd's credentials, in .env (mode 600) or in "
    "the keystore, in this order, and prints which. The keystore is one file of the user "
    "(PERPDESK_KEYSTORE names another); its passphrase is asked for, or read from the file that "
    "PERPDESK_KEY_FILE names, or from systemd's credential PERPDESK_PASSPHRASE.\n\n"
    "Example: perpdesk keys list",
    no_args_is_help=True,
)


def register(app: typer.Typer) -> None:
    """Add the commands to the application."""
    app.add_typer(keys_app)


@keys_app.command("add")
def add(
    name: Name,
    replace: Annotated[
        bool, typer.Option("--replace", help="Though it has another value there already.")
    ] = False,
) -> None:
    """Encrypt a secret in the keystore; it is asked for, or read from standard input.

    Example: perpdesk keys add BYBIT_API_KEY < key.txt
    """
    from config.errors import InputError
    from config.suggestions import ENVIRONMENT_NAME
    from live_nodes.local.keystore import Keystore

    if not re.match(ENVIRONMENT_NAME, name):
        # It may be the secret itself.
        raise InputError("NAME must be a variable's, such as BYBIT_API_KEY; it is not shown here")
    text = getpass(f"Value of {name}: ") if sys.stdin.isatty() else sys.stdin.read()
    if not (value := text.strip()).isprintable() or not value:
        raise InputError(f"{name}: one line with the secret is needed; nothing was written")
    with (store := Keystore.default()).changing() as secrets:
        if name in secrets and not replace:
            raise InputError(f"{name} is in {store} already; --replace replaces it")
        secrets[name] = value
    _say(f"{name} is in {store}")


@keys_app.command("list")
def list_names(as_json: JsonOption = False) -> None:
    """List the names in the keystore, and which have a value elsewhere that counts first.

    Example: perpdesk keys list --json
    """
    from live_nodes.local.keys import variables_of

    names, variables = sorted(_existing().secrets()), variables_of()
    rows = {name: variables.sources[name] if variables.get(name) else None for name in names}
    if as_json:
        print(json.dumps([{"name": name, "hidden_by": place} for name, place in rows.items()]))
        return
    for name, place in rows.items():
        print(name + (f" ({place} has another, which counts)" if place else ""))


@keys_app.command("remove")
def remove(name: Name) -> None:
    """Take a secret out of the keystore.

    Example: perpdesk keys remove BYBIT_API_KEY
    """
    from config.errors import InputError, hint

    with (store := _existing()).changing() as secrets:
        if name not in secrets:
            raise InputError(f"{store}: has no {name}{hint(name, secrets)}")
        del secrets[name]
    _say(f"{name} is no more in {store}; it is valid at the venue until you delete it there")


@keys_app.command("check")
def check(file: NodeFile, settings: SetOption = None, as_json: JsonOption = False) -> None:
    """Ask the venue what a node's key may do, from which addresses, and until when.

    Warns of rights to move money, of a key that works from any address, and of one that expires
    within two weeks. Exits 3 when the node could not trade with it.

    Example: perpdesk keys check live_nodes/nodes/xs_reversal_practice.yaml
    """
    from live_nodes.local.folder import node_document
    from live_nodes.operate.keys_check import check_keys

    show_checks(check_keys(node_document(file, settings or (), trades=False)), as_json)


def _existing() -> Keystore:
    from config.errors import InputError
    from live_nodes.local.keystore import Keystore

    store = Keystore.default()
    if not store.path.exists():
        raise InputError(f"there is no keystore {store.path}: `perpdesk keys add NAME` makes it")
    return store


def _say(line: str) -> None:
    print(line, file=sys.stderr)
