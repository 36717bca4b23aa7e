"""What befalls events: disorder, duplicates, clocks that are wrong, and records that are none."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path

from tests.brokers import Missing, eventually
from tests.chaos.checker import Evidence
from tests.chaos.faults import Fault
from tests.chaos.load import Message
from tests.chaos.setting import Setting
from tests.chaos.stage import Stage

FAKETIME = ("/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1", "/usr/lib/faketime/libfaketime.so.1")
STRUCTURED = (("content-type", b"application/cloudevents+json"),)


async def mix(stage: Stage, events: int) -> None:
    """Nothing but the load's own disorder."""
    await stage.flowed(events)
    stage.hits = stage.published


async def misdate(stage: Stage) -> None:
    """The worker's clock is ten minutes ahead, then ten minutes behind, then right."""
    library = _faketime()
    (worker,) = stage.workers
    right = worker.environ
    for shift in ("+600", "-600"):
        worker.environ = {
            **right,
            "LD_PRELOAD": library,
            "FAKETIME": shift,
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }
        worker.kill()
        await eventually(lambda: worker.is_running)
        await stage.flowed(200)
        await stage.asked(50)
        stage.hits += 1
    worker.environ = right
    worker.kill()


def _faketime() -> str:
    for path in FAKETIME:
        if Path(path).exists():
            return path
    raise Missing("no libfaketime")


async def insert(stage: Stage) -> None:
    """Bad records among good ones, each in its turn, and some that are only odd."""
    for message in odd_records():
        await stage.put(message)
    for name, message in bad_records():
        await stage.put(message)
        stage.bad[name] = message.value
        stage.hits += 1
        await stage.flowed(10)


def bad_records() -> Iterator[tuple[str, Message]]:
    """Records that nobody can make links of, by name."""
    good = {
        "specversion": "1.0",
        "id": "bad",
        "source": "//bad.example.com",
        "type": "remotelink.upsert",
        "time": "2026-01-01T00:00:00Z",
        "data": {
            "issue": "DEMO-1",
            "globalId": "bad",
            "object": {"url": "https://bad.example/1", "title": "bad"},
        },
    }

    def changed(**parts: object) -> bytes:
        return json.dumps({**good, **parts}).encode()

    def data(**parts: object) -> bytes:
        return changed(data={**good["data"], **parts})  # type: ignore[dict-item]

    whole = json.dumps(good).encode()
    structured = {
        "no JSON": b"not JSON at all",
        "wrongly encoded": whole.replace(b"bad.example/1", "sch\xf6n".encode("latin-1")),
        "UTF-16": whole.decode().encode("utf-16"),
        "10 MB": b'{"specversion": "1.0", "data": "' + b"x" * 10_000_000 + b'"}',
        "nested 100,000 deep": b"[" * 100_000 + b"]" * 100_000,
        "deep data": whole[:-1] + b', "deep": ' + b'{"a":' * 100_000 + b"1" + b"}" * 100_000 + b"}",
        "a huge number": whole[:-1] + b', "number": 1' + b"0" * 400 + b"e400}",
        "NaN": whole[:-1] + b', "number": NaN}',
        "NUL": b"\x00" + whole,
        "empty": b"",
        "null": b"null",
        "a list": b"[]",
        "a text": b'"remotelink.upsert"',
        "null data": changed(data=None),
        "null time": changed(time=None, data=None),
        "no id": changed(id=None),
        "another specversion": changed(specversion="0.3"),
        "a year beyond all": changed(time="999999-01-01T00:00:00Z"),
        "a year ahead": changed(time="2999-01-01T00:00:00Z"),
        "an issue that is a path": data(issue="DEMO-1/../../../myself"),
        "a script for a URL": data(object={"url": "javascript:alert(1)", "title": "bad"}),
        "a user in the URL": data(object={"url": "https://user:pass@bad.example/", "title": "bad"}),
        "no title": data(object={"url": "https://bad.example/1", "title": " "}),
        "a globalId too long": data(globalId="x" * 256),
        "a lone surrogate": whole.replace(b'"title": "bad"', b'"title": "\\ud800"'),
    }
    for name, value in structured.items():
        yield name, Message(b"bad", value, STRUCTURED)
    yield "an unknown content type", Message(b"bad", whole, (("content-type", b"application/x-protobuf"),))
    yield "an envelope without its parts", Message(b"bad", b"{}", (("bridge-endpoint", b"github"),))
    yield "an envelope of another format", Message(b"bad", b"{}", _envelope({"bridge-format": "9"}))
    yield "a source that is not there", Message(b"bad", b"{}", _envelope({"bridge-source": "nobody"}))
    yield "a pull request without any part", Message(b"bad", b'{"pull_request": 3}', _envelope({}))
    yield "binary mode without an id", Message(b"bad", b"{}", (("ce_specversion", b"1.0"), ("ce_type", b"x")))
    yield "no delivery id", Message(b"bad", b"{}", _envelope({"bridge-delivery-id": ""}))
    yield "headers that are no text", Message(b"bad", whole, (("content-type", b"\xff\xfe\x00"),))


