"""Let one node of this machine trade an account at a time, whatever its name and state folder."""

from __future__ import annotations

import errno
import hashlib
import socket
import struct

from config.errors import GateRefused


class AccountLock:
    """Held until it is closed, or its process ends; processes it starts do not inherit it.

    A socket of Linux' abstract namespace: no file that could stay behind, or lie in a folder that a
    hardened service can't write. Raises GateRefused, with `node` and the process that holds it.
    """

    def __init__(self, account: str, node: str) -> None:
        digest = hashlib.sha256(account.encode()).hexdigest()
        name = f"\0perpdesk.{digest[:32]}"
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            self._socket.bind(name)
            self._socket.listen()
        except OSError as error:
            self._socket.close()
            # Elsewhere than on Linux there are no such names.
            if error.errno == errno.EADDRINUSE:
                raise GateRefused(
                    f"{node}: gate account: another node of this machine, process {_pid(name)}, "
                    "trades this account (must be: one node an account); both would size on the "
                    "whole equity, and take each other's positions: stop that node, or give this "
                    "one a subaccount of its own"
                ) from None

    def close(self) -> None:
        """Let another node trade the account."""
        self._socket.close()


def _pid(name: str) -> str:
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as asking:
            asking.settimeout(1.0)
            asking.connect(name)
            peer = asking.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    except OSError:
        return "of unknown number"
    return str(struct.unpack("3i", peer)[0])
