"""Let one node of this machine trade an account at a time, whatever its name and state folder."""

from __future__ import annotations

import errno
import hashlib
import socket
import struct

from config.errors import GateRefused


def hold_account(account: str, node: str) -> socket.socket:
    """Return what keeps other nodes from an account until it is closed, or its process ends.

    It is a socket of Linux' abstract namespace: no file that could stay behind, or lie in a folder
    that a hardened service can't write; processes it starts do not inherit it. Raises GateRefused,
    with `node` and the process that holds the account.
    """
    name = f"\0perpdesk.{hashlib.sha256(account.encode()).hexdigest()[:32]}"
    held = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        held.bind(name)
        held.listen()
    except OSError as error:
        held.close()
        # Elsewhere than on Linux there are no such names.
        if error.errno == errno.EADDRINUSE:
            raise GateRefused(
                f"{node}: gate account: another node of this machine, process {_pid(name)}, trades "
                "this account (must be: one node an account); both would size on the whole equity, "
                "and take each other's positions: stop that node, or give this one a subaccount of "
                "its own"
            ) from None
    return held


def _pid(name: str) -> str:
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as asking:
            asking.settimeout(1.0)
            asking.connect(name)
            peer = asking.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    except OSError:
        return "of unknown number"
    return str(struct.unpack("3i", peer)[0])
