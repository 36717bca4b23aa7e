"""A worker as its users run it: a process of its own, which may be killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

AUTH = "demo@example.com:demo"
COMMAND = (sys.executable, "-c", "from bridge.cli import main; main()")


@dataclass
class WorkerProcess:
    """`jira-bridge worker` on one topic, ledger and Jira; `log` is what it wrote to standard error."""

    kafka: str
    topic: str
    jira: str
    folder: Path
    group: str = "e2e"
    flags: tuple[str, ...] = ()
    limit: str = "none"
    _process: subprocess.Popen[bytes] | None = field(default=None, init=False)

    @property
    def ledger(self) -> Path:
        """The ledger's file."""
        return self.folder / "ledger.sqlite"

    @property
    def pid(self) -> int | None:
        """The process's id, None when none runs."""
        return self._process.pid if self._process else None

    @property
    def log(self) -> str:
        """All that the processes wrote so far."""
        return (self.folder / "worker.log").read_text("utf-8")

    def start(self) -> None:
        """Start it; what it did before it was killed stands in the ledger."""
        arguments = ["--kafka", self.kafka, "--topic", self.topic, "--group", self.group, "--jira", self.jira]
        arguments += [
            "--jira-limit",
            self.limit,
            "--ledger",
            f"sqlite:///{self.ledger}",
            "--port",
            "0",
            *self.flags,
        ]
        environ = {**os.environ, "E2E_JIRA": f"basic:{AUTH}", "BRIDGE_LOG__LEVEL": "info"}
        with (self.folder / "worker.log").open("ab") as log:
            self._process = subprocess.Popen(
                [*COMMAND, "worker", *arguments, "--jira-auth", "env:E2E_JIRA"], stderr=log, env=environ
            )

    def kill(self) -> None:
        """SIGKILL, as a loss of power or the kernel would."""
        if self._process is not None:
            self._process.send_signal(signal.SIGKILL)
            self._process.wait()
            self._process = None

    def stop(self) -> int:
        """SIGTERM, and the exit code after the drain."""
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)
        code = self._process.wait(30)
        self._process = None
        return code
