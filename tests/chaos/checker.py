"""The checker: says of a run that has come to rest what was lost, doubled, regressed and the like.

It stands apart from the bridge and knows nothing of its code, only what is promised: of all that
was said of one link, the newest decides, whatever the order and number of arrivals. It reads the
topic's records itself, the history that Jira keeps, what stands there at the end, the dead
letters, the journal, and how far Kafka and the ledger say that the group has come.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from tests.chaos.wishes import Content, Place, Record, Wish, content, name_of, wish_of

_REPLAYED = "bridge-dead-version"
"""A refused link's letter has it, and its replay, which asks for nothing that was not asked before."""

WORDS = ("lost", "doubled", "regressed", "phantom", "needless", "committed_past")
PROMISE = {
    "every link reaches the state its newest event asks for": {"lost", "doubled", "regressed", "phantom"},
    "no event is dropped without a record of why": {"lost", "committed_past"},
    "an unchanged link is never written": {"needless"},
}
"""What is promised, with the words that tell of its breach."""
AFTER = "after any crash, rebalance, outage, duplicate or disorder"

Pair = tuple[str, str]
"""An issue's key, as it is at the end, and a globalId."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """All that is known of a run that has come to rest.

    `history` and `links` are the simulator's. `journal` has the ids of all events that the ledger
    tells of, None where no journal is left. `positions` and `committed` are the next offsets, by
    topic and partition. `moved` has issues' former keys with the new ones, `gone` the issues
    that were deleted. `is_excused`: what Jira refused need not stand, since a letter says why.
    """

    records: Sequence[Record]
    letters: Sequence[Record]
    history: Sequence[Mapping[str, Any]]
    links: Sequence[Mapping[str, Any]]
    journal: frozenset[str] | None
    positions: Mapping[tuple[str, int], int]
    committed: Mapping[tuple[str, int], int]
    is_excused: bool = True
    moved: Mapping[str, str] = field(default_factory=dict)
    gone: frozenset[str] = frozenset()


@dataclass(slots=True)
class Verdict:
    """What was found, a sentence each; `needless` has writes of what already stood."""

    lost: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    regressed: list[str] = field(default_factory=list)
    phantom: list[str] = field(default_factory=list)
    needless: list[str] = field(default_factory=list)
    committed_past: list[str] = field(default_factory=list)
    figures: dict[str, int] = field(default_factory=dict)

    @property
    def faults(self) -> dict[str, list[str]]:
        """Each word that applies, with its sentences."""
        return {word: found for word in WORDS if (found := getattr(self, word))}


def judge(evidence: Evidence) -> Verdict:
    """The verdict on a run that has come to rest."""
    verdict = Verdict()
    asked = _Asked(evidence)
    standing = _standing(evidence)
    _judge_records(evidence, verdict)
    _judge_links(evidence, asked, standing, verdict)
    _judge_history(evidence, asked, verdict)
    verdict.figures = {
        "events": len(evidence.records),
        "links": len(evidence.links),
        "writes": len(evidence.history),
        "needless": len(verdict.needless),
        "letters": sum("bridge-dead-reason" in letter.headers for letter in evidence.letters),
    }
    return verdict


# --- what was asked for --------------------------------------------------------------------


class _Asked:
    """The wishes by pair, newest last; what Jira refused stands in a dead letter."""

    def __init__(self, evidence: Evidence) -> None:
        self._moved = evidence.moved
        dead = _rejected(evidence)
        accepted = (
            record
            for record in evidence.records
            if record.place not in dead and _REPLAYED not in record.headers
        )
        wishes = _distinct(wish for record in accepted if (wish := wish_of(record)))
        sets: dict[str, list[Wish]] = defaultdict(list)
        self.pairs: dict[Pair, list[Wish]] = defaultdict(list)
        for wish in wishes:
            if wish.is_set:
                sets[wish.subject].append(wish)
            for issue in wish.issues:
                self.pairs[self.now(issue), wish.subject].append(wish)
        for (issue, subject), said in self.pairs.items():
            others = [one for one in sets[subject] if issue not in map(self.now, one.issues)]
            said.extend(one._replace(content=None) for one in others)
            said.sort(key=lambda wish: wish.order)
        self.refused = {
            (wish.event, self.now(issue))
            for letter in evidence.letters
            if evidence.is_excused and _REPLAYED in letter.headers and (wish := wish_of(letter))
            for issue in wish.issues
        }

    def now(self, issue: str) -> str:
        """The issue's key as it is at the end."""
        while issue in self._moved:
            issue = self._moved[issue]
        return issue

    def contents(self, pair: Pair) -> set[Content | None]:
        """All that was ever asked for there; None for no link."""
        return {wish.content for wish in self.pairs.get(pair, ())}


def _distinct(wishes: Iterable[Wish]) -> Iterator[Wish]:
    """Each event once: a duplicate changes nothing, so that the first in the topic counts."""
    first: dict[str, Wish] = {}
    for wish in wishes:
        known = first.setdefault(wish.event, wish)
        if wish.order < known.order:
            first[wish.event] = wish
    yield from first.values()


