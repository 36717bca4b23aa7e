"""What one record comes to."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.errors import JiraForbidden, JiraTooManyLinks, UnknownSource
from bridge.kafka.dead_letters import refused, replay
from bridge.kafka.envelope import decode, encode
from bridge.mapping.builtin import builtin_mappings
from bridge.mapping.mapper import Mapper, Site
from bridge.model import Call, CallKind, Event, Known, Link, LinkKey, Outcome, Record, Version, Webhook
from bridge.pipeline import Pipeline
from bridge.sources.base import load_sources

SECOND = 1_767_261_600  # 2026-01-01T10:00:00Z
RECEIVED = datetime.fromtimestamp(SECOND, UTC)
SITES = [Site("main", frozenset(["PROJ"])), Site("closed", frozenset(["SHUT"]), frozenset(["elsewhere"]))]
PIPELINE = Pipeline(load_sources(), Mapper(builtin_mappings(), SITES), max_future=600.0)
CLOUDEVENT = (("content-type", b"application/cloudevents+json"),)


def record(value: bytes, headers: tuple[tuple[str, bytes], ...] = CLOUDEVENT, offset: int = 7) -> Record:
    return Record("events", 0, offset, SECOND * 1000, b"key", value, headers)


def canonical(time: str = "2026-01-01T10:00:00Z", issue: str = "PROJ-1", **data: object) -> bytes:
    link = {"url": "https://ci.example/1", "title": "build 1"}
    return orjson.dumps(
        {
            "specversion": "1.0",
            "id": "1",
            "source": "//ci",
            "type": "remotelink.upsert",
            "time": time,
            "subject": "g",
            "data": {"issue": issue, "globalId": "g", "object": link, **data},
        }
    )


class Faulty:
    """A source whose code fails on every delivery."""

    def __getattr__(self, name: str) -> object:
        raise ZeroDivisionError("s3cret")


def test_a_fault_in_a_sources_code_rejects_its_records() -> None:
    """The worker reads on; the letter says which error it was and where, and nothing of the record."""
    value, headers = encode(Webhook("hooks", "faulty", "d1", {}, b"{}", RECEIVED))
    faulty: Any = {"faulty": Faulty()}
    item = replace(PIPELINE, sources=faulty)(record(value, tuple(headers)))
    assert (item.outcome, item.reason, item.event) == (Outcome.REJECTED, "source_failed", "hooks d1")
    assert "ZeroDivisionError in " in str(item.error)
    assert "s3cret" not in str(item.error)


def test_one_object_at_fault_leaves_the_others() -> None:
    """A push of two commits, one with a bad address: the other's link is wanted, and the letter says why."""
    commit = {"id": "a" * 40, "message": "PROJ-1: x", "url": "https://github.com/o/h/commit/a"}
    commits = [commit, {**commit, "id": "b" * 40, "url": "javascript:alert(1)"}]
    body = orjson.dumps(
        {"ref": "refs/heads/main", "repository": {"id": 1, "full_name": "o/h"}, "commits": commits}
    )
    value, headers = encode(Webhook("hooks", "github", "d1", {"x-github-event": "push"}, body, RECEIVED))
    item = PIPELINE(record(value, tuple(headers)))
    assert [change.subject.global_id[-41:] for change in item.changes] == ["/" + "a" * 40]
    assert (item.outcome, item.reason, str(item.error)[:5]) == (None, "bad_link", "url: ")
    assert item.detail is not None
    assert item.detail["advice"]


def test_a_site_that_adopts_says_so_in_its_changes() -> None:
    """Whether a link made by hand may be taken over is the site's to say."""
    adopting = replace(PIPELINE, adopting=frozenset(["main"]))
    assert [change.adopts for change in adopting(record(canonical())).changes] == [True]
    assert [change.adopts for change in PIPELINE(record(canonical())).changes] == [False]


def test_a_canonical_event_is_a_change_with_its_records_place() -> None:
    """Time from the event, timestamp and offset from the record."""
    (change,) = PIPELINE(record(canonical())).changes
    assert change.event == "//ci 1"
    assert change.version == Version(0, SECOND * 1_000_000, 0, SECOND * 1000, 7)


