"""Run all benchmarks and print one table: ``python -m backtests.bench [name …]``."""

from __future__ import annotations

import sys

from backtests.bench.table import print_table

NAMES = ("engine", "guards", "trials", "screen", "writer", "memory")

if __name__ == "__main__":
    print_table("perpdesk bench", "backtests.bench", tuple(sys.argv[1:]) or NAMES)
