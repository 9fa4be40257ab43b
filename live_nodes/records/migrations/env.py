"""Run the migrations on the connection that `live_nodes.records.mirror.migrate` opened."""

from alembic import context
from sqlalchemy import text

from live_nodes.records.mirror import SCHEMA

connection = context.config.attributes["connection"]
# Several nodes' mirrors may start at once.
connection.execute(text("SELECT pg_advisory_xact_lock(hashtext('perpdesk migrations'))"))
connection.execute(text(f"CREATE SCHEMA IF NOT EXISTS {SCHEMA}"))
context.configure(connection=connection, version_table_schema=SCHEMA)
context.run_migrations()
