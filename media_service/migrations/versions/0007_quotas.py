"""quotas: what each owner stores, what uploads reserve, and tokens for uploads"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for table, name, kind in (
        ("users", "stored_bytes", sa.BigInteger()),
        ("users", "stored_files", sa.BigInteger()),
        ("users", "files_revision", sa.BigInteger()),
        ("upload_sessions", "reserved_bytes", sa.BigInteger()),
        ("upload_sessions", "reserved_files", sa.Integer()),
    ):
        op.add_column(table, sa.Column(name, kind, nullable=False, server_default="0"))
    op.execute(
        "UPDATE users SET"
        " stored_bytes = coalesce((SELECT sum(size_bytes) FROM files WHERE files.owner_id = users.id), 0),"
        " stored_files = (SELECT count(*) FROM files WHERE files.owner_id = users.id)"
    )
    op.add_column("upload_sessions", sa.Column("upload_token_id", sa.Uuid(), nullable=True))
    op.create_index("ix_upload_sessions_owner_id", "upload_sessions", ["owner_id"])

    op.create_table(
        "upload_tokens",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("owner_id", sa.Uuid(), nullable=False),
        sa.Column("token_sha256", sa.String(length=64), nullable=False),
        sa.Column("max_size_bytes", sa.BigInteger(), nullable=True),
        sa.Column(
            "content_types", sa.JSON().with_variant(postgresql.JSONB(), "postgresql"), nullable=False
        ),
        sa.Column("max_files", sa.Integer(), nullable=False),
        sa.Column("used_files", sa.Integer(), nullable=False),
        sa.Column("visibility", sa.String(length=16), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("revoked_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["owner_id"], ["users.id"], name=op.f("fk_upload_tokens_owner_id_users"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_upload_tokens")),
        sa.UniqueConstraint("token_sha256", name=op.f("uq_upload_tokens_token_sha256")),
    )
    op.create_index("ix_upload_tokens_owner_id", "upload_tokens", ["owner_id"])


def downgrade() -> None:
    op.drop_table("upload_tokens")
    op.drop_index("ix_upload_sessions_owner_id", "upload_sessions")
    for name in ("upload_token_id", "reserved_files", "reserved_bytes"):
        op.drop_column("upload_sessions", name)
    for name in ("files_revision", "stored_files", "stored_bytes"):
        op.drop_column("users", name)
