"""A server of scripted bytes, for what no well-behaved one would send."""

from __future__ import annotations

import asyncio
from typing import Self


def answer(status: int, body: bytes = b"", *headers: str) -> bytes:
    """The bytes of an answer."""
    lines = [f"HTTP/1.1 {status} X", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


CLOSE, HANG = b"", b"..."


class Wire:
    """A server of scripted bytes, which keeps each request as it came over the wire.

    The last answer of the script is given over and over. CLOSE closes without an answer, HANG
    gives none.
    """

    def __init__(self, *script: bytes) -> None:
        """Takes the answers in order."""
        self.script = script
        self.requests: list[bytes] = []
        self.connections = 0
        self.most_open = 0
        self.arrived = asyncio.Event()
        self._open = 0
        self._writers: list[asyncio.StreamWriter] = []

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for writer in self._writers:
            writer.close()
        await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self._open += 1
        self.most_open = max(self.most_open, self._open)
        self._writers.append(writer)
        try:
            while request := await _read(reader):
                self.requests.append(request)
                self.arrived.set()
                scripted = self.script[min(len(self.requests), len(self.script)) - 1]
                if scripted is CLOSE:
                    break
                if scripted is not HANG:
                    writer.write(scripted)
                    await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        self._open -= 1
        writer.close()

    def headers(self, number: int = 0) -> dict[bytes, bytes]:
        """The headers of one request, with lower-case names."""
        lines = self.requests[number].partition(b"\r\n\r\n")[0].split(b"\r\n")[1:]
        return {name.lower(): value.strip() for name, _, value in (line.partition(b":") for line in lines)}


async def _read(reader: asyncio.StreamReader) -> bytes:
    """One request with its body, or nothing when the other side has closed."""
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError:
        return b""
    length = next(
        (int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")), 0
    )
    return head + await reader.readexactly(length)


class Sleep:
    """Stands in for waiting, and keeps what was asked for."""

    def __init__(self) -> None:
        """Nothing was asked for yet."""
        self.seconds: list[float] = []

    async def __call__(self, seconds: float) -> None:
        """Return at once."""
        self.seconds.append(seconds)
