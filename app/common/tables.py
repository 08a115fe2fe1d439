"""The tables, as every service uses them. The migrations make them; a test keeps the two the same."""

from sqlalchemy import (
    CheckConstraint,
    Column,
    DateTime,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
    func,
    text,
)

QUEUED, DONE, FAILED = "queued", "done", "failed"
USER, OPERATOR = "user", "operator"
CATEGORISE, EXTRACT, AGGREGATE = "categorise", "extract", "aggregate"

metadata = MetaData()


def _now(name: str) -> Column[object]:
    return Column(name, DateTime(timezone=True), nullable=False, server_default=func.now())


users = Table(
    "users",
    metadata,
    Column("id", Uuid, primary_key=True),
    # In lower case, so that one address is one account.
    Column("email", String(254), nullable=False, unique=True),
    Column("password_hash", Text, nullable=False),
    Column("role", String(16), nullable=False, server_default=USER),
    _now("created_at"),
    CheckConstraint("role IN ('user', 'operator')", name="users_role_check"),
)

sessions = Table(
    "sessions",
    metadata,
    # Of the token, which is kept nowhere: whoever reads this table can sign in as nobody.
    Column("token_sha256", LargeBinary(32), primary_key=True),
    Column("user_id", Uuid, ForeignKey("users.id", ondelete="CASCADE"), nullable=False, index=True),
    _now("created_at"),
    Column("expires_at", DateTime(timezone=True), nullable=False),
    Column("revoked_at", DateTime(timezone=True)),
)

lab_panels = Table(
    "lab_panels",
    metadata,
    Column("id", Uuid, primary_key=True),
    # Null for a panel from before there were accounts: an operator's to see.
    Column("owner_id", Uuid, ForeignKey("users.id", ondelete="CASCADE")),
    Column("patient_reference", String(128), nullable=False),
    Column("status", String(16), nullable=False, server_default=QUEUED),
    # Why the worker gave up, for status `failed`.
    Column("reason", Text),
    _now("created_at"),
    Column("finished_at", DateTime(timezone=True)),
    CheckConstraint("status IN ('queued', 'done', 'failed')", name="lab_panels_status_check"),
    # A page of an owner's panels, the newest first.
    Index("lab_panels_of_owner", "owner_id", text("created_at DESC"), text("id DESC")),
)

lab_tests = Table(
    "lab_tests",
    metadata,
    Column("panel_id", Uuid, ForeignKey("lab_panels.id", ondelete="CASCADE"), primary_key=True),
    Column("position", Integer, primary_key=True, autoincrement=False),
    Column("name", String(200), nullable=False),
    Column("value", Float(53), nullable=False),
    Column("unit", String(32), nullable=False),
    Column("reference_low", Float(53)),
    Column("reference_high", Float(53)),
    Column("category", String(64)),
    Column("confidence", Float(53)),
)

reports = Table(
    "reports",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("owner_id", Uuid, ForeignKey("users.id", ondelete="CASCADE"), nullable=False),
    Column("patient_reference", String(128), nullable=False),
    Column("body", Text, nullable=False),
    Column("status", String(16), nullable=False, server_default=QUEUED),
    Column("reason", Text),
    _now("created_at"),
    Column("finished_at", DateTime(timezone=True)),
    CheckConstraint("status IN ('queued', 'done', 'failed')", name="reports_status_check"),
    Index("reports_of_owner", "owner_id", text("created_at DESC"), text("id DESC")),
)

report_entities = Table(
    "report_entities",
    metadata,
    Column("report_id", Uuid, ForeignKey("reports.id", ondelete="CASCADE"), primary_key=True),
    Column("position", Integer, primary_key=True, autoincrement=False),
    # Characters of the report's body: body[starts_at:ends_at] is what was found.
    Column("starts_at", Integer, nullable=False),
    Column("ends_at", Integer, nullable=False),
    Column("found", Text, nullable=False),
    Column("category", String(64), nullable=False),
    Column("confidence", Float(53), nullable=False),
    # The measurement that follows the name, where one does.
    Column("value", Float(53)),
    Column("unit", String(32)),
)

jobs = Table(
    "jobs",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("kind", String(16), nullable=False),
    # Null for a job about a panel from before there were accounts.
    Column("owner_id", Uuid, ForeignKey("users.id", ondelete="CASCADE")),
    Column("panel_id", Uuid, ForeignKey("lab_panels.id", ondelete="CASCADE")),
    Column("report_id", Uuid, ForeignKey("reports.id", ondelete="CASCADE")),
    Column("status", String(16), nullable=False, server_default=QUEUED),
    Column("reason", Text),
    Column("deliveries", Integer, nullable=False, server_default="0"),
    _now("created_at"),
    # The outbox: null until the job is in the queue, so a job outlives a queue that is away.
    Column("sent_at", DateTime(timezone=True)),
    Column("sends", Integer, nullable=False, server_default="0"),
    Column("finished_at", DateTime(timezone=True)),
    CheckConstraint("kind IN ('categorise', 'extract', 'aggregate')", name="jobs_kind_check"),
    CheckConstraint("status IN ('queued', 'done', 'failed')", name="jobs_status_check"),
    Index("jobs_unsent", "created_at", postgresql_where=text("sent_at IS NULL")),
    Index("jobs_of_owner", "owner_id", text("created_at DESC"), text("id DESC")),
    Index("jobs_by_status", "status"),
)

idempotency_keys = Table(
    "idempotency_keys",
    metadata,
    Column("owner_id", Uuid, ForeignKey("users.id", ondelete="CASCADE"), primary_key=True),
    Column("key", String(128), primary_key=True),
    # Of the route and the body: the same key with another request is refused.
    Column("request_sha256", LargeBinary(32), nullable=False),
    # What the first request made; its answer is given again.
    Column("made_id", Uuid, nullable=False),
    _now("created_at"),
)

trends = Table(
    "trends",
    metadata,
    Column("owner_id", Uuid, ForeignKey("users.id", ondelete="CASCADE"), nullable=False),
    # As the worker normalises it, so that "HbA1c" and "hba1c" are one line.
    Column("test_name", String(200), nullable=False),
    Column("unit", String(32), nullable=False),
    # The first day of the month, at midnight UTC.
    Column("period", DateTime(timezone=True), nullable=False),
    Column("category", String(64)),
    Column("count", Integer, nullable=False),
    Column("mean", Float(53), nullable=False),
    Column("minimum", Float(53), nullable=False),
    Column("maximum", Float(53), nullable=False),
    Column("latest", Float(53), nullable=False),
    _now("updated_at"),
    UniqueConstraint("owner_id", "test_name", "unit", "period", name="trends_key"),
)

workers = Table(
    "workers",
    metadata,
    Column("id", String(128), primary_key=True),
    Column("model", String(128), nullable=False),
    Column("jobs_done", Integer, nullable=False, server_default="0"),
    _now("started_at"),
    _now("seen_at"),
)

chats = Table(
    "chats",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("owner_id", Uuid, ForeignKey("users.id", ondelete="CASCADE"), nullable=False),
    _now("created_at"),
    Index("chats_of_owner", "owner_id", text("created_at DESC"), text("id DESC")),
)

chat_messages = Table(
    "chat_messages",
    metadata,
    Column("chat_id", Uuid, ForeignKey("chats.id", ondelete="CASCADE"), primary_key=True),
    Column("position", Integer, primary_key=True, autoincrement=False),
    # As the model's interface names them: user, assistant, tool.
    Column("role", String(16), nullable=False),
    # The message as the model's interface has it, in JSON.
    Column("content", Text, nullable=False),
    _now("created_at"),
)
