"""an index of events by owner: users are deleted with their events"""

from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index("ix_events_owner_id_id", "events", ["owner_id", "id"])


def downgrade() -> None:
    op.drop_index("ix_events_owner_id_id", "events")
