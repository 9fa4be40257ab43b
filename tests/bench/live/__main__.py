"""Run the live benchmarks and print one table: ``python -m tests.bench.live [name …]``."""

from __future__ import annotations

import sys

from tests.bench.table import print_table

NAMES = ("journal", "startup", "wire", "load", "recovery")

if __name__ == "__main__":
    print_table("perpdesk live bench", "tests.bench.live", tuple(sys.argv[1:]) or NAMES)
