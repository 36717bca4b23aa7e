"""Times as senders write them: ISO 8601 in its variants, and numbers since the epoch. Pure."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from bridge.model import EPOCH

# A zone after a space (GitLab's `2016-08-12 15:26:29 UTC`, Ruby's `… +0200`) is no ISO 8601.
_ZONE = re.compile(r"\s+(?:(UTC|GMT|Z)|([+-]\d\d:?\d\d))$", re.ASCII)
# Eight digits are a date of ISO 8601's basic form.
_NUMBER = re.compile(r"\d{9,19}(?:\.\d{1,9})?", re.ASCII)
_LONGEST = 64
"""Characters of the longest time; looking for a zone behind many spaces would take for ever."""

# What is larger is of the next finer unit: 10^11 seconds are the year 5138, as milliseconds 1973.
_UNITS = ((1e11, 1), (1e14, 1_000), (1e17, 1_000_000), (1e20, 1_000_000_000))


def parse_time(value: object) -> datetime | None:
    """The moment in UTC that a text or a number since the epoch tells, else None.

    A number may count seconds, milli-, micro- or nanoseconds: its size tells. A text is such a
    number or ISO 8601; without a zone it is taken for UTC. Nothing before the epoch is believed.
    """
    try:
        moment = _moment(value)
    except (ValueError, OverflowError):
        return None
    return moment if moment is not None and moment >= EPOCH else None


def _moment(value: object) -> datetime | None:
    if isinstance(value, str):
        text = value.strip()
        if len(text) > _LONGEST:
            return None
        if _NUMBER.fullmatch(text):
            return _since_epoch(float(text) if "." in text else int(text))
        read = datetime.fromisoformat(_ZONE.sub(lambda zone: zone[2] or "+00:00", text))
        return (read if read.tzinfo else read.replace(tzinfo=UTC)).astimezone(UTC)
    if isinstance(value, int | float) and not isinstance(value, bool):
        return _since_epoch(value)
    return None


def _since_epoch(number: float) -> datetime | None:
    for below, parts in _UNITS:
        if 0 <= number < below:
            # Whole numbers stay whole: a float of nanoseconds since 1970 is off by hundreds.
            exact = number * 1_000_000 // parts if isinstance(number, int) else number * 1e6 / parts
            return EPOCH + timedelta(microseconds=exact)
    return None
