"""What a person waits for starts at once: no command loads an engine that it does not need."""

import ast
import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
HEAVY = ("nautilus_trader", "numba", "numpy", "plotly", "pandas", "sklearn")
RUN = "backtests/runs/xs_reversal_demo.yaml"
NODE = "live_nodes/nodes/xs_reversal_practice.yaml"
GUARDED = "live_nodes/nodes/guarded_practice.yaml"
SETUPS = ("config/setups/xs_reversal.yaml", "config/setups/xs_momentum.yaml")
COMMANDS = (
    ("--help",),
    ("--version",),
    ("list", "presets"),
    ("describe", "strategies.xs_reversal:XSReversal"),
    ("validate", *SETUPS, RUN, NODE, GUARDED),
    ("explain", RUN),
    ("explain", GUARDED, "actors"),
    ("risk", "flatten", "--help"),
)
SCRIPT = """
import json, sys
import perpdesk

for words in json.loads(sys.argv[1]):
    sys.argv = ["perpdesk", *words]
    try:
        perpdesk.main()
    except SystemExit:
        pass
    print("loaded by", *words, sorted(name for name in {heavy} if name in sys.modules))
# The kill switch of a running node.
import live_nodes.operate.flatten_request
print("loaded by the request", sorted(name for name in {heavy} if name in sys.modules))
"""


def test_nothing_is_imported_before_ctrl_c_is_answered_in_words():
    """An interrupt meets `main`, not a traceback, as soon as Python itself has started."""
    code = "import os, sys; had = {*sys.modules}; import perpdesk; print({*sys.modules} - had)"
    command = [sys.executable, "-S", "-c", code]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=True)
    assert sorted(ast.literal_eval(done.stdout)) == ["__future__", "perpdesk"]


def test_no_command_loads_an_engine_that_it_does_not_need(tmp_path):
    """One process runs them all, one after the other: none of them may load any."""
    commands = [*COMMANDS, ("status", GUARDED, "--set", f"state={tmp_path}")]
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT.format(heavy=HEAVY), json.dumps(commands)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    loaded = [line for line in done.stdout.splitlines() if line.startswith("loaded by")]
    assert len(loaded) == len(commands) + 1
    assert all(line.endswith(" []") for line in loaded), loaded
