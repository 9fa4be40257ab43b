"""Where a node's venue is, with the practice exchange started where the node needs one."""

from __future__ import annotations

from config.documents import Node
from live_nodes.environments import Addresses, addresses


def addresses_of(node: Node) -> Addresses:
    """Return the addresses of the node's venue.

    Raises
    ------
    DeskError
        If the practice exchange can't be started.
    """
    return addresses(node.environment, node.venue_urls)
