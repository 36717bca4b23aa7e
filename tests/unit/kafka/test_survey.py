"""What a list of dead letters finds on the topic, whatever stands there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.errors import BadBody, JiraForbidden
from bridge.kafka.dead_letters import Fate, Place, dead_letter, marker, refused
from bridge.kafka.survey import Letter, Query, Status, Survey
from bridge.model import Call, CallKind, Known, LinkKey, Record, Version

HOUR = 3_600_000
NOW = 1_767_225_600_000
OLDEST = NOW - 24 * HOUR
GITHUB = (
    ("bridge-endpoint", b"hooks"),
    ("bridge-source", b"github"),
    ("bridge-format", b"1"),
    ("bridge-delivery-id", b"guid-1"),
    ("bridge-received-at", b"2026-01-01T00:00:00Z"),
)
CLOUDEVENT = (("content-type", b"application/cloudevents+json"),)


def letter(
    offset: int = 0, value: bytes = b"{}", *headers: tuple[str, bytes], at: int = NOW, most: int = 1_000_000
) -> Record:
    """A rejected record as it stands on the dead-letter topic."""
    was = Record("events", 3, 41, at, b"key", value, headers)
    key, body, dead = dead_letter(was, BadBody("no JSON"), most)
    return Record("dead", 0, offset, at, key, body, tuple(dead))


def refused_letter(offset: int = 0, site: str = "main", issue: str = "PROJ-7") -> Record:
    """A refused link as it stands there."""
    call = Call(
        CallKind.DELETE, LinkKey(site, issue, "g"), None, "//ci 71", Version(0, 1, 0, NOW, 5), Known.UNSEEN
    )
    key, value, headers = refused(call, JiraForbidden("403", trace_id="trace"), "events", 1_000_000)
    return Record("dead", 1, offset, NOW, key, value, tuple(headers))


def mark(place: Place, fate: Fate, offset: int = 0) -> Record:
    """A marker as it stands there."""
    made = marker("dead", place, fate)
    return Record("dead", 2, offset, NOW, made.key, made.value, tuple(made.headers))


def found(records: Sequence[Record], **asked: Any) -> list[Letter]:
    """What a survey of the records finds."""
    survey = Survey(Query(**asked), OLDEST, {"events"})
    for record in records:
        survey.add(record)
    return survey.letters()


def test_a_letter_is_told_with_its_events_names() -> None:
    """A webhook by its delivery, a refused link by its event, site, issue and Jira's trace."""
    one, two = found([letter(0, b"{}", *GITHUB), refused_letter(8)])
    assert (one.place, one.status, one.reason) == (Place(0, 0), Status.OPEN, "bad_body")
    assert (one.event, one.source, one.attempts) == ("guid-1", "github", 1)
    assert (one.topic, one.partition, one.offset, one.timestamp) == ("events", 3, 41, NOW)
    assert (two.place, two.status, two.reason) == (Place(1, 8), Status.OPEN, "jira_forbidden")
    assert (two.event, two.source, two.site, two.issue) == ("71", "//ci", "main", "PROJ-7")
    assert (two.topic, two.partition, two.trace_id) == ("events", None, "trace")


def test_what_cannot_be_replayed_says_so() -> None:
    """A letter that was cut, one of a record that is too old, and a record of somebody else's."""
    cut = letter(0, b"x" * 5_000, most=2_000)
    old = letter(1, at=OLDEST - 1)
    foreign = Record("dead", 0, 2, NOW, None, None)
    statuses = {each.place.offset: each.status for each in found([cut, old, foreign])}
    assert statuses == {0: Status.CUT, 1: Status.EXPIRED, 2: Status.FOREIGN}


@pytest.mark.parametrize(
    "forged",
    [
        ("bridge-dead-topic", b"payments"),
        ("bridge-dead-topic", b"dead"),
        ("bridge-dead-timestamp", b"99999999999999"),
        ("bridge-dead-timestamp", b"soon"),
    ],
)
def test_a_letter_that_has_no_home_is_foreign(forged: tuple[str, bytes]) -> None:
    """One for a topic that is not read, or of a later moment than its own, tells its reason and stays."""
    sound = letter()
    (told,) = found([replace(sound, headers=(*sound.headers, forged))])
    assert (told.status, told.reason) == (Status.FOREIGN, "bad_body")


def test_clocks_that_differ_a_little_make_no_letter_foreign() -> None:
    """Who wrote the record may be some minutes ahead of who rejected it."""
    (told,) = found([replace(letter(), timestamp=NOW - 300_000)])
    assert told.status is Status.OPEN


