"""The one command: it mounts each package's commands and turns errors into words and exit codes."""

from __future__ import annotations

import sys

import config.commands
import typer

import backtests.commands
import catalog.commands
from config.errors import DeskError

app = typer.Typer(
    name="perpdesk",
    help="A declarative trading desk for Bybit: one YAML, backtested and live.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
for package in (config, catalog, backtests):
    package.commands.register(app)


def main() -> None:
    """Run the command line; exit 0 ok, 1 the work failed, 2 wrong input, 3 a gate refused."""
    try:
        app()
    except DeskError as error:
        print(error, file=sys.stderr)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        print("Stopped by you; nothing half-written was left.", file=sys.stderr)
        sys.exit(130)


if __name__ == "__main__":
    main()
