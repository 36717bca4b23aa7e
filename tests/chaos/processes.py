"""The processes of a run, as their users start them, which may be killed, frozen and started again."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.brokers import eventually

BRIDGE = (sys.executable, "-c", "from bridge.cli import main; main()")
CRASHING = (sys.executable, str(Path(__file__).with_name("crashing.py")))


@dataclass
class Process:
    """One process; `log` takes what it writes. `ends` has the exit codes of its former lives."""

    command: Sequence[str]
    log: Path
    environ: Mapping[str, str] = field(default_factory=dict)
    ends: list[int] = field(default_factory=list)
    _process: subprocess.Popen[bytes] | None = field(default=None, init=False)

    def start(self) -> None:
        """Start it, with what its former lives have left."""
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                list(self.command), stdout=log, stderr=log, env={**os.environ, **self.environ}
            )

    @property
    def pid(self) -> int:
        """The number of the process that runs."""
        assert self._process is not None
        return self._process.pid

    @property
    def is_running(self) -> bool:
        """Whether it runs; when it has ended by itself, its exit code is taken down."""
        if self._process is not None and (code := self._process.poll()) is not None:
            self.ends.append(code)
            self._process = None
        return self._process is not None

    def kill(self) -> bool:
        """SIGKILL, as a loss of power or the kernel would; whether it was running."""
        was_running = self.is_running
        if self._process is not None:
            self._process.kill()
            self.ends.append(self._process.wait())
            self._process = None
        return was_running

    def send(self, number: signal.Signals) -> None:
        """Send it a signal."""
        if self.is_running and self._process is not None:
            self._process.send_signal(number)

    async def stop(self, seconds: float = 60.0) -> int:
        """SIGTERM, and the exit code after the drain. Raises TimeoutError."""
        self.send(signal.SIGTERM)
        return await self.ended(seconds)

    async def ended(self, seconds: float) -> int:
        """The exit code, once it has ended. Raises TimeoutError."""
        await eventually(lambda: not self.is_running, seconds)
        return self.ends[-1]

    @property
    def said(self) -> str:
        """All that it wrote so far."""
        return self.log.read_text("utf-8", "replace")

    @property
    def writes(self) -> bool:
        """Whether this life of a worker has a site's lease, by what it said last."""
        said = self._life()
        return self.is_running and said.rfind('"lease_taken"') > max(
            said.rfind('"lease_lost"'), said.rfind('"lease_released"')
        )

    @property
    def reads(self) -> bool:
        """Whether this life of a worker has a partition, by what it said last."""
        assigned = [line for line in self._life().splitlines() if '"partitions_assigned"' in line]
        return self.is_running and bool(assigned) and '"count":0' not in assigned[-1].replace(" ", "")

    def _life(self) -> str:
        """What it said since it was started last."""
        return self.said.rpartition('"starting"')[2]
