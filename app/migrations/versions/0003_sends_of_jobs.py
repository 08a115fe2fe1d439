"""How often a job was sent: one that never comes to anything is given up."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Jobs that were sent before count as sent never: they have all their tries yet."""
    op.add_column("jobs", sa.Column("sends", sa.Integer, nullable=False, server_default="0"))


def downgrade() -> None:
    """Back to jobs that are sent again for ever."""
    op.drop_column("jobs", "sends")
