"""The envelope on the wire: the bridge's own, and CloudEvents in both modes."""

from __future__ import annotations

from base64 import b64encode
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.errors import BadEnvelope, Unmappable
from bridge.kafka.envelope import decode, encode
from bridge.model import EPOCH, Event, Record, Webhook

STRUCTURED = ("content-type", b"application/cloudevents+json; charset=UTF-8")
WEBHOOK = Webhook(
    endpoint="github",
    source="github",
    delivery_id="d-1",
    headers={"x-github-event": "push"},
    body=b'{"ref": "x"}',
    received_at=datetime(2026, 1, 1, 0, 0, 0, 7, UTC),
    traceparent="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
)


def record(value: bytes | None, *headers: tuple[str, bytes], timestamp: int = 1_767_225_600_000) -> Record:
    """A record with that value and those headers."""
    return Record("events", 3, 41, timestamp, b"key", value, headers)


def event(**attributes: Any) -> bytes:
    """A CloudEvent in structured mode; an attribute of None is left out."""
    whole = {"specversion": "1.0", "id": "71", "source": "//ci", "type": "remotelink.upsert"} | attributes
    return orjson.dumps({name: value for name, value in whole.items() if value is not None})


def decoded(value: bytes, *headers: tuple[str, bytes]) -> Event:
    """The event that such a record holds."""
    found = decode(record(value, *headers))
    assert isinstance(found, Event)
    return found


texts = st.text(st.characters(codec="utf-8"), min_size=1).filter(str.strip)
"""Texts that can stand in a header: no lone surrogates, and not blank."""


@given(
    st.builds(
        Webhook,
        endpoint=texts,
        source=texts,
        delivery_id=texts,
        headers=st.dictionaries(st.from_regex("[a-z][a-z0-9-]*", fullmatch=True), texts),
        body=st.binary(),
        received_at=st.datetimes(min_value=datetime(1970, 1, 2), timezones=st.timezones()),  # noqa: DTZ001
        traceparent=st.none() | texts,
    )
)
def test_what_is_encoded_is_decoded(webhook: Webhook) -> None:
    """A webhook comes back from its record as it was, its time in UTC."""
    value, headers = encode(webhook)
    assert decode(record(value, *headers)) == replace(
        webhook, received_at=webhook.received_at.astimezone(UTC)
    )


def test_headers_stand_as_documented() -> None:
    """The names of the envelope's headers and the form of its time are a format that others read."""
    _, headers = encode(WEBHOOK)
    assert dict(headers) == {
        "bridge-endpoint": b"github",
        "bridge-source": b"github",
        "bridge-format": b"1",
        "bridge-delivery-id": b"d-1",
        "bridge-received-at": b"2026-01-01T00:00:00.000007+00:00",
        "traceparent": b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "http-x-github-event": b"push",
    }


def test_an_envelope_beats_the_content_type() -> None:
    """A webhook whose body and headers pose as a CloudEvent is still a webhook."""
    _, headers = encode(WEBHOOK)
    found = decode(record(event(), STRUCTURED, *headers, ("ce_specversion", b"1.0")))
    assert isinstance(found, Webhook)
    assert found.body == event()


@pytest.mark.parametrize(
    "missing", ["bridge-source", "bridge-delivery-id", "bridge-received-at", "bridge-format"]
)
def test_an_envelope_with_a_part_missing_is_refused(missing: str) -> None:
    """An envelope without one of its headers is a bad envelope."""
    value, headers = encode(WEBHOOK)
    with pytest.raises(BadEnvelope):
        decode(record(value, *[header for header in headers if header[0] != missing]))


def test_another_format_is_refused_by_its_number() -> None:
    """An envelope of a later bridge is refused, and the message says which format it has."""
    value, headers = encode(WEBHOOK)
    later = [(name, b"2" if name == "bridge-format" else text) for name, text in headers]
    with pytest.raises(BadEnvelope, match="format '2'; this version reads 1"):
        decode(record(value, *later))


def test_a_structured_event_is_read() -> None:
    """All attributes of a structured event arrive, its time in UTC to the microsecond."""
    body = event(time="2026-01-01T02:00:30.0710004+02:00", subject="build-71", data={"issue": "PROJ-1"})
    assert decoded(body, STRUCTURED) == Event(
        id="71",
        source="//ci",
        type="remotelink.upsert",
        time=datetime(2026, 1, 1, 0, 0, 30, 71_000, UTC),
        data={"issue": "PROJ-1"},
        kind="cloudevents",
        subject="build-71",
    )


def test_a_body_with_specversion_needs_no_content_type() -> None:
    """A producer that sets no header at all is understood."""
    assert decoded(event(data=1)).data == 1


def test_a_binary_event_is_read() -> None:
    """In binary mode the attributes are headers and the body is the data."""
    found = decoded(
        b'{"issue": "PROJ-1"}',
        ("content-type", b"application/json"),
        ("ce_specversion", b"1.0"),
        ("ce_id", b"71"),
        ("ce_source", b"//ci"),
        ("ce_type", b"remotelink.delete"),
        ("ce_time", b"2026-01-01T00:00:30z"),
        ("ce_subject", b"build-71"),
    )
    assert (found.id, found.type, found.subject) == ("71", "remotelink.delete", "build-71")
    assert found.time == datetime(2026, 1, 1, 0, 0, 30, tzinfo=UTC)
    assert found.data == {"issue": "PROJ-1"}


def test_data_in_base64_is_unpacked() -> None:
    """JSON that a producer packed into data_base64 is data like any other."""
    assert decoded(event(data_base64=b64encode(b'{"a": 1}').decode())).data == {"a": 1}


