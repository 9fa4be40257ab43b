"""Let systemd-analyze verify units and score how exposed a service is."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

ANALYZE = "systemd-analyze"


def verified(files: Sequence[Path]) -> list[str]:
    """Return what systemd finds wrong with units; nothing where it is not installed."""
    if shutil.which(ANALYZE) is None:
        return []
    done = _analyze("verify", "--man=no", *map(str, files))
    return [line for line in done.stderr.splitlines() if any(f.name in line for f in files)]


def exposure(service: Path) -> float | None:
    """Return how exposed a service is, from 0 to 10; None where systemd does not say it."""
    if shutil.which(ANALYZE) is None:
        return None
    done = _analyze("security", "--offline=yes", "--no-pager", str(service))
    found = re.search(r"Overall exposure level.*?: ([0-9.]+)", done.stdout)
    return float(found[1]) if found else None


def _analyze(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([ANALYZE, *words], capture_output=True, text=True, check=False)
