"""Brings a PostgreSQL ledger to the present format: Alembic's steps, as SQL, in one transaction.

Alembic writes the statements, and the driver that the ledger has runs them, so that what
`--dry-run` shows is what is done.
"""

from __future__ import annotations

from collections.abc import Callable
from io import StringIO
from pathlib import Path

from alembic.config import Config
from alembic.runtime.environment import EnvironmentContext
from alembic.script import ScriptDirectory

from bridge.errors import LedgerFormat
from bridge.ledger.connections import REVISION, REVISION_TABLE, connect, revision, told, where

_SECONDS = 3_600.0
"""How long a statement may take: an index over millions of rows."""
_ONE_AT_A_TIME = "SELECT pg_advisory_xact_lock(hashtext('jira_bridge ' || current_schema()))"
_STEP = "-- Running upgrade "
"""How Alembic begins each step, with what it leads from and to."""
_STEPS = Path(__file__).parent / "migrations"


def scripts() -> ScriptDirectory:
    """The steps."""
    return ScriptDirectory(str(_STEPS), version_locations=[str(_STEPS)])


async def plan(url: str, password: str | None) -> str:
    """The SQL that `migrate` would run; empty where the ledger has the present format.

    Raises LedgerUnavailable, and LedgerFormat for a later format.
    """
    with told(where(url)):
        connection = await connect(url, password)
        try:
            return statements(await revision(connection))
        finally:
            await connection.close()


async def migrate(url: str, password: str | None, tell: Callable[[str], None]) -> bool:
    """Bring the ledger to the present format, and `tell` of each step; whether there was one to take.

    Another that does the same at that time waits, and then has nothing to do. Raises
    LedgerUnavailable, with nothing changed, and LedgerFormat for a later format.
    """
    with told(where(url)):
        connection = await connect(url, password, _SECONDS)
        try:
            async with connection.transaction():
                await connection.execute(_ONE_AT_A_TIME)
                first, *steps = statements(await revision(connection)).split(_STEP)
                if first.strip():
                    await connection.execute(first)
                for step in steps:
                    tell(step.partition("\n")[0].strip().removeprefix("-> "))
                    await connection.execute(f"{_STEP}{step}")
        finally:
            await connection.close()
    return bool(steps)


def statements(found: str | None) -> str:
    """The SQL that leads from the format that was found to the present one; none from that one itself.

    Raises LedgerFormat for one that this version does not know.
    """
    steps, written = scripts(), StringIO()
    known = {script.revision for script in steps.walk_revisions()}
    if found is not None and found not in known:
        raise LedgerFormat(
            f"The ledger has format {found}, this version knows {REVISION}. {LedgerFormat.advice}"
        )
    context = EnvironmentContext(
        Config(),
        steps,
        fn=lambda at, _: steps._upgrade_revs("head", at),  # noqa: SLF001 - as Alembic's own commands
        as_sql=True,
        starting_rev=found,
    )
    with context:
        context.configure(dialect_name="postgresql", output_buffer=written, version_table=REVISION_TABLE)
        context.run_migrations()
    return written.getvalue()
