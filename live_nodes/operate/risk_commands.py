"""`perpdesk risk …`: what an operator sees of the guards, and asks of them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Node = Annotated[Path, typer.Argument(metavar="NODE", help="A node document (kind: node).")]
SetOption = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="PATH=VALUE", help="Override one value; may be repeated."),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON on stdout for machines.")]

risk_app = typer.Typer(
    name="risk",
    help="Guards: what they see, how to resume after a halt, and the kill switch.\n\n"
    "Example: perpdesk risk status live_nodes/nodes/xs_reversal_practice.yaml",
    no_args_is_help=True,
)


def register(app: typer.Typer) -> None:
    """Add the group to the application."""
    app.add_typer(risk_app)


@risk_app.command("status")
def status(
    node: Node,
    everything: Annotated[
        bool, typer.Option("--all", help="Show every reading, not only each guard's nearest.")
    ] = False,
    settings: SetOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show what every guard measures, how far it is from its limit, and what it holds back.

    Works while the node runs and after it died. Headroom is what is left to the limit, in the
    guard's unit and as a part of the limit; below zero the limit is passed.

    Example: perpdesk risk status live_nodes/nodes/xs_reversal_practice.yaml
    """
    from rich.console import Console

    from live_nodes.local.folder import node_document, state_folder
    from live_nodes.operate.risk_status import rendered, risk_status

    document = node_document(node, settings or ())
    found = risk_status(document, state_folder(document))
    if as_json:
        print(found.as_json())
    else:
        Console().print(rendered(found, everything=everything), highlight=False)


@risk_app.command("release")
def release(
    node: Node,
    guard: Annotated[str, typer.Argument(metavar="GUARD", help="Its key, or operator.")],
    reason: Annotated[str, typer.Option(help="Why, in your words; it is kept in the journal.")],
    scope: Annotated[
        str, typer.Option(help="Only desk, strategy:KEY or instrument:ID; all without it.")
    ] = "",
    accept: Annotated[
        bool,
        typer.Option("--accept", help="Though the limit is reached: measure anew from here."),
    ] = False,
    settings: SetOption = None,
    as_json: JsonOption = False,
) -> None:
    """Take a guard's halts back, so that the desk trades again.

    Of a node that does not run, the release waits in its mailbox for the next start. Exits 0 when
    it is done or waits, 1 when a running node does not answer, 3 when the limit is still reached.

    Example: perpdesk risk release live_nodes/nodes/xs_reversal_practice.yaml daily --reason "seen"
    """
    import json

    from rich.console import Console

    from live_nodes.local.folder import node_document, state_folder
    from live_nodes.operate.risk_release import release_guard

    console = Console(stderr=True)

    def say(line: str) -> None:
        console.print(line, highlight=False, markup=False, soft_wrap=True)

    document = node_document(node, settings or ())
    done = release_guard(
        document,
        state_folder(document),
        guard,
        reason=reason,
        scope=scope,
        accept=accept,
        say=say,
    )
    if as_json:
        print(json.dumps({"done": done.done, "text": done.text}, indent=2))
    else:
        say(done.text)


@risk_app.command("flatten")
def flatten(
    node: Node,
    reason: Annotated[
        str, typer.Option(help="Why, in your words; it is kept in the journal.")
    ] = "the operator's kill switch",
    within: Annotated[
        str, typer.Option(help="How long it may take until all is flat: 90s, 5m.")
    ] = "5m",
    settings: SetOption = None,
    as_json: JsonOption = False,
) -> None:
    """Close everything now and stay out: the kill switch, whether the node runs or not.

    A running node closes by itself and is watched until the venue says flat. One that does not run,
    or does not answer within 5 s, is passed by: orders are cancelled and positions closed straight
    at the venue. Either way the desk stays out, over restarts too, until
    `perpdesk risk release NODE operator --reason "…"`.

    Exits 0 when flat, 1 when not (it says what is left), 3 without keys.

    Example: perpdesk risk flatten live_nodes/nodes/xs_reversal_practice.yaml --reason "I am off"
    """
    import json

    from rich.console import Console

    from config.errors import InputError
    from live_nodes.local.folder import node_to_stop
    from live_nodes.operate.flatten_request import ask_to_flatten
    from strategies.schedule import duration_ns

    console = Console(stderr=True)

    def say(line: str) -> None:
        console.print(line, highlight=False, markup=False, soft_wrap=True)

    try:
        seconds = duration_ns(within) / 1e9
    except ValueError as error:
        raise InputError(f"--within: {error}") from None
    document = node_to_stop(node, settings or (), say)
    asked = ask_to_flatten(document, reason, say)
    from live_nodes.operate.flatten import flatten_node

    outcome = flatten_node(document, asked, seconds, say)
    if as_json:
        print(json.dumps(outcome.as_plain(), indent=2))
    else:
        say(outcome.words)
    if not outcome.flat:
        raise typer.Exit(1)
