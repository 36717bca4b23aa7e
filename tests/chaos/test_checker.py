"""The checker is right about histories that are known to be wrong, and about clean ones."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from itertools import islice
from typing import Any

import pytest

from tests.brokers import ROOT
from tests.chaos.checker import AFTER, PROMISE, WORDS, Evidence, Verdict, judge
from tests.chaos.load import Load, pull_request, webhook
from tests.chaos.run import ALL
from tests.chaos.wishes import Place, Record, wish_of

TOPIC = "events"


def body(title: str, number: int = 1) -> dict[str, Any]:
    return {"object": {"url": f"https://ci.example/{number}", "title": title, "status": {}}}


def record(offset: int, title: str | None, minute: int, issue: str = "DEMO-1", **changed: Any) -> Record:
    event = {
        "specversion": "1.0",
        "id": f"event-{minute}",
        "source": "ci",
        "type": "remotelink.upsert" if title else "remotelink.delete",
        "time": f"2026-01-01T00:{minute:02}:00Z",
        "data": {"issue": issue, "globalId": "one", **(body(title) if title else {})},
        **changed,
    }
    return Record(Place(TOPIC, 0, offset), 1_000 + offset, {}, json.dumps(event).encode())


def write(
    title: str | None, number: int = 7, issue: str = "DEMO-1", global_id: str = "one"
) -> dict[str, Any]:
    action = "deleted" if title is None else "updated"
    shown = None if title is None else body(title)
    return {"issue": issue, "action": action, "id": number, "globalId": global_id, "body": shown}


def link(title: str, issue: str = "DEMO-1", global_id: str | None = "one", url: int = 1) -> dict[str, Any]:
    return {"issue": issue, "id": 7, "globalId": global_id, "body": body(title, url)}


def letter(offset: int, place: int) -> Record:
    headers = {
        "bridge-dead-topic": b"events",
        "bridge-dead-partition": b"0",
        "bridge-dead-offset": b"%d" % place,
    }
    return Record(Place("dead", 0, offset), 1_000, headers, b"")


CLEAN = Evidence(
    records=[record(0, "old", 1), record(1, "new", 2), record(2, "old", 1)],
    letters=[],
    history=[write("old"), write("new")],
    links=[link("new")],
    journal=frozenset({"ci event-1", "ci event-2"}),
    positions={(TOPIC, 0): 3},
    committed={(TOPIC, 0): 3},
)
"""Two versions of one link, the older of which was delivered twice."""


def test_a_clean_run_has_no_faults() -> None:
    """Two versions and a redelivery, with the newest standing: nothing is wrong."""
    verdict = judge(CLEAN)
    assert verdict.faults == {}
    assert verdict.figures == {"events": 3, "links": 1, "writes": 2, "needless": 0, "letters": 0}


PLANTED = {
    "lost": replace(CLEAN, history=[write("old")], links=[link("old")]),
    "doubled": replace(
        CLEAN,
        links=[link("new"), link("new", global_id="One")],
        records=[
            *CLEAN.records,
            record(3, "new", 3, data={"issue": "DEMO-1", "globalId": "One", **body("new")}),
        ],
        journal=CLEAN.journal and CLEAN.journal | {"ci event-3"},
    ),
    "regressed": replace(CLEAN, history=[write("new"), write("old")], links=[link("old")]),
    "phantom": replace(CLEAN, links=[link("new"), link("new", "DEMO-2")]),
    "needless": replace(CLEAN, history=[write("old"), write("new"), write("new")]),
}


@pytest.mark.parametrize("word", PLANTED)
def test_a_planted_fault_is_found_by_its_word(word: str) -> None:
    """Each history has one thing wrong with it, and the checker says that and nothing else."""
    assert set(judge(PLANTED[word]).faults) == {word}


def test_a_position_beyond_a_record_without_outcome_is_committed_past() -> None:
    """An event that neither journal nor dead letter tells of is lost, and was passed over by both."""
    verdict = judge(
        replace(CLEAN, journal=frozenset({"ci event-1"}), history=[write("old")], links=[link("old")])
    )
    assert len(verdict.committed_past) == 2
    assert verdict.lost[0] == f"{Place(TOPIC, 0, 1)}: neither in the journal nor in a dead letter"


def test_an_offset_beyond_the_ledger_is_committed_past() -> None:
    """Kafka's offset may not be ahead of the ledger, which has yet to merge what it names."""
    assert set(judge(replace(CLEAN, positions={(TOPIC, 0): 2})).faults) == {"committed_past"}


def test_a_write_that_nobody_asked_for_is_a_phantom_though_it_is_gone() -> None:
    """A content that no event had was written, and written over."""
    assert set(judge(replace(CLEAN, history=[write("mine"), write("new")])).faults) == {"phantom"}


