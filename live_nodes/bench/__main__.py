"""Run the live benchmarks and print one table: ``python -m live_nodes.bench [name …]``."""

from __future__ import annotations

import sys

from backtests.bench.table import print_table

NAMES = ("journal", "startup", "wire", "load", "recovery")

if __name__ == "__main__":
    print_table("perpdesk live bench", "live_nodes.bench", tuple(sys.argv[1:]) or NAMES)