def test_the_oldest_stands_first() -> None:
    """Letters are in the order in which they were rejected, across partitions."""
    letters = [letter(2, at=NOW - 5), letter(1, at=NOW), letter(0, at=NOW - 9)]
    assert [each.place.offset for each in found(letters)] == [0, 2, 1]


@given(
    st.permutations([*(letter(offset) for offset in range(5)), *(refused_letter(n) for n in range(2))]),
    st.lists(
        st.tuples(st.integers(0, 1), st.integers(0, 6), st.sampled_from(Fate)),
        max_size=6,
        unique_by=lambda each: each[:2],
    ),
    st.randoms(use_true_random=False),
)
def test_a_mark_counts_wherever_it_stands(
    letters: list[Record], marks: list[tuple[int, int, Fate]], chance: Any
) -> None:
    """Partitions are read in any order: a letter has its fate, also when its mark was read before it."""
    topic = letters + [
        mark(Place(partition, offset), fate, number) for number, (partition, offset, fate) in enumerate(marks)
    ]
    chance.shuffle(topic)
    fates = {Place(partition, offset): Status(fate) for partition, offset, fate in marks}
    assert {each.place: each.status for each in found(topic)} == {
        Place(each.partition, each.offset): fates.get(Place(each.partition, each.offset), Status.OPEN)
        for each in letters
    }


@pytest.mark.parametrize(
    ("asked", "offsets"),
    [
        ({}, [0, 1, 2, 3]),
        ({"places": frozenset([Place(0, 1), Place(0, 9)])}, [1]),
        ({"reason": "jira_forbidden"}, [2]),
        ({"reason": "bad_body"}, [0, 1, 3]),
        ({"site": "main"}, [2]),
        ({"site": "other"}, []),
        ({"source": "GitHub"}, [0]),
        ({"source": "ci"}, [1, 2]),
        ({"project": "PROJ"}, [0, 1, 2]),
        ({"project": "proj"}, [0, 1, 2]),
        ({"project": "ROJ"}, []),
        ({"older_than": NOW}, [3]),
        ({"newer_than": NOW - HOUR}, [0, 1, 2]),
        ({"reason": "bad_body", "project": "PROJ", "source": "//ci"}, [1]),
    ],
)
def test_a_letter_is_found_by_what_is_asked(asked: dict[str, Any], offsets: list[int]) -> None:
    """Each filter alone and several together; a key may follow an escape in the JSON."""
    event = {"specversion": "1.0", "id": "1", "source": "//CI", "type": "t", "data": {"text": "a\nPROJ-1"}}
    topic = [
        letter(0, b'{"ref": "feature/proj-12"}', *GITHUB),
        letter(1, orjson.dumps(event), *CLOUDEVENT),
        refused_letter(2),
        letter(3, b"PROJ- PROJX-1", at=NOW - HOUR),
    ]
    assert sorted(each.place.offset for each in found(topic, **asked)) == offsets


names = st.sampled_from(
    [
        *("format", "reason", "topic", "partition", "offset", "timestamp", "attempts", "cut", "version"),
        *("letter", "fate"),
    ]
).map("bridge-dead-{}".format) | st.sampled_from(["content-type", "bridge-endpoint", "ce_specversion", "x"])
values = st.binary() | st.sampled_from(
    [b"1", b"events", b"0/1", b"replayed", b"application/cloudevents+json"]
)


@given(
    st.lists(
        st.builds(
            Record,
            st.just("dead"),
            st.integers(0, 3),
            st.integers(0, 99),
            st.integers(-1, 2**63 - 1),
            st.none() | st.binary(),
            st.none()
            | st.binary()
            | st.just(b'{"specversion": "1.0", "id": "1", "source": "s", "type": "t"}'),
            st.lists(st.tuples(names, values)).map(tuple),
        ),
        unique_by=lambda record: (record.partition, record.offset),
    ),
    st.sampled_from([{}, {"project": "PROJ"}, {"source": "s"}, {"site": "main"}, {"reason": "1"}]),
)
def test_anything_may_stand_on_the_topic(records: list[Record], asked: dict[str, Any]) -> None:
    """Whatever the records, each is a letter, a marker or foreign, and what is open could go back."""
    every = found(records)
    assert len(every) <= len(records)
    assert {each.place for each in found(records, **asked)} <= {each.place for each in every}
    for each in every:
        assert each.status is not Status.OPEN or (each.topic and each.timestamp is not None)


def test_a_foreign_record_is_told_without_its_contents() -> None:
    """What is not ours tells its place and size only, so that no filter but the place and time finds it."""
    foreign = replace(letter(0, b"PROJ-1", *GITHUB), headers=GITHUB)
    (told,) = found([foreign])
    assert told == Letter(Place(0, 0), Status.FOREIGN, NOW, 6)
    assert not found([foreign], source="github")
