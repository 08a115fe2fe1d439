"""Lab panels and their tests."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Make the two tables."""
    op.create_table(
        "lab_panels",
        sa.Column("id", sa.Uuid, primary_key=True),
        sa.Column("patient_reference", sa.String(128), nullable=False),
        sa.Column("status", sa.String(16), nullable=False, server_default="queued"),
        sa.Column("reason", sa.Text),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now()),
        sa.Column("sent_at", sa.DateTime(timezone=True)),
        sa.Column("finished_at", sa.DateTime(timezone=True)),
        sa.CheckConstraint("status IN ('queued', 'done', 'failed')", name="lab_panels_status_check"),
    )
    op.create_index("lab_panels_unsent", "lab_panels", ["created_at"], postgresql_where=sa.text("sent_at IS NULL"))
    op.create_table(
        "lab_tests",
        sa.Column("panel_id", sa.Uuid, sa.ForeignKey("lab_panels.id", ondelete="CASCADE"), primary_key=True),
        sa.Column("position", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("value", sa.Float(53), nullable=False),
        sa.Column("unit", sa.String(32), nullable=False),
        sa.Column("reference_low", sa.Float(53)),
        sa.Column("reference_high", sa.Float(53)),
        sa.Column("category", sa.String(64)),
        sa.Column("confidence", sa.Float(53)),
    )


def downgrade() -> None:
    """Drop the two tables and all that they hold."""
    op.drop_table("lab_tests")
    op.drop_table("lab_panels")
