"""An account has one node of a machine at a time."""

from __future__ import annotations

import signal
import subprocess
import sys
import zlib

import pytest

from config.errors import GateRefused
from live_nodes.local.account_lock import hold_account
from tests.live_nodes.stage import desk_node, stage

HOLDS = """
import time
from live_nodes.local.account_lock import hold_account
lock = hold_account("killed", "other")
print("held", flush=True)
time.sleep(600)
"""


def test_a_killed_node_leaves_its_account_and_a_living_one_is_named() -> None:
    with subprocess.Popen([sys.executable, "-c", HOLDS], stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        assert other.stdout.readline()
        with pytest.raises(GateRefused, match=f"mine: gate account: .*process {other.pid}, "):
            hold_account("killed", "mine")
        hold_account("another", "mine").close()
        other.send_signal(signal.SIGKILL)
    hold_account("killed", "mine").close()


def test_a_copied_document_is_refused_before_it_takes_the_first_nodes_orders_for_leftovers() -> (
    None
):
    with stage() as st:
        st.order("Buy", "0.010", "49000", "n1-hand-abc-1")
        running = hold_account(f"{st.where.http} {zlib.crc32(b'anna')}", "mine")
        try:
            with pytest.raises(GateRefused, match="copy: gate account"), desk_node(st, name="copy"):
                pass
            assert list(st.open_orders()) == ["n1-hand-abc-1"]
        finally:
            running.close()
        with desk_node(st, name="copy"):
            assert st.open_orders() == {}
