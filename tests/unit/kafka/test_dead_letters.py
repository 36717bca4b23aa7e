"""Dead letters on the wire: away, marked, and back as they were."""

from __future__ import annotations

from dataclasses import replace

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge import __version__
from bridge.errors import BadBody, BadEnvelope, BadLink, BridgeError, JiraForbidden
from bridge.kafka.dead_letters import (
    Fate,
    Origin,
    Outgoing,
    Place,
    dead_letter,
    has_home,
    is_letter,
    marker,
    origin,
    read_marker,
    refused,
    refused_version,
    replay,
)
from bridge.kafka.envelope import Headers
from bridge.model import Call, CallKind, Known, Link, LinkKey, Record, Version

PROGRAM = f"jira-link-bridge/{__version__}".encode()
WROTE = 1_767_225_600_000
THING = {"url": "https://ci.example/1", "title": "build 1"}


def record(value: bytes | None, *headers: tuple[str, bytes]) -> Record:
    """A record with that value and those headers."""
    return Record("events", 3, 41, WROTE, b"key", value, headers)


def lettered(found: tuple[bytes | None, bytes | None, Headers], offset: int = 900) -> Record:
    """The dead letter as it stands in its topic."""
    key, value, headers = found
    return Record("dead", 0, offset, 1_800_000_000_000, key, value, tuple(headers))


def died(was: Record, error: BridgeError | None = None) -> Record:
    """The record as a dead letter that was not cut."""
    return lettered(dead_letter(was, error or BadBody("no JSON"), 100_000_000))


def published(outgoing: Outgoing, offset: int = 5_000) -> Record:
    """The outgoing record as it stands in its topic."""
    assert outgoing.timestamp is not None
    return Record(
        outgoing.topic,
        3,
        offset,
        outgoing.timestamp,
        outgoing.key,
        outgoing.value,
        tuple(outgoing.headers),
    )


def own(headers: Headers | tuple[tuple[str, bytes], ...]) -> Headers:
    """The headers that are not the bridge's."""
    return [(name, value) for name, value in headers if not name.lower().startswith("bridge-dead-")]


names = st.text(max_size=400) | st.sampled_from(
    ["a", "Bridge-Dead-Offset", "bridge-dead-attempts", "bridge-dead-reason", "bridge-dead-fate"]
)
values = st.binary(max_size=2_000) | st.sampled_from([b"0", b"7", b"replayed"])
records = st.builds(
    Record,
    st.just("events"),
    st.integers(0, 10_000),
    st.integers(0, 10**18 - 1),
    st.integers(0, 10**18 - 1),
    st.none() | st.binary(max_size=3_000),
    st.none() | st.binary(max_size=6_000),
    st.lists(st.tuples(names, values), max_size=5).map(tuple),
)


def test_a_dead_letter_keeps_its_record_and_says_why() -> None:
    """Key, value and headers are those of the record; beside them stand the reason and the origin."""
    key, value, headers = dead_letter(record(b"body", ("a", b"1")), BadBody("no JSON"), 1_000_000)
    assert (key, value) == (b"key", b"body")
    assert dict(headers) == {
        "a": b"1",
        "bridge-dead-format": b"1",
        "bridge-dead-program": PROGRAM,
        "bridge-dead-reason": b"bad_body",
        "bridge-dead-error-class": b"BadBody",
        "bridge-dead-error": b"no JSON",
        "bridge-dead-topic": b"events",
        "bridge-dead-partition": b"3",
        "bridge-dead-offset": b"41",
        "bridge-dead-timestamp": b"1767225600000",
        "bridge-dead-attempts": b"1",
    }


@pytest.mark.parametrize("link", [Link.model_validate({"object": THING}), None])
def test_a_refused_links_letter_says_what_jira_said(link: Link | None) -> None:
    """The event that asks for the link, how new it is, where it goes back to, and Jira's two ids."""
    version = Version(1, 1_767_225_600_000_000, 2, WROTE, 41)
    key = LinkKey("main", "PROJ-1", "g")
    call = Call(CallKind.CREATE, key, link, "//ci 71", version, Known.UNSEEN, attempts=2)
    error = JiraForbidden("403", trace_id="trace", request_id="request")
    record_key, value, headers = refused(call, error, "events", 1_000_000)
    assert record_key == b"g"
    event = orjson.loads(value)
    assert event["type"] == ("remotelink.upsert" if link else "remotelink.delete")
    wanted = {"object": THING} if link else {}
    assert event["data"] == {"site": "main", "issue": "PROJ-1", "globalId": "g", **wanted}
    assert dict(headers) == {
        "content-type": b"application/cloudevents+json",
        "bridge-dead-format": b"1",
        "bridge-dead-program": PROGRAM,
        "bridge-dead-reason": b"jira_forbidden",
        "bridge-dead-error-class": b"JiraForbidden",
        "bridge-dead-error": b"403",
        "bridge-dead-trace-id": b"trace",
        "bridge-dead-request-id": b"request",
        "bridge-dead-topic": b"events",
        "bridge-dead-timestamp": b"1767225600000",
        "bridge-dead-version": version.text().encode(),
        "bridge-dead-attempts": b"3",
    }


@given(records)
def test_what_is_replayed_is_the_record_as_it_was(was: Record) -> None:
    """Topic, key, value, headers and timestamp are the first ones, and the place is still known."""
    letter = died(was)
    assert is_letter(letter)
    again = replay(letter)
    first = origin(was)
    assert (again.topic, again.timestamp) == (first.topic, first.timestamp)
    assert (again.key, again.value) == (was.key, was.value)
    assert own(again.headers) == own(was.headers)
    assert origin(published(again)) == first


