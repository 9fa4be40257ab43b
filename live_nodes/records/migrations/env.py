"""Run the migrations on the connection that `live_nodes.records.mirror.migrate` opened."""

from alembic import context
from sqlalchemy import text

from live_nodes.records.mirror import SCHEMA

connection = context.config.attributes["connection"]
# Several nodes' mirrors may start at once.
connection.execute(text("SELECT pg_advisory_xact_lock(hashtext('perpdesk migrations'))"))
if connection.scalar(text(f"SELECT to_regnamespace('{SCHEMA}')")) is None:
    # Only once: it needs a right on the database that a node should not keep.
    connection.execute(text(f"CREATE SCHEMA {SCHEMA}"))
context.configure(connection=connection, version_table_schema=SCHEMA)
context.run_migrations()
