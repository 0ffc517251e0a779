"""resumable uploads: how far a session is, who holds its lock, and its parts"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

def columns() -> list[sa.Column[object]]:
    return [
        sa.Column("offset_bytes", sa.BigInteger(), nullable=False, server_default="0"),
        sa.Column("length_bytes", sa.BigInteger(), nullable=True),
        sa.Column("part_size_bytes", sa.BigInteger(), nullable=True),
        sa.Column("tail_key", sa.String(length=200), nullable=True),
        sa.Column("content_type", sa.String(length=127), nullable=True),
        sa.Column("announced", sa.JSON().with_variant(postgresql.JSONB(), "postgresql"), nullable=True),
        sa.Column("metadata_header", sa.String(length=32768), nullable=True),
        sa.Column("concat_header", sa.String(length=32768), nullable=True),
        sa.Column("file_id", sa.Uuid(), nullable=True),
        sa.Column("is_sealed", sa.Boolean(), nullable=False, server_default=sa.false()),
        sa.Column("is_finished", sa.Boolean(), nullable=False, server_default=sa.false()),
        sa.Column("fence", sa.BigInteger(), nullable=False, server_default="0"),
        sa.Column("holder", sa.Uuid(), nullable=True),
        sa.Column("lock_until_ms", sa.BigInteger(), nullable=True),
        sa.Column("stop_requested", sa.Boolean(), nullable=False, server_default=sa.false()),
        sa.Column("is_torn", sa.Boolean(), nullable=False, server_default=sa.false()),
    ]


def upgrade() -> None:
    for column in columns():
        op.add_column("upload_sessions", column)
    op.create_index("ix_upload_sessions_file_id", "upload_sessions", ["file_id"])
    op.create_index("ix_upload_sessions_holder", "upload_sessions", ["holder"])
    op.create_table(
        "upload_parts",
        sa.Column("session_id", sa.Uuid(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.Column("etag", sa.String(length=255), nullable=False),
        sa.ForeignKeyConstraint(
            ["session_id"],
            ["upload_sessions.id"],
            name=op.f("fk_upload_parts_session_id_upload_sessions"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("session_id", "number", name=op.f("pk_upload_parts")),
    )


def downgrade() -> None:
    op.drop_table("upload_parts")
    op.drop_index("ix_upload_sessions_holder", "upload_sessions")
    op.drop_index("ix_upload_sessions_file_id", "upload_sessions")
    for column in reversed(columns()):
        op.drop_column("upload_sessions", column.name)
