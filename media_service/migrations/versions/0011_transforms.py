"""results of images on the fly; lanes of workers; queued jobs by owner, so that a lane can be fair"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0011"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "transforms",
        sa.Column("file_id", sa.Uuid(), nullable=False),
        sa.Column("digest", sa.String(length=16), nullable=False),
        sa.Column("options", sa.String(length=255), nullable=False),
        sa.Column("busy_until_ms", sa.BigInteger(), nullable=False),
        sa.Column("token", sa.Uuid(), nullable=True),
        sa.Column("error_kind", sa.String(length=32), nullable=True),
        sa.Column("error_code", sa.String(length=64), nullable=True),
        sa.Column("error_detail", sa.String(length=500), nullable=True),
        sa.Column("content_type", sa.String(length=127), nullable=True),
        sa.Column("width_px", sa.Integer(), nullable=True),
        sa.Column("height_px", sa.Integer(), nullable=True),
        sa.Column("size_bytes", sa.BigInteger(), nullable=True),
        sa.Column("sha256", sa.String(length=64), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("made_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["file_id"], ["files.id"], name=op.f("fk_transforms_file_id_files"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("file_id", "digest", name=op.f("pk_transforms")),
    )
    op.add_column(
        "worker_processes",
        sa.Column(
            "lanes",
            sa.JSON().with_variant(postgresql.JSONB(), "postgresql"),
            nullable=False,
            server_default="[]",
        ),
    )
    op.create_index(
        "ix_jobs_queued_by_owner",
        "jobs",
        ["lane", "owner_id", "run_after_ms", "id"],
        sqlite_where=sa.text("status = 'queued'"),
        postgresql_where=sa.text("status = 'queued'"),
    )


def downgrade() -> None:
    op.drop_index("ix_jobs_queued_by_owner", "jobs")
    op.drop_column("worker_processes", "lanes")
    op.drop_table("transforms")
