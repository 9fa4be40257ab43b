"""What a person waits for starts at once: no command loads an engine that it does not need."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
HEAVY = ("nautilus_trader", "numba", "numpy", "plotly", "pandas", "sklearn")
RUN = "backtests/runs/xs_reversal_demo.yaml"
NODE = "live_nodes/nodes/xs_reversal_practice.yaml"
GUARDED = "live_nodes/nodes/guarded_practice.yaml"
SETUPS = ("config/setups/xs_reversal.yaml", "config/setups/xs_momentum.yaml")
COMMAND = """
import sys
import perpdesk

sys.argv = ["perpdesk", *sys.argv[1:]]
try:
    perpdesk.main()
except SystemExit:
    pass
{more}
print("loaded:", *sorted(name for name in {heavy} if name in sys.modules))
"""


def loaded(*words: str, more: str = "") -> str:
    """Return which heavy packages a command loads, as the last line that it prints."""
    script = COMMAND.format(more=more, heavy=HEAVY)
    done = subprocess.run(
        [sys.executable, "-c", script, *words],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    return done.stdout.splitlines()[-1]


@pytest.mark.parametrize(
    "words",
    [
        ("--help",),
        ("--version",),
        ("list", "presets"),
        ("describe", "strategies.xs_reversal:XSReversal"),
        ("validate", *SETUPS, RUN, NODE, GUARDED),
        ("explain", RUN),
        ("explain", GUARDED, "actors"),
        ("status", GUARDED),
    ],
    ids=lambda words: words[0],
)
def test_a_command_loads_no_engine(words, tmp_path):
    extra = ("--set", f"state={tmp_path}") if words[0] == "status" else ()
    assert loaded(*words, *extra) == "loaded:"


def test_the_kill_switch_reaches_a_running_node_without_the_engine():
    more = "import live_nodes.operate.flatten_request"
    assert loaded("risk", "flatten", "--help", more=more) == "loaded:"
