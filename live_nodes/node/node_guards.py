"""The guards of a node's document."""

from __future__ import annotations

from collections.abc import Mapping

from actors.desk.build import guards_of
from actors.desk.guard import Guard
from config.documents import Node
from config.errors import InputError
from live_nodes.node.operator_guard import OPERATOR


def node_guards(node: Node) -> dict[str, Guard]:
    """Return the document's enabled guards by key.

    Raises
    ------
    InputError
        When a component of ``actors:`` is no guard, or takes the operator's name.
    """
    guards = guards_of(node)
    for key, component in node.actors.items():
        if component.enabled and key not in guards:
            raise InputError(
                f"{node.name}: actors.{key}: {component.use} is no guard, and a node runs no other "
                "actors; set enabled: false"
            )
        if key == OPERATOR:
            raise InputError(f"{node.name}: actors.{key}: this name is the operator's own guard's")
    return guards


def look_at_markets(guards: Mapping[str, Guard]) -> bool:
    """Whether a guard needs more of the markets than a price."""
    return any("markets" in guard.rule.needs for guard in guards.values())
