"""A release and the two before it share a database: migrations only add, and hold no lock for long.

squawk reads the SQL of each step. To drop what no release of the last three uses, list the step in MAY_DROP.
"""

import io
import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType

import pytest
import sqlalchemy as sa
from alembic import op
from alembic.config import Config
from alembic.operations import Operations
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory

from app.migrate.service import MIGRATIONS
from app.migrations.concurrently import create_index

BEFORE_THE_RULES = ("0001", "0002", "0003")
"""Steps that ran before there were rules for them."""
MAY_DROP: dict[str, str] = {}
"""Steps that drop something: the last release that used it, at least three releases ago."""
DROPS = ("ban-drop-column", "ban-drop-table")
TASTE = (
    *("ban-char-field", "prefer-bigint-over-int", "prefer-bigint-over-smallint", "prefer-identity"),
    *("prefer-robust-stmts", "prefer-text-field", "prefer-timestamp-tz", "prefer-repack"),
    # The migration sets them for every step.
    *("require-timeout-settings", "transaction-nesting"),
)
"""Rules about style, which make no release unsafe."""
POSTGRES = "15"


def scripts() -> list[tuple[str, ModuleType]]:
    """Return the steps that the rules are for, by revision."""
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    found = ScriptDirectory.from_config(config).walk_revisions()
    return [(script.revision, script.module) for script in found if script.revision not in BEFORE_THE_RULES]


def sql(upgrade: Callable[[], None]) -> str:
    """Return the SQL of a step."""
    buffer = io.StringIO()
    context = MigrationContext.configure(
        dialect_name="postgresql", opts={"as_sql": True, "output_buffer": buffer, "transaction_per_migration": True}
    )
    with Operations.context(context), context.begin_transaction(_per_migration=True):
        upgrade()
    return buffer.getvalue()


def broken_rules(upgrade: Callable[[], None], allowed: Sequence[str] = ()) -> set[str]:
    """Return the rules of squawk that a step breaks."""
    program = Path(sys.executable).with_name("squawk")
    command = [program, "--reporter=json", f"--pg-version={POSTGRES}", f"--exclude={','.join((*TASTE, *allowed))}"]
    done = subprocess.run(command, input=sql(upgrade), capture_output=True, text=True, check=False)
    assert done.stdout.startswith("["), done.stderr
    return {found["rule_name"] for found in json.loads(done.stdout)}


def test_no_step_is_unsafe() -> None:
    unsafe = {
        revision: broken
        for revision, module in scripts()
        if (broken := broken_rules(module.upgrade, DROPS if revision in MAY_DROP else ()))
    }
    assert unsafe == {}


@pytest.mark.parametrize(
    ("rule", "upgrade"),
    [
        ("require-concurrent-index-creation", lambda: op.create_index("an_index", "jobs", ["kind"])),
        ("require-concurrent-index-deletion", lambda: op.drop_index("jobs_by_status", "jobs")),
        ("changing-column-type", lambda: op.alter_column("jobs", "kind", type_=sa.Text())),
        ("renaming-column", lambda: op.alter_column("jobs", "kind", new_column_name="sort")),
        ("renaming-table", lambda: op.rename_table("jobs", "tasks")),
        ("ban-drop-column", lambda: op.drop_column("jobs", "kind")),
        ("ban-drop-table", lambda: op.drop_table("jobs")),
        ("adding-not-nullable-field", lambda: op.alter_column("jobs", "reason", nullable=False)),
        ("adding-required-field", lambda: op.add_column("jobs", sa.Column("more", sa.Text, nullable=False))),
        ("constraint-missing-not-valid", lambda: op.create_check_constraint("sound", "jobs", "sends >= 0")),
        (
            "adding-foreign-key-constraint",
            lambda: op.create_foreign_key("of_user", "jobs", "users", ["owner_id"], ["id"]),
        ),
        ("disallowed-unique-constraint", lambda: op.create_unique_constraint("one", "jobs", ["panel_id"])),
    ],
    ids=lambda given: given if isinstance(given, str) else "",
)
def test_an_unsafe_step_is_refused(rule: str, upgrade: Callable[[], None]) -> None:
    assert rule in broken_rules(upgrade)


def a_new_table() -> None:
    """Make a table with all that a table may have."""
    op.create_table(
        "news",
        sa.Column("id", sa.Uuid, primary_key=True),
        sa.Column("job_id", sa.Uuid, sa.ForeignKey("jobs.id", ondelete="CASCADE"), nullable=False),
        sa.Column("text", sa.String(100), nullable=False),
        sa.CheckConstraint("text <> ''", name="news_text_check"),
    )
    op.create_index("news_of_job", "news", ["job_id"])


@pytest.mark.parametrize(
    "upgrade",
    [
        a_new_table,
        lambda: op.add_column("jobs", sa.Column("more", sa.Text)),
        lambda: op.add_column("jobs", sa.Column("more", sa.Integer, nullable=False, server_default="0")),
        lambda: create_index("an_index", "jobs", ["kind"]),
        lambda: op.create_check_constraint("sound", "jobs", "sends >= 0", postgresql_not_valid=True),
    ],
    ids=["table", "column", "column with a default", "index", "check that is not valid yet"],
)
def test_a_step_that_adds_is_let_through(upgrade: Callable[[], None]) -> None:
    assert broken_rules(upgrade) == set()


def test_the_rules_would_have_refused_the_step_that_dropped_a_column() -> None:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    script = ScriptDirectory.from_config(config).get_revision("0002")
    assert {"ban-drop-column", "require-concurrent-index-creation"} <= broken_rules(script.module.upgrade)
