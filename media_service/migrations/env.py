"""Alembic's environment: a composition root of its own."""

from typing import Literal

from alembic import context
from sqlalchemy import JSON, Connection, Enum, create_engine, pool, text

from media_service.dialects import WRITE_OPTION, configure_engine, sync_url
from media_service.models import UtcDateTime
from media_service.tables import Base

MIGRATION_LOCK = 0x6D656469
"""Any constant will do: replicas that start together migrate one after the other."""


def render_item(kind: str, item: object, _: object) -> str | Literal[False]:
    """Spell our own column types as plain ones: a migration must not import the models it moves away from."""
    if kind != "type":
        return False
    if isinstance(item, UtcDateTime):
        return "sa.DateTime(timezone=True)"
    if isinstance(item, Enum):
        return f"sa.String({item.length})"
    if isinstance(item, JSON):
        return 'sa.JSON().with_variant(postgresql.JSONB(), "postgresql")'
    return False


def migrate(connection: Connection) -> None:
    context.configure(
        connection=connection,
        target_metadata=Base.metadata,
        render_as_batch=True,
        compare_type=True,
        render_item=render_item,
    )
    with context.begin_transaction():
        if connection.dialect.name == "postgresql":
            connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": MIGRATION_LOCK})
        context.run_migrations()


url = sync_url(context.config.get_main_option("sqlalchemy.url") or "")
engine = create_engine(url, poolclass=pool.NullPool)
configure_engine(engine)
with engine.execution_options(**{WRITE_OPTION: True}).connect() as open_connection:
    migrate(open_connection)
engine.dispose()
