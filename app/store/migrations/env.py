"""Alembic runs this for every command, on the connection and in the transaction that it was given."""

from alembic import context

from app.store.tables import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata)
context.run_migrations()