def test_an_event_without_time_has_its_records() -> None:
    """An event that names no time happened when its record was written."""
    assert decoded(event()).time == datetime(2026, 1, 1, tzinfo=UTC)


@given(
    st.datetimes(min_value=datetime(1970, 1, 2), max_value=datetime(9999, 12, 30)),  # noqa: DTZ001
    st.integers(-1439, 1439),
    st.integers(6, 12),
)
def test_any_offset_and_fraction_is_turned_to_utc(moment: datetime, east: int, digits: int) -> None:
    """A time is the same instant whatever its offset, cut to microseconds however fine it was."""
    sign, (hours, minutes) = "-" if east < 0 else "+", divmod(abs(east), 60)
    fraction = f"{moment.microsecond:06}{'9' * (digits - 6)}"
    text = f"{moment:%Y-%m-%dT%H:%M:%S}.{fraction}{sign}{hours:02}:{minutes:02}"
    meant = moment.replace(tzinfo=UTC) - timedelta(minutes=east)
    if meant >= EPOCH:
        assert decoded(event(time=text)).time == meant


@pytest.mark.parametrize(
    ("value", "headers", "message"),
    [
        (None, [], "no value"),
        (b"", [], "not JSON"),
        (b"{", [STRUCTURED], "not JSON"),
        (b"[]", [STRUCTURED], "no JSON object with a specversion"),
        (b'{"id": "1"}', [], "no JSON object with a specversion"),
        (b"[]", [("content-type", b"application/cloudevents-batch+json")], "one event a record"),
        (b"<a/>", [("content-type", b"application/cloudevents+xml")], "one event a record"),
        (event(), [("content-type", b"application/json")], "that of no CloudEvent"),
        (event(specversion="0.3"), [], "specversion '0.3' is not read"),
        (event(specversion=1.0), [], "specversion 1.0 is not read"),
        (event(id=None), [], "id is missing"),
        (event(id=""), [], "id is missing, blank"),
        (event(source="  "), [], "source is missing, blank"),
        (event(type=7), [], "type is missing, blank or no text"),
        (event(subject=["x"]), [], "subject is"),
        (event(time="yesterday"), [], "is not RFC 3339"),
        (event(time="2026-01-01T00:00:00"), [], "is not RFC 3339"),
        (event(time="2026-02-30T00:00:00Z"), [], "no time that ever was"),
        (event(time="0001-01-01T00:00:00+23:00"), [], "no time that ever was"),
        (event(time="1969-12-31T23:59:59Z"), [], "no time that ever was"),
        (event(time=1_767_225_600), [], "time is"),
        (event(datacontenttype="text/xml", data="<a/>"), [], "datacontenttype 'text/xml' is not JSON"),
        (event(data_base64="%"), [], "not Base64"),
        (event(data_base64=7), [], "not Base64"),
        (event(data_base64="", data=1), [], "both data and data_base64"),
        (b"x", [("ce_specversion", b"1.0"), ("content-type", b"text/plain")], "is not JSON"),
    ],
)
def test_what_is_no_event_says_why(
    value: bytes | None, headers: list[tuple[str, bytes]], message: str
) -> None:
    """Each way of not being an event has a message of its own."""
    with pytest.raises(BadEnvelope, match=message):
        decode(record(value, *headers))


@pytest.mark.parametrize("name", ["specversion", "id", "type", "time", "datacontenttype", "subject", "data"])
def test_an_attribute_may_be_as_deep_as_json_goes(name: str) -> None:
    """What is nested as deep as the parser reads is an event or a bad envelope, like anything else."""
    value = event(**{name: "deep"}).replace(b'"deep"', b"[" * 1_000 + b"]" * 1_000)
    if name == "data":
        assert isinstance(decode(record(value)), Event)
    else:
        with pytest.raises(BadEnvelope):
            decode(record(value))


def test_a_record_without_any_time_is_refused() -> None:
    """A record written without a timestamp cannot lend one to its event."""
    with pytest.raises(BadEnvelope, match="Neither the event nor its record has a time"):
        decode(record(event(), timestamp=-1))


names = st.sampled_from(
    [
        *("bridge-endpoint", "bridge-source", "bridge-format", "bridge-delivery-id", "bridge-received-at"),
        *("content-type", "ce_specversion", "ce_id", "ce_source", "ce_type", "ce_time", "http-a", "Ce_Id"),
    ]
)
values = st.binary() | st.sampled_from(
    [
        b"1",
        b"1.0",
        b"2026-01-01T00:00:00Z",
        b"application/cloudevents+json",
        b"application/json",
        STRUCTURED[1],
    ]
)
json = st.recursive(st.none() | st.booleans() | st.floats() | st.text(), st.lists, max_leaves=5)
attributes = st.dictionaries(
    st.sampled_from(["specversion", "id", "source", "type", "time", "subject", "data", "data_base64"]),
    json | st.sampled_from(["1.0", "2026-01-01T00:00:00+99:99", "AAAA"]),
)
bodies = st.none() | st.binary() | attributes.map(orjson.dumps) | st.just(event())


@given(bodies, st.lists(st.tuples(names, values)), st.integers(-(2**63), 2**63 - 1))
def test_any_bytes_are_an_event_or_an_error_that_is_told(
    value: bytes | None, headers: list[tuple[str, bytes]], timestamp: int
) -> None:
    """Whatever stands in a record, decode gives a webhook, an event or an Unmappable, and nothing else."""
    try:
        found = decode(record(value, *headers, timestamp=timestamp))
    except Unmappable:
        return
    assert isinstance(found, Webhook | Event)