@given(records, st.integers(1, 5))
def test_every_judgement_counts(was: Record, times: int) -> None:
    """A record that is rejected after each replay says how often it was judged, and where it stood first."""
    known = replace(was, headers=tuple(own(was.headers)))
    letter = died(known)
    for _ in range(times - 1):
        letter = died(published(replay(letter)), BadLink("no title"))
    assert letter.header("bridge-dead-attempts") == str(times)
    assert letter.header("bridge-dead-reason") == ("bad_body" if times == 1 else "bad_link")
    assert origin(letter) == origin(known)
    assert [name for name, _ in letter.headers].count("bridge-dead-offset") == 1


def test_a_refused_link_that_is_rejected_later_is_still_as_new_as_it_was() -> None:
    """Its version stays with it, also when its replay does not reach Jira."""
    version = Version(1, 2, 3, 4, 5)
    call = Call(CallKind.DELETE, LinkKey("main", "PROJ-1", "g"), None, "//ci 71", version, Known.UNSEEN)
    first = lettered(refused(call, JiraForbidden("403"), "events", 1_000_000))
    second = died(published(replay(first)), BadLink("no such site"))
    assert refused_version(published(replay(second)), 2) == version


@pytest.mark.parametrize("topic", [b"", b"no topic's name", b"x" * 250, b"dead"])
def test_what_could_not_go_back_has_no_home(topic: bytes) -> None:
    """A letter that names no topic, or one that is not read, has none to go back to."""
    letter = died(record(b"body"))
    assert has_home(letter, {"events"})
    assert not has_home(replace(letter, headers=(*letter.headers, ("bridge-dead-topic", topic))), {"events"})


@pytest.mark.parametrize(
    "text",
    [
        b"0.fffffffffffffff.0.0.0",
        b"-000000000000001.0000000000000002.03.000000000004.0000000000000005",
        b"0000000000000001.0000000000000002.03.000000000004",
        b"0000000000000001.0000000000000002.03.000000000004.0000000000000005\n",
        b"0000000000000001.0000000000000003.03.000000000004.0000000000000005",
        b"",
    ],
)
def test_a_version_that_no_letter_has_is_not_believed(text: bytes) -> None:
    """Only the form that a letter has is read, and only of the event's own time."""
    with pytest.raises(BadEnvelope, match="bridge-dead-version"):
        refused_version(record(b"{}", ("bridge-dead-version", text)), 2)


@given(st.binary() | st.from_regex(r"[0-9a-f.+_-]{60,70}", fullmatch=True).map(str.encode))
def test_a_version_is_read_as_it_is_written_or_not_at_all(text: bytes) -> None:
    """Whatever stands in the header, a version that is read is written as the same text."""
    try:
        version = refused_version(record(b"{}", ("bridge-dead-version", text)), 2)
    except BadEnvelope:
        return
    assert version is not None
    assert version.text().encode() == text


def test_a_letter_of_another_format_is_no_letter() -> None:
    """Only the format that this version writes is read."""
    letter = died(record(b"body"))
    assert not is_letter(replace(letter, headers=(*letter.headers, ("bridge-dead-format", b"2"))))


def test_a_record_of_its_own_is_its_own_origin() -> None:
    """A record that was never rejected stands where it stands, also when a header of it is odd."""
    odd = [("bridge-dead-topic", b"x"), ("bridge-dead-partition", b"0"), ("bridge-dead-timestamp", b"5")]
    found = origin(record(b"", *odd, ("bridge-dead-offset", b"-1")))
    assert found == Origin("events", 3, 41, WROTE)


@given(records, st.text(max_size=2_000))
def test_a_dead_letter_fits_its_topic(was: Record, error: str) -> None:
    """Whatever the record, its letter is not longer than the topic takes, and keeps its origin."""
    letter = lettered(dead_letter(was, BadBody(error), max_bytes=4_000))
    whole = len(letter.key or b"") + len(letter.value or b"")
    assert whole + sum(len(name.encode()) + len(text) for name, text in letter.headers) <= 4_000
    assert origin(letter) == origin(was)
    if letter.header("bridge-dead-cut") is None:
        assert letter.value == was.value
    else:
        assert letter.header("bridge-dead-cut") == str(len(was.value or b""))


@given(st.integers(0, 10**18 - 1), st.integers(0, 10**18 - 1), st.sampled_from(Fate))
def test_a_mark_names_its_letter(partition: int, offset: int, fate: Fate) -> None:
    """A marker is read as the place and the fate that it was made of, and is no letter."""
    place = Place(partition, offset)
    made = marker("dead", place, fate)
    stands = Record(made.topic, 0, 1, 2, made.key, made.value, tuple(made.headers))
    assert read_marker(stands) == (place, fate)
    assert not is_letter(stands)
    assert made.key == f"{partition}/{offset}".encode()
    assert made.value is not None


@given(records)
def test_no_letter_can_pose_as_a_mark(was: Record) -> None:
    """Whatever headers a record had, its letter is read as a letter."""
    pretending = (("bridge-dead-letter", b"0/1"), ("bridge-dead-fate", b"discarded"))
    assert read_marker(died(replace(was, headers=was.headers + pretending))) is None


@pytest.mark.parametrize(
    "text", ["", "3", "3/", "/3", "3/4/5", "-1/2", "a/b", "1" * 19 + "/1", "\u0663/\u0661"]
)
def test_what_is_no_place(text: str) -> None:
    """Only two numbers with a slash between them are a place."""
    with pytest.raises(ValueError, match=f"^{text}$"):
        Place.parse(text)
