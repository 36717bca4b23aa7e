"""The tables of the first format.

Texts compare by their bytes, as everywhere else in the bridge. What came from outside and may be of
any length is indexed by its hash.
"""

from __future__ import annotations

from alembic import op

revision = "0001"
down_revision = None

_STATEMENTS = """
CREATE TABLE subjects (
  site text COLLATE "C", global_id text COLLATE "C",
  version text COLLATE "C", event text COLLATE "C", seen text COLLATE "C", stamp bigint,
  PRIMARY KEY (site, global_id)
);
COMMENT ON TABLE subjects IS 'Locked before all that concerns a subject; with its last set, if it had one.';
CREATE TABLE rows (
  issue text COLLATE "C",
  version text COLLATE "C" NOT NULL, event text COLLATE "C" NOT NULL, seen text COLLATE "C" NOT NULL,
  link bytea, known text COLLATE "C" NOT NULL, digest text COLLATE "C", link_id bigint,
  phase text COLLATE "C" NOT NULL, not_before double precision NOT NULL, attempts bigint NOT NULL,
  reason text COLLATE "C", stray text COLLATE "C",
  site text COLLATE "C", global_id text COLLATE "C",
  claim bigint NOT NULL DEFAULT 0, stamp bigint NOT NULL,
  PRIMARY KEY (site, global_id, issue)
);
COMMENT ON COLUMN rows.claim IS 'The fence of the lease under which a worker has the row; 0: nobody.';
COMMENT ON COLUMN rows.stamp IS 'The timestamp of the version''s record, in milliseconds.';
CREATE INDEX rows_due ON rows (site, claim) WHERE phase = 'pending';
CREATE INDEX rows_issue ON rows (site, issue);
CREATE INDEX rows_tombstones ON rows (stamp) WHERE link IS NULL AND phase <> 'pending';
CREATE INDEX rows_waiting ON rows USING hash (event) WHERE phase <> 'settled';
CREATE TABLE moves (
  site text COLLATE "C", issue text COLLATE "C", now text COLLATE "C" NOT NULL,
  PRIMARY KEY (site, issue)
);
CREATE TABLE positions (
  consumer_group text COLLATE "C", topic text COLLATE "C", partition integer, next_offset bigint NOT NULL,
  PRIMARY KEY (consumer_group, topic, partition)
);
CREATE TABLE journal (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  at double precision NOT NULL, event text COLLATE "C" NOT NULL, event_id text COLLATE "C" NOT NULL,
  outcome text COLLATE "C" NOT NULL, reason text COLLATE "C",
  site text COLLATE "C", issue text COLLATE "C", global_id text COLLATE "C", detail bytea NOT NULL
);
CREATE INDEX journal_event ON journal USING hash (event);
CREATE INDEX journal_event_id ON journal USING hash (event_id);
CREATE INDEX journal_at ON journal (at);
CREATE TABLE leases (
  site text COLLATE "C" PRIMARY KEY, fence bigint NOT NULL DEFAULT 0,
  worker text COLLATE "C" NOT NULL DEFAULT '', until double precision NOT NULL DEFAULT 0
);
CREATE TABLE workers (
  worker text COLLATE "C" PRIMARY KEY, until double precision NOT NULL, sites text[] NOT NULL
);
"""


def upgrade() -> None:
    """Make the tables."""
    for statement in filter(str.strip, _STATEMENTS.split(";\n")):
        op.execute(statement)
