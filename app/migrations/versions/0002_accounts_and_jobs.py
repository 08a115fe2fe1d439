"""Accounts and sessions; owners; jobs in a table of their own; reports, trends, workers, chats."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def _now(name: str) -> sa.Column[object]:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now())


def _owner(*, nullable: bool = False, primary_key: bool = False) -> sa.Column[object]:
    user = sa.ForeignKey("users.id", ondelete="CASCADE")
    return sa.Column("owner_id", sa.Uuid, user, nullable=nullable, primary_key=primary_key)


def _newest_first(table: str) -> None:
    op.create_index(f"{table}_of_owner", table, ["owner_id", sa.text("created_at DESC"), sa.text("id DESC")])


def upgrade() -> None:
    """Make what is new, give each panel its job, then drop the panels' own outbox."""
    op.create_table(
        "users",
        sa.Column("id", sa.Uuid, primary_key=True),
        sa.Column("email", sa.String(254), nullable=False, unique=True),
        sa.Column("password_hash", sa.Text, nullable=False),
        sa.Column("role", sa.String(16), nullable=False, server_default="user"),
        _now("created_at"),
        sa.CheckConstraint("role IN ('user', 'operator')", name="users_role_check"),
    )
    op.create_table(
        "sessions",
        sa.Column("token_sha256", sa.LargeBinary(32), primary_key=True),
        sa.Column("user_id", sa.Uuid, sa.ForeignKey("users.id", ondelete="CASCADE"), nullable=False, index=True),
        _now("created_at"),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("revoked_at", sa.DateTime(timezone=True)),
    )
    # A panel from before there were accounts has no owner: an operator's to see.
    op.add_column("lab_panels", _owner(nullable=True))
    _newest_first("lab_panels")
    op.create_table(
        "reports",
        sa.Column("id", sa.Uuid, primary_key=True),
        _owner(),
        sa.Column("patient_reference", sa.String(128), nullable=False),
        sa.Column("body", sa.Text, nullable=False),
        sa.Column("status", sa.String(16), nullable=False, server_default="queued"),
        sa.Column("reason", sa.Text),
        _now("created_at"),
        sa.Column("finished_at", sa.DateTime(timezone=True)),
        sa.CheckConstraint("status IN ('queued', 'done', 'failed')", name="reports_status_check"),
    )
    _newest_first("reports")
    op.create_table(
        "report_entities",
        sa.Column("report_id", sa.Uuid, sa.ForeignKey("reports.id", ondelete="CASCADE"), primary_key=True),
        sa.Column("position", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("starts_at", sa.Integer, nullable=False),
        sa.Column("ends_at", sa.Integer, nullable=False),
        sa.Column("found", sa.Text, nullable=False),
        sa.Column("category", sa.String(64), nullable=False),
        sa.Column("confidence", sa.Float(53), nullable=False),
        sa.Column("value", sa.Float(53)),
        sa.Column("unit", sa.String(32)),
    )
    op.create_table(
        "jobs",
        sa.Column("id", sa.Uuid, primary_key=True),
        sa.Column("kind", sa.String(16), nullable=False),
        _owner(nullable=True),
        sa.Column("panel_id", sa.Uuid, sa.ForeignKey("lab_panels.id", ondelete="CASCADE")),
        sa.Column("report_id", sa.Uuid, sa.ForeignKey("reports.id", ondelete="CASCADE")),
        sa.Column("status", sa.String(16), nullable=False, server_default="queued"),
        sa.Column("reason", sa.Text),
        sa.Column("deliveries", sa.Integer, nullable=False, server_default="0"),
        _now("created_at"),
        sa.Column("sent_at", sa.DateTime(timezone=True)),
        sa.Column("finished_at", sa.DateTime(timezone=True)),
        sa.CheckConstraint("kind IN ('categorise', 'extract', 'aggregate')", name="jobs_kind_check"),
        sa.CheckConstraint("status IN ('queued', 'done', 'failed')", name="jobs_status_check"),
    )
    op.create_index("jobs_unsent", "jobs", ["created_at"], postgresql_where=sa.text("sent_at IS NULL"))
    _newest_first("jobs")
    op.create_index("jobs_by_status", "jobs", ["status"])
    # What is still queued is sent anew: its message was of version 1, which no worker knows any more.
    op.execute(
        """
        INSERT INTO jobs (id, kind, panel_id, status, reason, created_at, sent_at, finished_at)
        SELECT gen_random_uuid(), 'categorise', id, status, reason, created_at,
               CASE WHEN status = 'queued' THEN NULL ELSE coalesce(sent_at, created_at) END, finished_at
        FROM lab_panels
        """
    )
    op.drop_index("lab_panels_unsent", "lab_panels")
    op.drop_column("lab_panels", "sent_at")
    op.create_table(
        "idempotency_keys",
        _owner(primary_key=True),
        sa.Column("key", sa.String(128), primary_key=True),
        sa.Column("request_sha256", sa.LargeBinary(32), nullable=False),
        sa.Column("made_id", sa.Uuid, nullable=False),
        _now("created_at"),
    )
    op.create_table(
        "trends",
        _owner(),
        sa.Column("test_name", sa.String(200), nullable=False),
        sa.Column("unit", sa.String(32), nullable=False),
        sa.Column("period", sa.DateTime(timezone=True), nullable=False),
        sa.Column("category", sa.String(64)),
        sa.Column("count", sa.Integer, nullable=False),
        sa.Column("mean", sa.Float(53), nullable=False),
        sa.Column("minimum", sa.Float(53), nullable=False),
        sa.Column("maximum", sa.Float(53), nullable=False),
        sa.Column("latest", sa.Float(53), nullable=False),
        _now("updated_at"),
        sa.UniqueConstraint("owner_id", "test_name", "unit", "period", name="trends_key"),
    )
    op.create_table(
        "workers",
        sa.Column("id", sa.String(128), primary_key=True),
        sa.Column("model", sa.String(128), nullable=False),
        sa.Column("jobs_done", sa.Integer, nullable=False, server_default="0"),
        _now("started_at"),
        _now("seen_at"),
    )
    op.create_table(
        "chats",
        sa.Column("id", sa.Uuid, primary_key=True),
        _owner(),
        _now("created_at"),
    )
    _newest_first("chats")
    op.create_table(
        "chat_messages",
        sa.Column("chat_id", sa.Uuid, sa.ForeignKey("chats.id", ondelete="CASCADE"), primary_key=True),
        sa.Column("position", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("role", sa.String(16), nullable=False),
        sa.Column("content", sa.Text, nullable=False),
        _now("created_at"),
    )


def downgrade() -> None:
    """Back to panels with an outbox of their own; all that is not a panel is dropped with what it holds."""
    op.add_column("lab_panels", sa.Column("sent_at", sa.DateTime(timezone=True)))
    op.execute(
        "UPDATE lab_panels SET sent_at = jobs.sent_at FROM jobs "
        "WHERE jobs.panel_id = lab_panels.id AND lab_panels.status <> 'queued'"
    )
    op.create_index("lab_panels_unsent", "lab_panels", ["created_at"], postgresql_where=sa.text("sent_at IS NULL"))
    for table in (
        "chat_messages",
        "chats",
        "workers",
        "trends",
        "idempotency_keys",
        "jobs",
        "report_entities",
        "reports",
    ):
        op.drop_table(table)
    op.drop_index("lab_panels_of_owner", "lab_panels")
    op.drop_column("lab_panels", "owner_id")
    op.drop_table("sessions")
    op.drop_table("users")
