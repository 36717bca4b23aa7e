"""The load: an endless, seeded run of events that ask for links, in disorder and with duplicates.

Links whose contents return (A, B, A, gone, A…), and pull requests whose titles name other issues
from version to version. The same seed gives the same events; only their times are counted from
the moment at which the run began, so that none lies in the future.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

CONTENTS = ("A", "B", "A", None, "A", "C", "B")
_STRUCTURED = (("content-type", b"application/cloudevents+json"),)


@dataclass(frozen=True, slots=True)
class Message:
    """A record to be published."""

    key: bytes
    value: bytes
    headers: tuple[tuple[str, bytes], ...] = _STRUCTURED


@dataclass(frozen=True, slots=True)
class Load:
    """What the events are about. `began` is the moment to which the last of their times comes near."""

    seed: int
    began: datetime
    issues: int = 30
    links: int = 60
    requests: int = 15
    projects: tuple[str, ...] = ("DEMO",)
    duplicates: float = 0.08
    ties: float = 0.03
    reach: int = 40

    def messages(self) -> Iterator[Message]:
        """The events in the order of their publication, without an end."""
        chance = random.Random(self.seed)
        waiting: list[tuple[float, int, Message]] = []
        for number, message in enumerate(self._in_order(chance)):
            waiting.append((number + chance.uniform(0, self.reach), number, message))
            if chance.random() < self.duplicates:
                waiting.append((number + chance.uniform(0, 3 * self.reach), number, message))
            waiting.sort(key=lambda each: each[:2])
            while waiting and waiting[0][0] <= number:
                yield waiting.pop(0)[2]

    def _in_order(self, chance: random.Random) -> Iterator[Message]:
        """Rounds over all subjects, so that each has many versions."""
        turn = 0
        while True:
            for link in range(self.links):
                yield self._link(link, turn, chance)
                if chance.random() < self.ties:
                    yield self._link(link, turn, chance, tie=True)
            for request in range(self.requests):
                yield self._pull_request(request, turn, chance)
            turn += 1

    def _time(self, turn: int, number: int) -> datetime:
        """Twenty seconds a turn from seven days ago: thousands of turns before the present."""
        return self.began - timedelta(days=7) + timedelta(seconds=20 * turn, milliseconds=number)

    def _key(self, number: int) -> str:
        return f"{self.projects[number % len(self.projects)]}-{number % self.issues + 1}"

    def _link(self, link: int, turn: int, chance: random.Random, *, tie: bool = False) -> Message:
        """One of two issues, so that the two links of one globalId keep apart."""
        global_id = f"system=https://ci.example.com&id={link}"
        step = turn // 2 if link % 3 == 0 else turn
        text = CONTENTS[(step + link) % len(CONTENTS)]
        data: dict[str, Any] = {
            "issue": self._key(link + (turn % 2) * 7 if link % 3 == 0 else link),
            "globalId": global_id,
        }
        if text:
            data["relationship"] = "is built by"
            data["object"] = {
                "url": f"https://ci.example.com/{link}",
                "title": f"build {link}: {text}" + (f" again {turn}" if tie else ""),
                "summary": f"of branch {chance.randrange(3)}" if chance.random() < 0.1 else "",
                "status": {"resolved": text == "B"},
            }
        event = {
            "specversion": "1.0",
            "id": f"{link}-{turn}" + ("-tie" if tie else ""),
            "source": "//ci.example.com",
            "type": "remotelink.upsert" if text else "remotelink.delete",
            "time": self._time(turn, link).isoformat(timespec="microseconds"),
            "subject": global_id,
            "data": data,
        }
        return Message(global_id.encode(), json.dumps(event).encode())

    def _pull_request(self, number: int, turn: int, chance: random.Random) -> Message:
        named = sorted(chance.sample(range(self.issues), chance.choice((0, 1, 1, 2, 3))))
        state = chance.choice(("open", "open", "closed"))
        body = pull_request(number, " ".join(map(self._key, named)), state, self._time(turn, 0))
        return webhook("pull_request", f"pr-{number}-{turn}", json.dumps(body).encode(), f"pr-{number}")


def pull_request(number: int, keys: str, state: str, at: datetime) -> dict[str, Any]:
    """The parts of GitHub's body that matter, for a repository that is the same for all."""
    site = "https://github.com/aurora-labs/harbor"
    return {
        "action": "edited",
        "number": number,
        "pull_request": {
            "number": number,
            "html_url": f"{site}/pull/{number}",
            "title": f"{keys} change {number}".strip(),
            "state": state,
            "draft": False,
            "merged": False,
            "merged_at": None,
            "updated_at": at.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "head": {"ref": "topic"},
            "base": {"ref": "main"},
            "user": {"login": "wren"},
        },
        "repository": {"id": 7301, "full_name": "aurora-labs/harbor", "html_url": site},
    }


def webhook(event: str, delivery: str, body: bytes, key: str) -> Message:
    """A delivery of GitHub's as ingress puts it on Kafka."""
    headers = {
        "bridge-endpoint": "github",
        "bridge-source": "github",
        "bridge-format": "1",
        "bridge-delivery-id": delivery,
        "bridge-received-at": datetime.now(UTC).isoformat(timespec="microseconds"),
        "http-x-github-event": event,
    }
    encoded = tuple((name, text.encode()) for name, text in headers.items())
    return Message(key.encode(), body, encoded)
