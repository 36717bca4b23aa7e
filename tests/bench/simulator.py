"""How many writes a second the simulated Jira takes on one core: `make bench-simulator`.

The server is a process of its own on the first core, the load comes from this process on the
last: first POSTs that each make a link, then POSTs that each change one. Prints JSON.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import subprocess
import sys
import time
from base64 import b64encode
from collections.abc import Iterator, Sequence
from statistics import median
from typing import Any

USER = "bench@example.com:bench"
LINKS_PER_ISSUE = 100
SERVER = "from bridge.cli import main; main()"


def requests(count: int, title: str) -> Iterator[bytes]:
    """POSTs with the body of Atlassian's own example, each with a globalId of its own."""
    auth = b64encode(USER.encode()).decode()
    for number in range(count):
        body = json.dumps(
            {
                "globalId": f"system=http://www.mycompany.com/support&id={number}",
                "application": {"type": "com.acme.tracker", "name": "My Acme Tracker"},
                "relationship": "causes",
                "object": {
                    "url": f"http://www.mycompany.com/support?id={number}",
                    "title": f"{title} {number}",
                    "summary": "Customer support issue",
                    "icon": {"url16x16": "http://www.mycompany.com/support/ticket.png", "title": "Ticket"},
                    "status": {"resolved": True},
                },
            }
        )
        yield (
            f"POST /rest/api/3/issue/BENCH-{number // LINKS_PER_ISSUE + 1}/remotelink HTTP/1.1\r\n"
            f"Host: bench\r\nAuthorization: Basic {auth}\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\n\r\n{body}"
        ).encode()


class Connection(asyncio.Protocol):
    """Sends the next request when the last one is answered; `done` says when there are no more."""

    def __init__(self, left: Iterator[bytes], status: bytes) -> None:
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._left = left
        self._status = b"HTTP/1.1 " + status
        self._received = b""
        self._transport: Any = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self._transport = transport
        self._send()

    def data_received(self, data: bytes) -> None:
        """Take a part of an answer, and go on when it is whole."""
        self._received += data
        head, end, body = self._received.partition(b"\r\n\r\n")
        if end and len(body) >= int(head.partition(b"Content-Length: ")[2].partition(b"\r\n")[0]):
            if not head.startswith(self._status):
                self.done.set_exception(AssertionError(self._received.decode()))
                return
            self._received = b""
            self._send()

    def _send(self) -> None:
        if request := next(self._left, None):
            self._transport.write(request)
        elif not self.done.done():
            self._transport.close()
            self.done.set_result(None)


async def rate(port: int, count: int, connections: int, title: str, status: bytes) -> float:
    """Requests a second over so many connections."""
    loop, left = asyncio.get_running_loop(), iter(list(requests(count, title)))
    begin = time.perf_counter()
    opened = [
        await loop.create_connection(lambda: Connection(left, status), "127.0.0.1", port)
        for _ in range(connections)
    ]
    await asyncio.gather(*(connection.done for _, connection in opened))
    return count / (time.perf_counter() - begin)


def run(core: int, count: int, connections: int) -> tuple[float, float]:
    """Rates of making and of changing links, of a server that was just started on that core."""
    command = [sys.executable, "-c", SERVER, "simulator", "--port", "0", "--project", "BENCH", "--user", USER]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            os.sched_setaffinity(server.pid, {core})
            assert server.stdout
            port = int(server.stdout.readline().split()[2].rpartition(":")[2])
            made = asyncio.run(rate(port, count, connections, "Made", b"201"))
            return made, asyncio.run(rate(port, count, connections, "Changed", b"200"))
        finally:
            server.terminate()


def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=20_000, help="of each kind, in each run")
    parser.add_argument("--connections", type=int, default=32)
    parser.add_argument("--runs", type=int, default=5)
    asked = parser.parse_args()
    first, *_, last = sorted(os.sched_getaffinity(0)) * 2
    os.sched_setaffinity(0, {last})
    made, changed = zip(
        *(run(first, asked.requests, asked.connections) for _ in range(asked.runs)), strict=True
    )
    figures = {"creates_per_second": _spread(made), "updates_per_second": _spread(changed)}
    sys.stdout.write(
        json.dumps({**figures, **vars(asked), "python": sys.version.split()[0]}, indent=2) + "\n"
    )


def _spread(rates: Sequence[float]) -> dict[str, int]:
    return {"min": round(min(rates)), "median": round(median(rates)), "max": round(max(rates))}


if __name__ == "__main__":
    main()