def odd_records() -> Iterator[Message]:
    """Records that are read, though they look strange: a key twice, no content type, an unknown type."""
    event = (
        b'{"specversion": "1.0", "id": "%s", "source": "//odd.example.com", "type": "%s", '
        b'"time": "2026-01-01T00:00:00Z", "data": {"issue": "DEMO-1", "globalId": "odd", "globalId": "%s", '
        b'"object": {"url": "https://odd.example/%s", "title": "first", "title": "second"}}}'
    )
    yield Message(b"odd", event % (b"twice", b"remotelink.upsert", b"odd-1", b"1"), STRUCTURED)
    yield Message(b"odd", event % (b"plain", b"remotelink.upsert", b"odd-2", b"2"), ())
    yield Message(b"odd", event % (b"unknown", b"com.example.other", b"odd-3", b"3"), STRUCTURED)


def _envelope(changed: Mapping[str, str]) -> tuple[tuple[str, bytes], ...]:
    parts = {
        "bridge-endpoint": "github",
        "bridge-source": "github",
        "bridge-format": "1",
        "bridge-delivery-id": "bad",
        "bridge-received-at": "2026-01-01T00:00:00.000000+00:00",
        "http-x-github-event": "pull_request",
        **changed,
    }
    return tuple((name, text.encode()) for name, text in parts.items())


def all_told(stage: Stage, evidence: Evidence) -> None:
    """Each bad record has a letter with a reason, and nobody's link came of one."""
    told = {letter.headers.get("bridge-dead-offset") for letter in evidence.letters}
    untold = [
        name
        for name, value in stage.bad.items()
        for record in evidence.records
        if record.value == value and str(record.place.offset).encode() not in told
    ]
    assert not untold, f"no letter tells of: {', '.join(untold)}"
    assert all(letter.headers.get("bridge-dead-reason") for letter in evidence.letters)
    assert not [link for link in evidence.links if "bad" in str(link["globalId"])]


FAULTS = [
    Fault(
        "duplicates and disorder",
        "events",
        "half of all events come twice, up to 400 places off; a fifth have a rival of the same time",
        partial(mix, events=3_000),
        Setting(rate=400, load={"duplicates": 0.5, "reach": 400, "ties": 0.2}),
        least=3_000,
    ),
    Fault(
        "a clock ten minutes off",
        "events",
        "libfaketime: the worker runs 10 min ahead, then 10 min behind, then right",
        misdate,
        Setting(rate=60),
        least=2,
    ),
    Fault(
        "bad records",
        "events",
        f"{len(list(bad_records()))} kinds of records that are no events, among good ones",
        insert,
        Setting(rate=200, topic={"max.message.bytes": "12000000"}),
        least=len(list(bad_records())),
        checks="each has a dead letter with its reason",
        check=all_told,
        letters=True,
    ),
]