# --- the records ---------------------------------------------------------------------------


def _judge_records(evidence: Evidence, verdict: Verdict) -> None:
    """Each record has an outcome: in the journal, or in the dead-letter topic by its place."""
    open_: dict[tuple[str, int], int] = {}
    for record in untold(evidence):
        verdict.lost.append(f"{record.place}: neither in the journal nor in a dead letter")
        key = record.place[:2]
        open_[key] = min(record.place.offset, open_.get(key, record.place.offset))
    for name, reached in (("ledger", evidence.positions), ("commit", evidence.committed)):
        for key, offset in open_.items():
            if reached.get(key, 0) > offset:
                verdict.committed_past.append(f"{name} of {key} is {reached[key]}, {offset} has no outcome")
    for key, offset in evidence.committed.items():
        if offset > evidence.positions.get(key, 0):
            verdict.committed_past.append(
                f"commit of {key} is {offset}, ledger {evidence.positions.get(key)}"
            )


def untold(evidence: Evidence) -> list[Record]:
    """The records of which neither the journal tells, by their event, nor a dead letter, by their place."""
    dead = _rejected(evidence)
    return [
        record
        for record in evidence.records
        if record.place not in dead and not _is_told(record, evidence.journal)
    ]


def _is_told(record: Record, journal: frozenset[str] | None) -> bool:
    wish = wish_of(record)
    if journal is None:
        return wish is not None
    return (wish.event if wish else name_of(record)) in journal


def _rejected(evidence: Evidence) -> set[Place]:
    """The places of the records that stand in the dead-letter topic, with the reason."""
    return {place for letter in evidence.letters if (place := _origin(letter))}


def _origin(letter: Record) -> Place | None:
    try:
        topic, partition, offset = (
            letter.headers["bridge-dead-" + part].decode() for part in ("topic", "partition", "offset")
        )
        return Place(topic, int(partition), int(offset))
    except (KeyError, ValueError):
        return None


# --- the links -----------------------------------------------------------------------------


def _standing(evidence: Evidence) -> dict[Pair, Content]:
    return {(str(link["issue"]), str(link["globalId"])): content(link["body"]) for link in evidence.links}


def _judge_links(
    evidence: Evidence, asked: _Asked, standing: Mapping[Pair, Content], verdict: Verdict
) -> None:
    _find_doubles(evidence, verdict)
    written = _written(evidence, asked)
    for pair in standing.keys() - asked.pairs.keys():
        verdict.phantom.append(f"{pair}: stands, and no event asks for it")
    for pair, wishes in asked.pairs.items():
        newest, found = wishes[-1], standing.get(pair)
        if found == newest.content or pair[0] in evidence.gone:
            continue
        if (newest.event, pair[0]) in asked.refused:
            continue  # the dead letter is the record of why
        if newest.content in written.get(pair, ()) and found in asked.contents(pair):
            verdict.regressed.append(
                f"{pair}: {_named(found)} stands over the newer {_named(newest.content)}"
            )
        else:
            verdict.lost.append(
                f"{pair}: {newest.event} asks for {_named(newest.content)}, not {_named(found)}"
            )


def _find_doubles(evidence: Evidence, verdict: Verdict) -> None:
    """One link a subject on an issue: the load gives each subject a URL of its own."""
    seen: set[tuple[str, str, str]] = set()
    for link in evidence.links:
        names = {("globalId", str(link["globalId"])), ("url", str(content(link["body"]).url))}
        for kind, name in names:
            if (link["issue"], kind, name) in seen:
                verdict.doubled.append(f"{link['issue']}: two links of {kind} {name}")
            seen.add((str(link["issue"]), kind, name))


def _written(evidence: Evidence, asked: _Asked) -> dict[Pair, set[Content | None]]:
    """What was ever written to each pair; None where it was deleted."""
    written: dict[Pair, set[Content | None]] = defaultdict(set)
    for entry in evidence.history:
        pair = asked.now(str(entry["issue"])), str(entry["globalId"])
        written[pair].add(content(entry["body"]) if entry["body"] else None)
    return written


# --- the history ---------------------------------------------------------------------------


class _Line(NamedTuple):
    pair: Pair
    content: Content | None


def _judge_history(evidence: Evidence, asked: _Asked, verdict: Verdict) -> None:
    """Nothing is written that nobody asked for, and nothing that already stands."""
    standing: dict[int, Any] = {}
    for entry in evidence.history:
        body = entry["body"]
        line = _Line(
            (asked.now(str(entry["issue"])), str(entry["globalId"])), content(body) if body else None
        )
        if line.content not in asked.contents(line.pair):
            verdict.phantom.append(f"{line.pair}: {entry['action']} {_named(line.content)}, asked by nobody")
        if body is not None and standing.get(entry["id"]) == body:
            verdict.needless.append(f"{line.pair}: {_named(line.content)} was written where it stood")
        standing[entry["id"]] = body


def _named(found: Content | None) -> str:
    return "no link" if found is None else repr(found.title)