def test_a_webhook_is_known_by_its_delivery() -> None:
    """The bridge's own envelope beats whatever the body says it is."""
    body = canonical()
    webhook = Webhook("hooks", "github", "guid-1", {"x-github-event": "ping"}, body, RECEIVED)
    value, headers = encode(webhook)
    item = PIPELINE(record(value, tuple(headers)))
    assert (item.outcome, item.reason) == (Outcome.SKIPPED, "ping")
    assert item.event.endswith(" guid-1")


def test_the_future_is_rejected() -> None:
    """An event far ahead of its record would win over all news until then."""
    assert PIPELINE(record(canonical("2026-01-01T10:09:59Z"))).outcome is None
    item = PIPELINE(record(canonical("2026-01-01T10:10:01Z")))
    assert (item.outcome, item.reason) == (Outcome.REJECTED, "future")


@pytest.mark.parametrize("timestamp", [b"9000000000000", b"1"])
def test_no_header_brings_an_event_from_the_future(timestamp: bytes) -> None:
    """A first place that a producer made up does not move the moment that the event is judged by."""
    place = {"topic": b"t", "partition": b"0", "offset": b"1", "timestamp": timestamp}
    headers = (*CLOUDEVENT, *((f"bridge-dead-{name}", value) for name, value in place.items()))
    item = PIPELINE(record(canonical("2255-01-01T00:00:00Z"), headers))
    assert (item.outcome, item.reason) == (Outcome.REJECTED, "future")


def test_a_version_of_another_time_than_the_events_is_rejected() -> None:
    """A producer cannot make its event newer than it says to be."""
    version = Version(0, 9_000_000_000_000_000, 0, 1, 1).text().encode()
    item = PIPELINE(record(canonical(), (*CLOUDEVENT, ("bridge-dead-version", version))))
    assert (item.outcome, item.reason) == (Outcome.REJECTED, "bad_envelope")


def test_an_unknown_source_is_rejected() -> None:
    """A record of a source that is not installed here is told, not dropped."""
    webhook = Webhook("hooks", "gitbub", "guid-1", {}, b"{}", RECEIVED)
    value, headers = encode(webhook)
    item = PIPELINE(record(value, tuple(headers)))
    assert item.reason == "unknown_source"
    assert isinstance(item.error, UnknownSource)


def test_a_refused_link_comes_back_as_new_as_it_was() -> None:
    """Its letter, put back on a topic, is the same event with the same version."""
    link = Link.model_validate({"object": {"url": "https://ci.example/1", "title": "build 1"}})
    version = Version(360_002, SECOND * 1_000_000, 2, 5, 6)
    key = LinkKey("closed", "SHUT-1", "g")
    call = Call(CallKind.CREATE, key, link, "//ci event 1", version, Known.UNSEEN)
    _, value, headers = refused(call, JiraForbidden("403"), "events", 1_000_000)
    again = replay(Record("dead", 0, 3, SECOND * 1000, b"g", value, tuple(headers)))
    assert again.timestamp == version.timestamp
    (change,) = PIPELINE(record(again.value or b"", tuple(again.headers), offset=99)).changes
    assert (change.version, change.event) == (version, "//ci event 1")
    assert change.link is not None
    assert change.link.digest == link.digest
    assert (change.subject.site, change.issues) == ("closed", ("SHUT-1",))


def test_a_refused_link_that_is_too_long_is_cut() -> None:
    """The letter fits, says how long it was, and is still readable as an event."""
    thing = {"url": "https://ci.example/1", "title": "build 1", "summary": "x" * 5_000}
    link = Link.model_validate({"object": thing})
    call = Call(
        CallKind.CREATE, LinkKey("main", "PROJ-1", "g"), link, "//ci 1", Version(0, 1, 0, 1, 1), Known.UNSEEN
    )
    _, value, headers = refused(call, JiraTooManyLinks("413"), "events", 2_000)
    assert len(value) < 2_000
    assert int(dict(headers)["bridge-dead-cut"]) > 5_000
    assert isinstance(decode(record(value, tuple(headers))), Event)


@given(
    st.binary(),
    st.lists(st.tuples(st.sampled_from(["content-type", "bridge-endpoint", "ce_id"]), st.binary())),
)
def test_any_record_comes_to_something(value: bytes, headers: list[tuple[str, bytes]]) -> None:
    """Whatever the bytes, there are changes, a skip or a rejection with a reason; never an exception."""
    item = PIPELINE(replace(record(value), headers=tuple(headers)))
    assert item.changes or (item.outcome in {Outcome.SKIPPED, Outcome.REJECTED} and item.reason)
