"""The program on one page: what one Kafka record comes to.

A record is a webhook in the bridge's envelope or a CloudEvent. Its source turns a webhook into
an event; the mapping turns the event into wishes; with the record's place in the topic a wish
becomes a change. Whatever cannot go on ends as a skip or a rejection, with its reason.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from bridge.errors import FromTheFuture, SourceFailed, UnknownSource, Unmappable
from bridge.kafka.dead_letters import Origin, origin, refused_version
from bridge.kafka.envelope import decode
from bridge.mapping.mapper import Mapper, Wish
from bridge.model import Change, Event, Outcome, Record, Subject, Version, Webhook, microseconds
from bridge.ports import Item, Source


@dataclass(frozen=True, slots=True)
class Pipeline:
    """Record to item.

    `max_future` is in seconds, ahead of the record's timestamp, or of that
    of its first place where that is earlier; `adopting` are the sites where
    links that others made may be taken over.
    """

    sources: Mapping[str, Source]
    mapper: Mapper
    max_future: float
    adopting: frozenset[str] = frozenset()

    def __call__(self, record: Record) -> Item:
        """The changes that the record asks for, or why there are none. Never raises."""
        place = origin(record)
        known_as = f"{place.topic} {place.partition}/{place.offset}"
        kind = ""
        try:
            found = decode(record)
            if isinstance(found, Webhook):
                known_as, kind = f"{found.endpoint} {found.delivery_id}", found.source
            event = self.event(found)
            known_as, kind = f"{event.source} {event.id}", event.kind
            mapped, version = self.mapper.map(event), refused_version(record, microseconds(event.time))
            newest = max((wish.time for wish in mapped.wishes), default=event.time)
            self._check_time(newest, min(place.timestamp, record.timestamp))
        except Unmappable as error:
            return _rejected(known_as, kind, error)
        except Exception as fault:  # noqa: BLE001 - one source's code must not stop all the others
            return _rejected(known_as, kind, SourceFailed(f"{_place(fault)}. {SourceFailed.advice}"))
        told = {"type": event.type, "kind": kind}
        if mapped.skipped is not None:
            return Item(known_as, outcome=Outcome.SKIPPED, reason=mapped.skipped, detail=told)
        changes = (change(wish, known_as, place, adopts=wish.site in self.adopting) for wish in mapped.wishes)
        if version is not None:  # a wish that Jira had refused, asked for again: as new as it was then
            changes = (replace(each, version=version) for each in changes)
        if mapped.fault is None:
            return Item(known_as, tuple(changes), detail=told)
        told |= {"error": str(mapped.fault), "advice": mapped.fault.advice}
        return Item(known_as, tuple(changes), None, mapped.fault.code, told, mapped.fault)

    def event(self, found: Webhook | Event) -> Event:
        """The event in a webhook, or the one that came as such. Raises Unmappable."""
        if isinstance(found, Event):
            return found
        source = self.sources.get(found.source)
        if source is None:
            raise UnknownSource(f"No source {found.source!r} is installed. {UnknownSource.advice}")
        return source.event(found)

    def _check_time(self, time: datetime, timestamp: int) -> None:
        ahead = microseconds(time) / 1e6 - timestamp / 1e3
        if ahead > self.max_future:
            allowed = f"{self.max_future:.0f} s are allowed"
            raise FromTheFuture(f"The event's time is {ahead:.0f} s ahead of its record's; {allowed}.")


def _rejected(event: str, kind: str, error: Unmappable) -> Item:
    detail = {"error": str(error), "advice": error.advice, "kind": kind}
    return Item(event, (), Outcome.REJECTED, error.code, detail, error)


def _place(fault: Exception) -> str:
    """Which error it was and where, without its text, which may hold a part of the record."""
    trace = fault.__traceback__
    while trace and trace.tb_next:
        trace = trace.tb_next
    where = f" in {trace.tb_frame.f_globals.get('__name__')}, line {trace.tb_lineno}" if trace else ""
    return f"{type(fault).__name__}{where}"


def change(wish: Wish, event: str, place: Origin, *, adopts: bool = False) -> Change:
    """The wish with its version: how new it is among all that was said of its subject."""
    version = Version(wish.sequence, microseconds(wish.time), wish.rank, place.timestamp, place.offset)
    subject = Subject(wish.site, wish.global_id)
    return Change(wish.action, subject, wish.issues, wish.link, version, event, adopts)
