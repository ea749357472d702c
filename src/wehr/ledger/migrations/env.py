"""Alembic's entry point: runs on the connection that it is handed, inside its transaction."""

from alembic import context

from wehr.ledger.schema import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    transactional_ddl=False,  # the caller's transaction holds all steps together
)
context.run_migrations()
