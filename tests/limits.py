"""The limits of one issue's writes on Jira Cloud, and what they allow at the very most.

https://developer.atlassian.com/cloud/jira/platform/rate-limiting/
"""

from __future__ import annotations

PER_ISSUE = ((20, 2.0), (100, 30.0))


def at_best(begin: float, end: float) -> int:
    """The writes to one issue that its two windows allow from `begin` to `end`, in seconds."""
    sent: list[float] = []
    moment = begin
    while moment < end:
        sent.append(moment)
        moment = max([moment, *(sent[-most] + seconds for most, seconds in PER_ISSUE if len(sent) >= most)])
    return len(sent)