def test_a_deletion_that_nobody_asked_for_is_a_phantom() -> None:
    """The link was deleted and made again, though no event speaks of its end."""
    history = [write("old"), write(None), write("new", 8)]
    assert set(judge(replace(CLEAN, history=history)).faults) == {"phantom"}


def test_a_lost_delete_is_told_from_one_that_came_back() -> None:
    """A delete that was never done is lost; one after which the link was made again is a regression."""
    records = [record(0, "old", 1), record(1, None, 2)]
    left = replace(CLEAN, records=records, history=[write("old")], links=[link("old")])
    assert set(judge(left).faults) == {"lost"}
    back = replace(left, history=[write("old"), write(None), write("old", 8)])
    assert set(judge(back).faults) == {"regressed"}


def test_a_rejected_record_needs_its_dead_letter() -> None:
    """Bytes that are no event are accounted for by a letter that names their place, and lost without."""
    bad = Record(Place(TOPIC, 0, 3), 1_003, {}, b"\xff{")
    records = [*CLEAN.records, bad]
    assert set(judge(replace(CLEAN, records=records)).faults) == {"lost"}
    assert judge(replace(CLEAN, records=records, letters=[letter(0, 3)])).faults == {}


def test_a_link_that_jira_refused_is_accounted_for_by_its_letter() -> None:
    """The letter of a refused link is the event itself; what stood before may stand."""
    asked = record(1, "new", 2)
    refused = replace(asked, headers={"bridge-dead-version": b"1"})
    run = replace(CLEAN, history=[write("old")], links=[link("old")])
    assert judge(replace(run, letters=[refused])).faults == {}


def test_a_moved_issue_is_one_issue() -> None:
    """What was written under the former key stands under the new one."""
    run = replace(CLEAN, links=[link("new", "NEW-1")], moved={"DEMO-1": "NEW-1"})
    assert judge(run).faults == {}
    assert set(judge(replace(run, moved={})).faults) == {"lost", "phantom"}


def test_a_set_takes_its_link_off_what_it_no_longer_names() -> None:
    """The newer version of a pull request names another issue: the link must leave the first."""
    first, second = (
        pull_request(1, key, "open", datetime(2026, 1, 1, hour, tzinfo=UTC))
        for hour, key in ((1, "DEMO-1"), (2, "DEMO-2"))
    )
    records = []
    for offset, (delivery, document) in enumerate((("b", second), ("a", first))):
        message = webhook("pull_request", delivery, json.dumps(document).encode(), "1")
        records.append(Record(Place(TOPIC, 0, offset), 1_000, dict(message.headers), message.value))
    shown = {
        "object": {
            "url": "https://github.com/aurora-labs/harbor/pull/1",
            "summary": "topic into main, by wren",
        }
    }
    subject = "system=github:github.com&type=pull_request&id=7301/1"

    def standing(issue: str) -> dict[str, Any]:
        title = f"aurora-labs/harbor #1: {issue} change 1"
        content = {"object": shown["object"] | {"title": title}}
        return {"issue": issue, "id": 7, "globalId": subject, "body": content, "action": "created"}

    source = "https://github.com/aurora-labs/harbor"
    run = replace(
        CLEAN,
        records=records,
        journal=frozenset({f"{source} a", f"{source} b"}),
        history=[standing("DEMO-2")],
        links=[standing("DEMO-2")],
        positions={(TOPIC, 0): 2},
        committed={},
    )
    assert judge(run).faults == {}
    stale = replace(run, links=[standing("DEMO-1"), standing("DEMO-2")])
    assert set(judge(stale).faults) == {"lost"}


def test_the_load_is_the_same_for_the_same_seed() -> None:
    """Three hundred messages twice: the same bytes, each of them a wish that the checker reads."""
    load = Load(7, datetime(2026, 1, 1, tzinfo=UTC))
    first, again = (list(islice(load.messages(), 300)) for _ in range(2))
    assert [(each.key, each.value) for each in first] == [(each.key, each.value) for each in again]
    records = [Record(Place(TOPIC, 0, n), n, dict(each.headers), each.value) for n, each in enumerate(first)]
    assert all(map(wish_of, records))
    assert len({each.value for each in first}) < len(first)


def test_the_promise_is_word_for_word_what_is_checked() -> None:
    """README, and the page of faults, promise what the checker's words tell of, and after what."""
    promise = f"*{AFTER}, {'; '.join(PROMISE)}.*"
    for page in ("README.md", "docs/faults.md"):
        assert promise in " ".join((ROOT / page).read_text("utf-8").split()), page
    assert set[str]().union(*PROMISE.values()) == set(WORDS) == set(Verdict.__slots__) - {"figures"}
    rows = " ".join(f"{fault.name} {fault.how}" for fault in ALL)
    for occasion in (
        "crash",
        "rebalance",
        "down for a minute",
        "away for a minute",
        "duplicates",
        "disorder",
    ):
        assert occasion in rows
