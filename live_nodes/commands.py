"""The commands of live trading, each family in its own module."""

from __future__ import annotations

import typer


def register(app: typer.Typer) -> None:
    """Add the commands of this package."""
    from live_nodes.dashboard import commands as dashboard_commands
    from live_nodes.deploy import commands as deploy_commands
    from live_nodes.drill import commands as drill_commands
    from live_nodes.install import commands as install_commands
    from live_nodes.operate import commands as node_commands
    from live_nodes.operate import keys_commands
    from live_nodes.operate.export import export
    from live_nodes.practice import commands as exchange_commands
    from live_nodes.records import commands as records_commands
    from live_nodes.reports.commands import report

    node_commands.register(app)
    deploy_commands.register(app)
    keys_commands.register(app)
    records_commands.register(app)
    install_commands.register(app)
    app.command("export")(export)
    app.command("report")(report)
    drill_commands.register()
    exchange_commands.register(app)
    dashboard_commands.register(app)
