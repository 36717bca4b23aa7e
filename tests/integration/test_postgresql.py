"""What the ledger in PostgreSQL alone has: formats, workers at once, news, a server that goes away."""

from __future__ import annotations

import asyncio
import itertools
import os
import random
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from urllib.parse import parse_qs, urlsplit
from zlib import crc32

import asyncpg
import pytest

from bridge.errors import LeaseLost, LedgerFormat, LedgerUnavailable, PositionMoved
from bridge.ledger import connections, postgresql
from bridge.ledger.connections import REVISION
from bridge.ledger.migrate import migrate, plan, scripts
from bridge.ledger.postgresql import PostgresqlLedger
from bridge.ledger.sqlite_tables import SqliteTables
from bridge.model import Action, CallKind, Found, Known, Outcome, Phase, RemoteLink, Row, Written
from bridge.ports import Item, Settled
from tests import ledgers
from tests.brokers import PostgresProcess, eventually
from tests.cancelling import cancelled_after
from tests.ledgers import NOW, issues, item, lease, merge, read, settle, start

COMMAND = (sys.executable, "-c", "from bridge.cli import main; main()")


def run(*arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run the command in a process of its own."""
    env = {**os.environ, "NO_COLOR": "1", "COLUMNS": "200", **environ}
    return subprocess.run([*COMMAND, *arguments], capture_output=True, text=True, env=env, check=False)


@pytest.fixture
async def url(postgres: str) -> str:
    """The URL of an empty ledger."""
    return await ledgers.postgresql(postgres)


@asynccontextmanager
async def opened(url: str) -> AsyncIterator[PostgresqlLedger]:
    ledger = PostgresqlLedger(url)
    try:
        yield ledger
    finally:
        await ledger.close()


@pytest.fixture
async def one(url: str) -> AsyncIterator[PostgresqlLedger]:
    """A worker's ledger."""
    async with opened(url) as ledger:
        yield ledger


@pytest.fixture
async def two(url: str) -> AsyncIterator[PostgresqlLedger]:
    """Another worker's, on the same tables."""
    async with opened(url) as ledger:
        yield ledger


@asynccontextmanager
async def session(url: str) -> AsyncIterator[asyncpg.Connection]:
    """A connection of somebody else's."""
    connection = await asyncpg.connect(url)
    try:
        yield connection
    finally:
        await connection.close()


# --- format --------------------------------------------------------------------------------


def test_the_program_knows_its_last_step() -> None:
    """What opening compares with is where the steps lead."""
    assert scripts().get_heads() == [REVISION]


async def test_a_database_without_tables_is_refused(postgres: str) -> None:
    """Nothing is made by itself; the error says which command does it, and then all is well."""
    url = await ledgers.postgresql(postgres, tables=False)
    async with opened(url) as ledger:
        with pytest.raises(LedgerFormat, match=r"no tables of the bridge yet.*`jira-bridge ledger migrate`"):
            await ledger.positions("one")
        await migrate(url, None, lambda _: None)
        assert await ledger.positions("one") == []


@pytest.mark.parametrize(
    ("found", "told"), [("0000", "has format 0000, this version needs .*`jira-bridge ledger migrate`"),
                        ("9999", f"has format 9999, this version knows {REVISION}.*or a later one")]
)  # fmt: skip
async def test_another_format_is_refused(url: str, one: PostgresqlLedger, found: str, told: str) -> None:
    """An earlier one is to be brought forward, a later one is not touched."""
    async with session(url) as db:
        await db.execute("UPDATE jira_bridge_revision SET version_num = $1", found)
    with pytest.raises(LedgerFormat, match=told):
        await merge(one, item(1, "PROJ-1"))
    with pytest.raises(LedgerFormat, match=f"has format {found}, this version knows"):
        await migrate(url, None, lambda _: None)


async def test_two_who_migrate_at_once_both_succeed(postgres: str) -> None:
    """One waits for the other, and finds nothing to do."""
    url = await ledgers.postgresql(postgres, tables=False)
    steps: list[str] = []
    done = await asyncio.gather(*(migrate(url, None, steps.append) for _ in range(3)))
    assert sorted(done) == [False, False, True]
    assert len(steps) == len(list(scripts().walk_revisions()))
    assert await plan(url, None) == ""


async def test_the_command_migrates(postgres: str) -> None:
    """A dry run prints the SQL and changes nothing; then it is done, and then there is nothing to do."""
    url = await ledgers.postgresql(postgres, tables=False)
    arguments = "ledger", "migrate", "--ledger", url
    shown = await asyncio.to_thread(run, *arguments, "--dry-run")
    assert (shown.returncode, shown.stdout) == (0, await plan(url, None))
    assert "CREATE TABLE rows" in shown.stdout
    done = await asyncio.to_thread(run, *arguments)
    assert done.stdout.splitlines() == [f"Format {REVISION}…", f"{url} has the present format now."]
    again = await asyncio.to_thread(run, *arguments)
    assert again.stdout == f"{url} has the present format already.\n"


def test_the_command_opens_a_ledger_in_a_file(tmp_path: Path) -> None:
    """SQLite's is brought forward by whoever opens it."""
    done = run("ledger", "migrate", "--ledger", f"sqlite:///{tmp_path}/ledger.sqlite")
    assert (done.returncode, done.stderr) == (0, "")
    assert "has the present format" in done.stdout
    assert (tmp_path / "ledger.sqlite").exists()


async def test_an_event_is_explained_from_postgresql(url: str, one: PostgresqlLedger) -> None:
    """The command asks the server."""
    await merge(one, item(1, "PROJ-1"))
    done = await asyncio.to_thread(run, "explain", "event-1", "--ledger", url)
    assert "PROJ-1: taken in" in done.stdout
    assert "Now: PROJ-1 waits for Jira." in done.stdout


# --- several workers -----------------------------------------------------------------------


async def test_no_row_is_claimed_twice_under_a_fence(one: PostgresqlLedger) -> None:
    """Turns at the same time never hand out the same row, and none is left."""
    held = (await lease(one))["main"]
    await merge(one, *(item(t, f"PROJ-{t}", global_id=str(t)) for t in range(1, 201)))
    turns = await asyncio.gather(*(settle(one, held, room=7) for _ in range(40)))
    claimed = [row.key for turn in turns for row in turn.rows]
    while (turn := await settle(one, held, room=7)).rows:
        claimed += [row.key for row in turn.rows]
    assert len(claimed) == len(set(claimed)) == 200


async def test_what_others_left_of_a_subject_is_claimed_with_it(
    one: PostgresqlLedger, two: PostgresqlLedger
) -> None:
    """A merge or a turn that has a subject's rows in hand leaves none of them unclaimed."""
    held = (await lease(one))["main"]
    await merge(two, item(1, "PROJ-1"))
    rows = await merge(one, item(2, "PROJ-2"), held={"main": held.fence})
    assert sorted(issues(rows)) == ["PROJ-1", "PROJ-2"]
    await merge(two, item(3, "PROJ-3"))
    assert issues((await start(one, held, rows[0].key)).rows) == [rows[0].key.issue, "PROJ-3"]
    assert (await settle(one, held, room=10)).rows == ()


async def test_a_subject_that_another_has_in_hand_is_claimed_later(url: str, one: PostgresqlLedger) -> None:
    """A turn waits for no merge, takes the other subjects, and asks for more only where it got some."""
    held = (await lease(one))["main"]
    await merge(one, item(1, "PROJ-1"), item(2, "PROJ-2", global_id="other"))
    async with session(url) as db:
        async with db.transaction():
            await db.fetch("SELECT FROM subjects WHERE global_id = 'other' FOR UPDATE")
            turn = await settle(one, held, room=2)
            assert (issues(turn.rows), turn.more) == (["PROJ-1"], True)
            assert not (await settle(one, held, room=1)).more
        assert issues((await settle(one, held, room=2)).rows) == ["PROJ-2"]


async def test_a_takeover_waits_for_the_transactions_under_the_lease(
    url: str, one: PostgresqlLedger, two: PostgresqlLedger
) -> None:
    """One that does not end is waited for another time; meanwhile other leases are renewed and taken."""
    await lease(one, "one", "a", "main", seconds=0.0)
    async with session(url) as db, db.transaction():
        await db.fetch("SELECT FROM leases WHERE site = 'main' FOR KEY SHARE")
        assert await lease(two, "two", "main") == {}
    assert (await lease(two, "two", "main"))["main"].fence == 2


async def test_who_renews_a_lease_waits_for_nobody(url: str, one: PostgresqlLedger) -> None:
    """A transaction under the lease, however long, does not keep it from being renewed."""
    await lease(one)
    async with session(url) as db, db.transaction():
        await db.fetch("SELECT FROM leases WHERE site = 'main' FOR KEY SHARE")
        assert (await lease(one, kept={"main": 1}))["main"].fence == 1


async def test_turns_and_takeovers_are_one_after_the_other(
    one: PostgresqlLedger, two: PostgresqlLedger
) -> None:
    """What a worker was handed under a lost lease is handed out anew, and none of it is lost."""
    await merge(one, *(item(t, f"PROJ-{t}", global_id=str(t)) for t in range(1, 51)))
    held = (await lease(one, seconds=0.0))["main"]

    async def claims() -> None:
        with suppress(LeaseLost):
            for _ in range(50):
                await settle(one, held, room=1)

    claiming = asyncio.create_task(claims())
    taken = (await lease(two, "two"))["main"]
    await claiming
    assert taken.fence == held.fence + 1
    with pytest.raises(LeaseLost):
        await settle(one, held, room=1)
    assert len((await settle(two, taken, room=100)).rows) == 50


async def waiting(db: asyncpg.Connection) -> bool:
    """Whether a transaction waits for a lock."""
    return bool(await db.fetchval("SELECT count(*) FROM pg_locks WHERE NOT granted"))


@pytest.mark.parametrize("table", ["subjects", "leases"])
async def test_a_transaction_waits_for_another_of_its_subject_or_a_takeover(
    url: str, one: PostgresqlLedger, table: str
) -> None:
    """Merges of one subject follow each other, and nothing is stored while a lease is being taken."""
    held = (await lease(one))["main"]
    await merge(one, item(1, "PROJ-1", action=Action.SET), held={"main": held.fence})
    works: list[Callable[[], Awaitable[object]]] = [
        lambda: merge(one, item(2, "PROJ-2"), held={"main": held.fence}),
        lambda: start(one, held, ledgers.KEY),
    ]
    for work in works:
        async with session(url) as db:
            async with db.transaction():
                await db.fetch(f"SELECT FROM {table} WHERE site = 'main' FOR UPDATE")
                task = asyncio.ensure_future(work())
                async with session(url) as watcher:
                    await eventually(partial(waiting, watcher))
                assert not task.done()
            await task


async def test_transactions_of_the_same_subjects_never_wait_for_each_other_in_a_circle(
    url: str, one: PostgresqlLedger
) -> None:
    """Locks are taken in one order, so that the server has no deadlock to break."""
    chance = random.Random(7)
    held = (await lease(one))["main"]
    rows = await merge(one, *(item(1, "P-1", global_id=f"id={n}") for n in range(8)))

    async def work(first: int) -> None:
        for time in range(first, first + 25):
            keys = [row.key for row in chance.sample(rows, 6)]
            if chance.random() < 0.3:
                await one.doubt(keys, NOW)
            elif chance.random() < 0.3:
                await one.turn(held, [], dict.fromkeys(keys, CallKind.CREATE), 2, NOW)
            else:
                await merge(one, *(item(time, "P-1", "P-2", global_id=key.global_id) for key in keys))

    async with session(url) as db:
        before = await deadlocks(db)
        await asyncio.gather(*(work(1_000 * n) for n in range(8)))
        assert await deadlocks(db) == before


async def deadlocks(db: asyncpg.Connection) -> int:
    """How many the server has broken; sessions that are idle have told it."""
    await db.execute("SELECT pg_stat_force_next_flush()")
    return int(await db.fetchval("SELECT sum(deadlocks) FROM pg_stat_database"))


async def test_any_order_of_merges_turns_and_takeovers_comes_to_the_same(url: str) -> None:
    """Four workers at once never block each other for good, and each row ends as its newest event says."""
    chance = random.Random(7)
    sites, ids = ["a", "b"], [f"id={number}" for number in range(6)]
    items = [
        item(
            time,
            *chance.sample(["P-1", "P-2", "P-3"], chance.choice([1, 1, 2])),
            action=chance.choice([Action.UPSERT, Action.SET, Action.SET]),
            title=f"build {time}",
            global_id=chance.choice(ids),
            site=chance.choice(sites),
        )
        for time in range(1, 241)
    ]
    shuffled = chance.sample(items, len(items))

    async def work(worker: str, mine: list[Item]) -> None:
        async with opened(url) as ledger:
            kept: dict[str, int] = {}
            while mine:
                batch = [mine.pop() for _ in range(min(len(mine), chance.randint(1, 8)))]
                held = await lease(ledger, worker, *sites, kept=kept, seconds=chance.choice([0.0, 60.0]))
                kept = {site: each.fence for site, each in held.items()}
                await merge(ledger, *batch, held=kept)
                for each in held.values():
                    with suppress(LeaseLost):
                        rows = (await settle(ledger, each, room=5)).rows
                        calls = (await start(ledger, each, *(row.key for row in rows))).calls
                        answers = [
                            (call, Written(crc32(repr(call.key).encode()), call.key.issue, created=True))
                            for call in calls
                            if call.link
                        ]
                        await settle(ledger, each, *answers)
                        await ledger.doubt([call.key for call in calls if not call.link], NOW)

    async with session(url) as db:
        before = await deadlocks(db)
        await asyncio.gather(*(work(f"worker {n}", shuffled[n::4]) for n in range(4)))
        assert await deadlocks(db) == before
    model = SqliteTables(":memory:")
    model.merge(items, "group", read(0, 1), NOW, {})
    async with opened(url) as ledger:
        assert wanted(await ledger.rows()) == wanted(model.rows())
        merged = [entry for each in items for entry in await ledger.explain(each.event) if entry.key]
    told = {Outcome.MERGED, Outcome.UNCHANGED, Outcome.STALE}
    assert sum(entry.outcome in told for entry in merged) == len(items)


def wanted(rows: list[Row]) -> dict[object, object]:
    """What is wanted of each link; links that were never wanted, as one who comes first notes them, apart."""
    return {row.key: row.wanted.link for row in rows if row.wanted.link}


async def test_a_subject_that_is_pruned_meanwhile_is_made_anew(url: str, one: PostgresqlLedger) -> None:
    """No row stands without the subject that is its lock."""
    async with session(url) as db:
        await db.execute("INSERT INTO subjects SELECT 'main', g::text FROM generate_series(1, 300) AS g")
        pruning = asyncio.gather(*(one.prune(0.0, NOW) for _ in range(6)))
        for first in range(1, 301, 30):
            await merge(one, *(item(t, "P-1", global_id=str(t)) for t in range(first, first + 30)))
        await pruning
        alone = (
            "SELECT count(*) FROM rows WHERE (site, global_id) NOT IN (SELECT site, global_id FROM subjects)"
        )
        assert await db.fetchval(alone) == 0
        assert await db.fetchval("SELECT count(*) FROM rows") == 300


async def test_what_is_old_is_pruned_in_portions(
    one: PostgresqlLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All of it goes, whatever fits into one transaction."""
    monkeypatch.setattr(postgresql, "PRUNED_AT_A_TIME", 3)
    await merge(one, *(item(t, action=Action.SET, global_id=str(t)) for t in range(1, 11)))
    assert await one.prune(NOW + 1, NOW + 1) == 20


# --- news ----------------------------------------------------------------------------------


class Heard(list[str]):
    """What a worker was told."""

    async def next(self) -> str:
        """The first that was not asked for yet."""
        await eventually(lambda: bool(self))
        return self.pop(0)


async def test_a_worker_hears_what_others_leave(one: PostgresqlLedger, two: PostgresqlLedger) -> None:
    """Rows of a merge, a doubt and a repair, and a lease that was released, are told with their site."""
    heard = Heard()
    held = (await lease(one, "one", "main"))["main"]
    one.on_news(heard.append)
    assert await heard.next() == "main"  # it has begun to listen
    (row,) = await merge(two, item(1, "PROJ-1"))
    assert await heard.next() == "main"
    await merge(two, item(2, "PROJ-2", site="other"))
    assert await heard.next() == "other"
    await two.doubt([row.key], NOW)
    assert await heard.next() == "main"
    await two.release(held)
    assert await heard.next() == "main"
    taken = (await lease(two, "two"))["main"]
    await merge(two, item(3, "PROJ-1"), held={"main": taken.fence})
    await merge(two, item(4, "PROJ-2", site="last"))
    assert await heard.next() == "last"  # and nothing of rows that were claimed


# --- away ----------------------------------------------------------------------------------


async def test_a_server_that_is_killed_is_a_pause(postgres_process: PostgresProcess) -> None:
    """What was committed is there again, what was not is done again, and news is heard again."""
    url = await ledgers.postgresql(postgres_process.uri)
    heard = Heard()
    async with opened(url) as ledger, opened(url) as other:
        ledger.on_news(heard.append)
        held = (await lease(ledger))["main"]
        await ledger.merge([item(1, "PROJ-1")], "one", read(0, 1), NOW, {"main": held.fence})
        postgres_process.kill()
        with pytest.raises(LedgerUnavailable, match=r"^PostgreSQL at .*, database postgres: "):
            await ledger.merge([item(2, "PROJ-2")], "one", read(1, 2), NOW, {})
        with pytest.raises(LedgerUnavailable):
            await PostgresqlLedger(url).positions("one")
        heard.clear()
        postgres_process.start()
        assert await heard.next() == "main"
        await ledger.merge([item(2, "PROJ-2")], "one", read(1, 2), NOW, {})
        assert sorted(issues(await ledger.rows())) == ["PROJ-1", "PROJ-2"]
        assert (await lease(ledger, kept={"main": held.fence}))["main"] == held
        heard.clear()
        await merge(other, item(3, "PROJ-3"))
        assert await heard.next() == "main"


async def test_sessions_that_end_at_any_moment_lose_nothing(url: str, one: PostgresqlLedger) -> None:
    """Whatever was under way raises what a pause raises; who then goes on has each event merged once."""
    items = [item(time, "PROJ-1", global_id=str(time % 10)) for time in range(1, 46)]
    held = (await lease(one))["main"]
    ended = lost = 0

    async def insist(work: Callable[[], Awaitable[object]]) -> None:
        nonlocal lost
        while True:
            try:
                await work()
            except LedgerUnavailable:
                lost += 1
            except PositionMoved:  # it had been done
                return
            else:
                return

    async def merges(group: str, mine: list[Item]) -> None:
        for at, each in enumerate(mine):
            await insist(partial(one.merge, [each], group, read(at, at + 1), NOW, {"main": held.fence}))
            await insist(partial(settle, one, held, room=3))
            await insist(partial(lease, one, kept={"main": held.fence}))

    async with session(url) as db:
        working = asyncio.gather(*(merges(f"group {n}", items[n::3]) for n in range(3)))
        while not working.done():
            ended += await db.fetchval(
                "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity "
                "WHERE application_name = 'jira-bridge' AND random() < 0.02"
            )
        await working
    assert min(ended, lost) > 5
    told = [
        [entry.outcome for entry in await one.explain(each.event) if entry.reason is None] for each in items
    ]
    assert [len(outcomes) for outcomes in told] == [1] * len(items)
    assert {row.wanted.event for row in await one.rows()} == {each.event for each in items[-10:]}


async def test_a_server_that_does_not_answer_is_a_pause(
    postgres_process: PostgresProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A transaction is given up after some time, and all goes on once there are answers again."""
    monkeypatch.setattr(connections, "SECONDS", 1.0)
    monkeypatch.setattr(connections, "_CONNECT_SECONDS", 1.0)
    url = await ledgers.postgresql(postgres_process.uri)
    async with opened(url) as ledger:
        await merge(ledger, item(1, "PROJ-1"))
        with postgres_process.frozen():
            for _ in range(2):
                with pytest.raises(LedgerUnavailable):
                    await ledger.merge([item(2, "PROJ-2")], "one", read(0, 1), NOW, {})
        await ledger.merge([item(2, "PROJ-2")], "one", read(0, 1), NOW, {})
        assert sorted(issues(await ledger.rows())) == ["PROJ-1", "PROJ-2"]


async def test_the_password_opens_the_ledger(postgres_process: PostgresProcess) -> None:
    """The command takes it from a variable; a wrong one is a pause, whose error shows none."""
    password = "hunter2/@:%"
    server = postgres_process.uri
    url = await ledgers.postgresql(server, tables=False)
    user = "guarded"
    async with session(server) as db:
        await db.execute(f"CREATE USER {user} SUPERUSER PASSWORD '{password}'")
    postgres_process.ask_password(user)
    url = url.replace("postgres@", f"{user}@")
    secret = {"BRIDGE_LEDGER__PASSWORD": "env:SECRET", "SECRET": password}
    done = await asyncio.to_thread(run, "ledger", "migrate", "--ledger", url, **secret)
    assert done.returncode == 0, done.stderr
    ledger = PostgresqlLedger(url, password)
    assert await ledger.positions("one") == []
    await ledger.close()
    wrong = await asyncio.to_thread(
        run, "explain", "x", "--ledger", url, **{**secret, "SECRET": f"{password}!"}
    )
    assert wrong.returncode == 3
    assert "error (ledger_unavailable): PostgreSQL at" in wrong.stderr
    assert f'password authentication failed for user "{user}"' in wrong.stderr
    assert "hunter2" not in wrong.stderr + wrong.stdout


async def test_a_worker_that_is_frozen_within_a_transaction_is_cut_off(
    url: str, one: PostgresqlLedger, two: PostgresqlLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its locks hold nobody up for long, and what it would have stored is not stored."""
    monkeypatch.setitem(connections._SESSION, "idle_in_transaction_session_timeout", "100ms")
    await merge(two, item(1, "PROJ-1"))

    async def freeze(db: connections.Connection) -> None:
        await db.execute("UPDATE subjects SET stamp = 1")
        await merge(two, item(2, "PROJ-1"))  # waits until the server has ended the other
        await db.execute("UPDATE subjects SET stamp = 2")

    with pytest.raises(LedgerUnavailable):
        await one._db.transaction(freeze)
    async with session(url) as db:
        assert await db.fetchval("SELECT count(*) FROM subjects WHERE stamp > 0") == 0
    assert [row.wanted.event for row in await two.rows()] == ["//ci event-2"]


async def test_a_cancellation_anywhere_leaves_a_whole_transaction_or_none(one: PostgresqlLedger) -> None:
    """Cancelled at its n-th suspension, for all n, a merge has moved its position or stored nothing."""
    await one.positions("one")  # so that a connection is there
    for count in itertools.count(1):
        change = item(count, "PROJ-1", global_id=str(count))

        async def cancelled(change: Item = change, count: int = count) -> bool:
            return await cancelled_after(one.merge([change], f"group {count}", read(0, 1), NOW, {}), count)

        was_cancelled = await asyncio.create_task(cancelled())
        merged = {row.key.global_id for row in await one.rows()}
        assert (str(count) in merged) == bool(await one.positions(f"group {count}"))
        if not was_cancelled:
            break
    assert str(count) in merged
    assert count > 15


async def test_no_error_shows_the_password() -> None:
    """A server that cannot be reached, or a URL that cannot be used, is named by host and database."""
    for url in ("postgresql://me@127.0.0.1:1/bridge", "postgresql://me@127.0.0.1:1/bridge?sslmode=x"):
        async with opened(url) as ledger:
            ledger._db._password = "hunter2"
            with pytest.raises(Exception, match=r"PostgreSQL at 127\.0\.0\.1:1, database bridge: ") as raised:
                await ledger.positions("one")
            assert "hunter2" not in f"{raised.value!r} {raised.value.__cause__!r}"
            assert "me@" not in str(raised.value)


@asynccontextmanager
async def losing_answers(server: str, folder: Path) -> AsyncIterator[tuple[str, asyncio.Event]]:
    """A way to the server that, while the event is set, breaks once a commit has been passed on."""
    armed = asyncio.Event()
    target = f"{parse_qs(urlsplit(server).query)['host'][0]}/.s.PGSQL.5432"

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        theirs, to_server = await asyncio.open_unix_connection(target)
        lost = False

        async def back() -> None:
            while data := await theirs.read(65_536):
                if not lost:
                    writer.write(data)
            writer.close()
            to_server.close()

        answering = asyncio.create_task(back())
        with suppress(ConnectionError):
            while data := await reader.read(65_536):
                to_server.write(data)
                if lost := armed.is_set() and b"COMMIT;" in data:
                    to_server.write(b"X\0\0\0\4")  # the server ends the session once it has committed
        if not lost:
            to_server.close()
        await answering
        await writer.wait_closed()

    async with await asyncio.start_unix_server(serve, folder / ".s.PGSQL.5432"):
        yield server.replace(parse_qs(urlsplit(server).query)["host"][0], str(folder)), armed


async def test_a_transaction_whose_commit_was_not_heard_is_safe_to_repeat(
    postgres: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """The merge is refused then, and the turn changes nothing more."""
    server = await ledgers.postgresql(postgres)
    async with losing_answers(server, tmp_path_factory.mktemp("w")) as (url, armed), opened(url) as ledger:
        held = (await lease(ledger))["main"]
        armed.set()
        with pytest.raises(LedgerUnavailable):
            await ledger.merge([item(1, "PROJ-1")], "one", read(0, 1), NOW, {})
        armed.clear()
        with pytest.raises(PositionMoved):
            await ledger.merge([item(1, "PROJ-1")], "one", read(0, 1), NOW, {})
        starting = {row.key: CallKind.CREATE for row in await ledger.rows()}
        armed.set()
        with pytest.raises(LedgerUnavailable):
            await ledger.turn(held, [], starting, 0, NOW)
        armed.clear()
        (row,) = await ledger.rows()
        assert row.known is Known.UNSURE
        (call,) = (await start(ledger, held, row.key)).calls
        settled = [Settled(call, Found(RemoteLink(7, "PROJ-1", ledgers.link())), NOW, 1.0)]
        armed.set()
        for _ in range(2):
            with pytest.raises(LedgerUnavailable):
                await ledger.turn(held, settled, {}, 0, NOW)
        armed.clear()
        await ledger.turn(held, settled, {}, 0, NOW)
        assert [(row.phase, row.link_id) for row in await ledger.rows()] == [(Phase.SETTLED, 7)]
