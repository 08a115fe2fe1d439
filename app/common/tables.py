"""The tables, as the API and the worker use them. The migrations make them; a test keeps the two the same."""

from sqlalchemy import (
    CheckConstraint,
    Column,
    DateTime,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    Uuid,
    func,
    text,
)

QUEUED, DONE, FAILED = "queued", "done", "failed"

metadata = MetaData()

lab_panels = Table(
    "lab_panels",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("patient_reference", String(128), nullable=False),
    Column("status", String(16), nullable=False, server_default=QUEUED),
    # Why the worker gave up, for status `failed`.
    Column("reason", Text),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    # The outbox: null until the job is in the queue, so a panel outlives a queue that is away.
    Column("sent_at", DateTime(timezone=True)),
    Column("finished_at", DateTime(timezone=True)),
    CheckConstraint("status IN ('queued', 'done', 'failed')", name="lab_panels_status_check"),
    Index("lab_panels_unsent", "created_at", postgresql_where=text("sent_at IS NULL")),
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
