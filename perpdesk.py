"""The one command: it mounts each package's commands and turns errors into words and exit codes.

A module of commands imports only typer at its top, and what a command needs inside the command: a
kill switch must not wait for the engine, nor `validate` for numba.
"""

from __future__ import annotations

import os
import sys

# Before `main` there is nobody to answer Ctrl-C: no pathlib, no typing.
TYPE_CHECKING = False
if TYPE_CHECKING:
    import typer

VERSION = "0.1.0"
INTERRUPTED = 130
"""What shells expect of a command that Ctrl-C ended."""


def find_packages() -> None:
    """Put perpdesk's packages first on the path, and the project's folder before site-packages.

    The wheel keeps them in a folder of their own (see setup.py); processes that this one starts
    find them by PYTHONPATH.
    """
    home, project = os.path.dirname(os.path.realpath(__file__)), os.getcwd()
    packed = os.path.join(home, "perpdesk_packages")
    is_packed = os.path.isdir(packed)
    rooms = packed if is_packed else home
    if is_packed or rooms not in sys.path:
        sys.path[:] = [rooms, *(place for place in sys.path if place != rooms)]
    if project not in sys.path:
        sites = (n for n, place in enumerate(sys.path) if place.endswith("-packages"))
        sys.path.insert(next(sites, len(sys.path)), project)
    if is_packed:
        inherited = os.environ.get("PYTHONPATH", "").split(os.pathsep)
        others = [place for place in inherited if place and place != rooms]
        os.environ["PYTHONPATH"] = os.pathsep.join([rooms, *others])


find_packages()


def build_app() -> typer.Typer:
    """Return the command line with every package's commands."""
    import typer

    import backtests.commands
    import catalog.commands
    import config.commands
    import live_nodes.commands

    app = typer.Typer(
        name="perpdesk",
        help="A declarative trading desk for Bybit: one YAML, backtested and live.\n\n"
        "Example: perpdesk backtest backtests/runs/xs_reversal_demo.yaml",
        no_args_is_help=True,
        pretty_exceptions_enable=False,
    )
    for package in (config, catalog, backtests, live_nodes):
        package.commands.register(app)

    def show_version(wanted: bool) -> None:
        if wanted:
            print(f"perpdesk {VERSION}")
            raise typer.Exit

    def before_commands(
        version: bool = typer.Option(
            False, "--version", callback=show_version, is_eager=True, help="Show the version."
        ),
    ) -> None:
        if "--help" not in sys.argv:
            # Help reads no document, and is to answer at once.
            _register_checks()

    app.callback()(before_commands)
    return app


def _register_checks() -> None:
    """Let `validate` know, before any command runs, what packages know of their documents."""
    import backtests.checks
    import catalog.checks

    backtests.checks.register()
    catalog.checks.register()


def main() -> None:
    """Run the command line; exit 0 ok, 1 the work failed, 2 wrong input, 3 a gate refused."""
    # Imports stand inside, so that Ctrl-C is answered in words from the first second on.
    try:
        from config.errors import DeskError

        try:
            build_app()()
        except DeskError as error:
            print(error, file=sys.stderr)
            sys.exit(error.exit_code)
    except KeyboardInterrupt:
        _interrupted()
    except SystemExit as ended:
        # Typer answers Ctrl-C itself, and says nothing.
        if ended.code == INTERRUPTED:
            _interrupted()
        raise


def _interrupted() -> None:
    print("Stopped by you; nothing half-written was left.", file=sys.stderr)
    sys.exit(INTERRUPTED)


if __name__ == "__main__":
    main()
