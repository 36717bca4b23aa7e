"""The statements of the PostgreSQL ledger, and what they are given and give back.

Many keys or rows go in one statement, as one array a column. Locks are taken in one order
everywhere: a partition's position, leases by site, subjects by key, rows by key.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from bridge.ledger.columns import ROW, row_columns, wanted_columns
from bridge.model import Row, Subject, Wanted

# --- positions and leases ------------------------------------------------------------------

POSITIONS = "SELECT topic, partition, next_offset FROM positions WHERE consumer_group = $1"
MOVE_POSITIONS = """
INSERT INTO positions AS standing (consumer_group, topic, partition, next_offset)
SELECT $1, topic, partition, after
FROM unnest($2::text[], $3::integer[], $5::bigint[]) AS read (topic, partition, after)
ORDER BY topic, partition
ON CONFLICT (consumer_group, topic, partition) DO UPDATE SET next_offset = excluded.next_offset
WHERE standing.next_offset = (
  SELECT before FROM unnest($2::text[], $3::integer[], $4::bigint[]) AS read (topic, partition, before)
  WHERE read.topic = standing.topic AND read.partition = standing.partition
)
RETURNING topic, partition
"""
"""Moves those that stand at `before`, and tells which did."""
ONE_AT_A_TIME = "LOCK TABLE workers IN SHARE ROW EXCLUSIVE MODE"
CLOCK = "SELECT extract(epoch FROM clock_timestamp())::double precision"
FORGET_WORKERS = "DELETE FROM workers WHERE until <= $1"
SIGN_OF_LIFE = """
INSERT INTO workers VALUES ($1, $2, $3)
ON CONFLICT (worker) DO UPDATE SET until = excluded.until, sites = excluded.sites
"""
WORKERS = "SELECT worker FROM workers ORDER BY worker"
SERVES = "SELECT worker, sites FROM workers"
MAKE_LEASES = """
INSERT INTO leases (site) SELECT site FROM unnest($1::text[]) AS served (site) ORDER BY site
ON CONFLICT DO NOTHING
"""
# A lock that goes with FOR KEY SHARE: who renews a lease waits for no transaction under it.
LEASES = "SELECT site, fence, worker, until FROM leases ORDER BY site FOR NO KEY UPDATE"
STANDING = "SELECT site, fence, worker FROM leases WHERE site = ANY($1) ORDER BY site FOR KEY SHARE"
# One that does not: who takes a lease waits until all transactions under it are over.
TAKE_OVER = "SELECT site FROM leases WHERE site = ANY($1) ORDER BY site FOR UPDATE"
STORE_LEASES = """
UPDATE leases SET fence = mine.fence, worker = $2, until = $3
FROM unnest($1::text[], $4::bigint[]) AS mine (site, fence) WHERE leases.site = mine.site
"""
HOLD_BACK = """
UPDATE rows SET not_before = greatest(not_before, $2)
FROM (
  SELECT site AS s, global_id AS g, issue AS i FROM rows
  WHERE site = ANY($1) AND phase = 'pending' AND known IN ('unsure', 'tangled')
  ORDER BY site, global_id, issue FOR UPDATE
) AS doubtful WHERE site = s AND global_id = g AND issue = i
"""
RELEASE = """
UPDATE leases SET worker = '', until = extract(epoch FROM clock_timestamp())
WHERE site = $1 AND worker = $2 AND fence = $3 RETURNING site
"""
CHANNEL = "SELECT 'jira_bridge_' || md5(current_schema())"
"""Where news is told: to those who have the same tables."""
TELL = (
    "SELECT pg_notify('jira_bridge_' || md5(current_schema()), site) FROM unnest($1::text[]) AS news (site)"
)
SITES = "SELECT site FROM leases"

CLEAR = [f"DELETE FROM {table}" for table in ("rows", "subjects", "moves", "positions")]  # noqa: S608

# --- rows ----------------------------------------------------------------------------------

_THESE = "(site, global_id) IN (SELECT * FROM unnest($1::text[], $2::text[]))"
MAKE_SUBJECTS = """
INSERT INTO subjects (site, global_id)
SELECT site, global_id FROM unnest($1::text[], $2::text[]) AS named (site, global_id)
ORDER BY site, global_id ON CONFLICT DO NOTHING
"""
SUBJECTS = f"""
SELECT site, global_id, version, event, seen FROM subjects WHERE {_THESE}
ORDER BY site, global_id FOR UPDATE
"""  # noqa: S608 - of constants only, as all below
ROWS = f"SELECT {ROW}, claim FROM rows WHERE {_THESE} ORDER BY site, global_id, issue FOR UPDATE"  # noqa: S608
MOVED = """
WITH RECURSIVE way AS (
  SELECT moves.* FROM moves JOIN unnest($1::text[], $2::text[]) AS named (site, issue) USING (site, issue)
  UNION
  SELECT moves.* FROM moves JOIN way ON moves.site = way.site AND moves.issue = way.now
)
SELECT site, issue, now FROM way
"""
LEFT = """
WITH due AS MATERIALIZED (
  SELECT global_id FROM rows WHERE site = $1 AND phase = 'pending' AND claim < $2 LIMIT $3
)
SELECT global_id, (SELECT count(*) FROM due) FROM subjects
WHERE site = $1 AND global_id IN (SELECT global_id FROM due) FOR UPDATE OF subjects SKIP LOCKED
"""
"""Subjects with rows that nobody claimed, locked; and how many such rows were found."""
CLAIM = f"""
UPDATE rows SET claim = $2 WHERE site = $1 AND global_id = ANY($3) AND phase = 'pending' AND claim < $2
RETURNING {ROW}
"""  # noqa: S608
REMOVE_ROWS = """
DELETE FROM rows USING unnest($1::text[], $2::text[], $3::text[]) AS gone (s, i, g)
WHERE site = s AND global_id = g AND issue = i
"""
_COLUMNS = [*ROW.split(", "), "claim", "stamp"]
_TYPES = {
    "link": "bytea",
    "link_id": "bigint",
    "not_before": "double precision",
    "attempts": "bigint",
    "claim": "bigint",
    "stamp": "bigint",
}
STORE_ROWS = f"""
INSERT INTO rows ({", ".join(_COLUMNS)}) SELECT * FROM unnest(
  {", ".join(f"${place}::{_TYPES.get(name, 'text')}[]" for place, name in enumerate(_COLUMNS, 1))}
) ON CONFLICT (site, global_id, issue) DO UPDATE
SET {", ".join(f"{name} = excluded.{name}" for name in _COLUMNS)}
"""  # noqa: S608
STORE_SETS = """
UPDATE subjects SET version = last.version, event = last.event, seen = last.seen, stamp = last.stamp
FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::bigint[])
  AS last (s, g, version, event, seen, stamp)
