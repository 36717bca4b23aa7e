"""Events as they stand on Kafka: the bridge's own envelope, and CloudEvents. Pure.

The bridge's own envelope is a webhook's raw body with these headers: `bridge-endpoint`,
`bridge-source`, `bridge-format` (1), `bridge-delivery-id`, `bridge-received-at` (ISO 8601, UTC,
microseconds), `http-NAME` for each header that was kept, `traceparent`. `bridge-endpoint` beats
the content type, so that no webhook's body can pose as a CloudEvent.

Others send CloudEvents 1.0 in the structured or the binary mode of
https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/bindings/kafka-protocol-binding.md.
"""

from __future__ import annotations

import binascii
import re
from base64 import b64decode
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import orjson

from bridge.errors import BadEnvelope
from bridge.model import EPOCH, Event, Record, Webhook

Headers = list[tuple[str, bytes]]

FORMAT = "1"
HEADERS_ALLOWANCE = 48_000
"""Bytes of a record that may be headers and key: what the topic must take above the body limit."""

_TIME = re.compile(
    r"(\d{4}-\d\d-\d\d)[Tt ](\d\d:\d\d:\d\d)(?:\.(\d+))?(?:[Zz]|([+-])(\d\d):(\d\d))", re.ASCII
)
_SHOWN = 80


# --- the bridge's own ----------------------------------------------------------------------


def encode(webhook: Webhook) -> tuple[bytes, Headers]:
    """The record's value and headers. Its key is the source's to choose."""
    texts = {
        "bridge-endpoint": webhook.endpoint,
        "bridge-source": webhook.source,
        "bridge-format": FORMAT,
        "bridge-delivery-id": webhook.delivery_id,
        "bridge-received-at": webhook.received_at.astimezone(UTC).isoformat(timespec="microseconds"),
        **({"traceparent": webhook.traceparent} if webhook.traceparent else {}),
        **{f"http-{name.lower()}": value for name, value in webhook.headers.items()},
    }
    return webhook.body, [(name, text.encode("utf-8", "replace")) for name, text in texts.items()]


def decode(record: Record) -> Webhook | Event:
    """What the record holds. Raises BadEnvelope."""
    value = record.value
    if value is None:
        raise BadEnvelope("The record has no value: a tombstone means nothing here.")
    if record.header("bridge-endpoint") is not None:
        return _webhook(record, value)
    media = _media_type(record.header("content-type"))
    if media == "application/cloudevents+json":
        return _structured(record, _json(value, "The body"))
    if media.startswith("application/cloudevents"):
        raise BadEnvelope(f"The content type {_shown(media)} is not read; send one event a record, as JSON.")
    if record.header("ce_specversion") is not None:
        return _binary(record, value, media)
    if not media:
        return _structured(record, _json(value, "The body"))
    raise BadEnvelope(
        f"The content type {_shown(media)} is that of no CloudEvent, and there are no ce_ headers."
    )


def _webhook(record: Record, body: bytes) -> Webhook:
    found = record.header("bridge-format")
    if found != FORMAT:
        raise BadEnvelope(f"The envelope has the format {_shown(found)}; this version reads {FORMAT}.")
    return Webhook(
        endpoint=_present(record.header("bridge-endpoint"), "bridge-endpoint"),
        source=_present(record.header("bridge-source"), "bridge-source"),
        delivery_id=_present(record.header("bridge-delivery-id"), "bridge-delivery-id"),
        headers=_prefixed(record, "http-"),
        body=body,
        received_at=_time(_present(record.header("bridge-received-at"), "bridge-received-at")),
        traceparent=record.header("traceparent"),
    )


def _prefixed(record: Record, prefix: str) -> dict[str, str]:
    return {name[len(prefix) :]: text for name, text in record.texts.items() if name.startswith(prefix)}


# --- CloudEvents ---------------------------------------------------------------------------


