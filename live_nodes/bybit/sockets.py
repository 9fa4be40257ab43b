"""Find half-open TCP connections of this process by kernel counters, and end them.

The adapter's WebSockets (Rust, nautilus_trader 1.231.0) notice a silent peer only after 35 to 40 s,
with any heartbeat (measured), and hide pongs from Python. A connection is half-open when this
process keeps writing to it (the heartbeat) and never gets an answer. After a shutdown the adapter
reconnects within milliseconds, logs in and subscribes again. Linux only, by ``TCP_INFO`` (tcp(7),
linux/tcp.h); elsewhere nothing is found and the 35 to 40 s remain.
"""

from __future__ import annotations

import os
import socket
import stat
import struct
import sys
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

SUPPORTED = sys.platform == "linux"
_ESTABLISHED = 1
_HEAD = struct.Struct("<8B13I")
"""linux/tcp.h, struct tcp_info: eight bytes (first the state), then counters of 32 bits: the fifth
is ``tcpi_unacked``; the tenth, twelfth, thirteenth are milliseconds since data sent, received,
acknowledged."""
_FOLDER = "/proc/self/fd"


@dataclass(frozen=True)
class TcpConnection:
    """One established TCP connection of this process; `inode` is the kernel's id of the socket.

    `port` is the peer's; `since_sent` and `since_received` are seconds since the last data.
    """

    inode: int
    port: int
    since_sent: float
    since_received: float


def connections(ports: Collection[int]) -> list[TcpConnection]:
    """Return this process's established connections to these ports of peers."""
    found = []
    for descriptor, inode in _descriptors():
        with _borrowed(descriptor) as peer:
            if peer is None:
                continue
            try:
                port = peer.getpeername()[1]
                if port not in ports:
                    continue
                facts = _HEAD.unpack_from(
                    peer.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _HEAD.size)
                )
            except OSError:  # Closed meanwhile, or not connected.
                continue
            counters = facts[8:]
            if facts[0] == _ESTABLISHED:
                found.append(TcpConnection(inode, port, counters[9] / 1000, counters[11] / 1000))
    return found


def shut_down(inode: int) -> bool:
    """Shut the connection down both ways; False when it is gone."""
    for descriptor, name in _descriptors():
        if name != inode:
            continue
        with _borrowed(descriptor) as peer:
            if peer is None:
                return False
            try:
                peer.shutdown(socket.SHUT_RDWR)
            except OSError:
                return False
            return True
    return False


def _descriptors() -> Iterator[tuple[int, int]]:
    if not SUPPORTED:
        return
    for name in os.listdir(_FOLDER):
        try:
            facts = os.fstat(int(name))
        except OSError:  # Closed meanwhile.
            continue
        if stat.S_ISSOCK(facts.st_mode):
            yield int(name), facts.st_ino


@contextmanager
def _borrowed(descriptor: int) -> Iterator[socket.socket | None]:
    """Yield a TCP socket on a copy of the descriptor; None when it is no TCP socket."""
    try:
        copy = socket.socket(fileno=os.dup(descriptor))
    except OSError:
        yield None
        return
    try:
        internet = copy.family in (socket.AF_INET, socket.AF_INET6)
        yield copy if internet and copy.type == socket.SOCK_STREAM else None
    finally:
        copy.close()