WHERE site = s AND global_id = g
"""
STORE_ENTRIES = """
INSERT INTO journal (at, event, event_id, outcome, reason, site, issue, global_id, detail)
SELECT * FROM unnest($1::double precision[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[],
  $7::text[], $8::text[], $9::bytea[])
"""
STORE_MOVES = """
INSERT INTO moves SELECT * FROM unnest($1::text[], $2::text[], $3::text[])
ON CONFLICT (site, issue) DO UPDATE SET now = excluded.now
"""

# --- for one who looks ---------------------------------------------------------------------

ALL = f"SELECT {ROW} FROM rows ORDER BY site, issue, global_id"  # noqa: S608
FIND = f"""
SELECT {ROW} FROM rows JOIN unnest($1::text[], $2::text[], $3::text[]) AS named (site, issue, global_id)
  USING (site, issue, global_id)
"""  # noqa: S608
PAGE = f"""
SELECT {ROW} FROM rows WHERE site = $1 AND issue IN (
  SELECT DISTINCT issue FROM rows WHERE site = $1 AND issue > $2 ORDER BY issue LIMIT $3
) ORDER BY issue, global_id
"""  # noqa: S608
WAITING = f"SELECT {ROW} FROM rows WHERE event = $1 AND phase <> 'settled'"  # noqa: S608
EXPLAIN = """
SELECT at, event, outcome, reason, site, issue, global_id, detail FROM journal
WHERE event = $1 OR event_id = $1 ORDER BY id
"""

# --- what is too old -----------------------------------------------------------------------

PRUNE_ENTRIES = """
WITH old (i) AS MATERIALIZED (SELECT id FROM journal WHERE at < $1 LIMIT $2 FOR UPDATE SKIP LOCKED)
DELETE FROM journal USING old WHERE id = i RETURNING id
"""
PRUNE_TOMBSTONES = """
WITH old (s, g, i) AS MATERIALIZED (
  SELECT site, global_id, issue FROM rows WHERE link IS NULL AND phase <> 'pending' AND stamp < $1
  LIMIT $2 FOR UPDATE SKIP LOCKED
)
DELETE FROM rows USING old WHERE site = s AND global_id = g AND issue = i RETURNING site
"""
_EMPTY = (
    "NOT EXISTS (SELECT FROM rows WHERE rows.site = subjects.site AND rows.global_id = subjects.global_id)"
)
OLD_SUBJECTS = f"""
SELECT site, global_id FROM subjects WHERE coalesce(stamp, 0) < $1 AND {_EMPTY}
LIMIT $2 FOR UPDATE SKIP LOCKED
"""  # noqa: S608
# A statement of its own, which sees what was committed until the lock was there.
PRUNE_SUBJECTS = f"DELETE FROM subjects WHERE {_THESE} AND {_EMPTY} RETURNING version"  # noqa: S608

# --- what goes in and comes out ------------------------------------------------------------

_ESCAPE = "\x1b"
_ESCAPED = str.maketrans({"\0": f"{_ESCAPE}0", _ESCAPE: f"{_ESCAPE}1"})


def escaped(text: str) -> str:
    """The text without NUL, which PostgreSQL's texts cannot hold and ids from outside can."""
    return text.translate(_ESCAPED) if "\0" in text or _ESCAPE in text else text


def arrays(rows: Iterable[Sequence[Any]]) -> list[list[Any]]:
    """The rows as one array a column."""
    return [
        [escaped(value) if isinstance(value, str) else value for value in column]
        for column in zip(*rows, strict=True)
    ]


def values(record: Iterable[Any]) -> list[Any]:
    """A record's columns with their texts as they were given."""
    return [
        value.replace(f"{_ESCAPE}0", "\0").replace(f"{_ESCAPE}1", _ESCAPE)
        if isinstance(value, str) and _ESCAPE in value
        else value
        for value in record
    ]


def stored_row(row: Row, claim: int) -> tuple[Any, ...]:
    """What STORE_ROWS is given for a row."""
    return (*row_columns(row), claim, row.wanted.version.timestamp)


def stored_set(subject: Subject, wanted: Wanted) -> tuple[Any, ...]:
    """What STORE_SETS is given for a subject."""
    return (*subject, *wanted_columns(wanted), wanted.version.timestamp)