def _structured(record: Record, event: Any) -> Event:  # noqa: ANN401 - any JSON may come
    if not isinstance(event, dict) or "specversion" not in event:
        raise BadEnvelope("The body is no CloudEvent: no JSON object with a specversion.")
    return _event(record, event, _structured_data(event))


def _structured_data(event: Mapping[str, Any]) -> Any:  # noqa: ANN401 - data is any JSON
    if "data_base64" not in event:
        return event.get("data")
    if "data" in event:
        raise BadEnvelope("The event has both data and data_base64.")
    try:
        body = b64decode(event["data_base64"], validate=True)
    except (TypeError, ValueError, binascii.Error):
        raise BadEnvelope("data_base64 is not Base64.") from None
    return _json(body, "data_base64")


def _binary(record: Record, value: bytes, media: str) -> Event:
    if media and not _is_json(media):
        raise BadEnvelope(f"The data's content type {_shown(media)} is not JSON.")
    return _event(record, _prefixed(record, "ce_"), _json(value, "The data") if value else None)


def _event(record: Record, attributes: Mapping[str, Any], data: Any) -> Event:  # noqa: ANN401
    version = attributes.get("specversion")
    if not (isinstance(version, str) and version.startswith("1.")):
        raise BadEnvelope(f"The specversion {_shown(version)} is not read; expected 1.0.")
    kind = attributes.get("datacontenttype")
    if kind is not None and not _is_json(_media_type(_present(kind, "datacontenttype"))):
        raise BadEnvelope(f"The datacontenttype {_shown(kind)} is not JSON.")
    subject, time = attributes.get("subject"), attributes.get("time")
    return Event(
        id=_present(attributes.get("id"), "id"),
        source=_present(attributes.get("source"), "source"),
        type=_present(attributes.get("type"), "type"),
        time=_recorded(record) if time is None else _time(_present(time, "time")),
        data=data,
        kind="cloudevents",
        subject=None if subject is None else _present(subject, "subject"),
    )


# --- parts ---------------------------------------------------------------------------------


def _json(body: bytes, what: str) -> Any:  # noqa: ANN401 - any JSON may come
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise BadEnvelope(f"{what} is not JSON: {error}.") from None


def _present(value: object, name: str) -> str:
    if isinstance(value, str) and value.strip():
        return value
    raise BadEnvelope(f"{name} is missing, blank or no text.")


def _media_type(content_type: str | None) -> str:
    return (content_type or "").partition(";")[0].strip().lower()


def _is_json(media: str) -> bool:
    return media in {"application/json", "text/json"} or media.endswith("+json")


def _shown(value: object) -> str:
    # Of a list only that it is one: it may be nested deeper than repr goes.
    return repr(value)[:_SHOWN] if isinstance(value, str | int | float | None) else type(value).__name__


def _time(text: str) -> datetime:
    """RFC 3339; what is finer than a microsecond is cut off, since datetime holds no more."""
    found = _TIME.fullmatch(text.strip())
    if found is None:
        raise BadEnvelope(f"The time {_shown(text)} is not RFC 3339.")
    date, clock, fraction, sign, hours, minutes = found.groups()
    try:
        moment = datetime.fromisoformat(f"{date}T{clock}.{(fraction or '')[:6]:0<6}+00:00")
        east = timedelta(hours=int(hours or 0), minutes=int(minutes or 0))
        return _since_epoch(moment.replace(tzinfo=timezone(-east if sign == "-" else east)).astimezone(UTC))
    except (ValueError, OverflowError):
        raise BadEnvelope(f"The time {_shown(text)} is no time that ever was or will be.") from None


def _recorded(record: Record) -> datetime:
    try:
        return _since_epoch(EPOCH + timedelta(milliseconds=record.timestamp))
    except (ValueError, OverflowError):
        raise BadEnvelope("Neither the event nor its record has a time.") from None


def _since_epoch(moment: datetime) -> datetime:
    # Versions are compared as unsigned numbers.
    if moment < EPOCH:
        raise ValueError(moment)
    return moment
