"""Run all benchmarks and print one table: ``python -m tests.bench [name …]``."""

from __future__ import annotations

import sys

from tests.bench.table import print_table

NAMES = ("engine", "guards", "trials", "screen", "writer", "memory")

if __name__ == "__main__":
    print_table("perpdesk bench", "tests.bench", tuple(sys.argv[1:]) or NAMES)
