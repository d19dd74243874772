"""Alembic's environment: the URL comes from the caller, else from the settings."""

from alembic import context

from course.db import MIGRATION_LIMITS, Database
from course.models import Base
from course.settings import Settings


def run() -> None:
    url = context.config.attributes.get("url") or Settings.load().database
    database = Database(url)
    try:
        _migrate(database)
    finally:
        database.dispose()


def _migrate(database: Database) -> None:
    writer = database.writer.execution_options(minicourse_limits=MIGRATION_LIMITS)
    with writer.connect() as connection:
        context.configure(
            connection=connection,
            target_metadata=Base.metadata,
            compare_type=True,
            render_as_batch=database.is_sqlite,
            transaction_per_migration=True,
        )
        with context.begin_transaction():
            context.run_migrations()
        connection.commit()


run()
