"""Progress of long work where stderr is no terminal: lines, with the time that is left."""

from types import SimpleNamespace

from config.progress import LongWork, remaining
from tests.waiting import eventually


def test_the_remaining_time_is_known_from_the_first_progress_on():
    # A quarter took 30 s: three quarters take 90.
    assert remaining(SimpleNamespace(total=4.0, completed=1.0, elapsed=30.0)) == "1 min 30 s left"
    assert remaining(SimpleNamespace(total=4.0, completed=0.0, elapsed=30.0)) == ""


def test_a_pipe_gets_a_line_now_and_then(capsys):
    seen = ""

    def line() -> bool:
        nonlocal seen
        seen += capsys.readouterr().err
        return "backtest, 25%, 0 min" in seen

    with LongWork(first_s=0.01, each_s=0.01) as work:
        work.add_task("backtest", total=4.0, completed=1.0)
        eventually(line)
    assert "\x1b" not in seen
