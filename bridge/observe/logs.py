"""Logs: structlog over the standard library's, to one stream, as JSON or for a console."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import TextIO

import structlog
from structlog.typing import EventDict, Processor

from bridge.observe.states import STATES

SECRET_WORDS = ("authorization", "cookie", "password", "secret", "signature", "token")
"""A field whose name holds one of these is never written."""

_REDACTED = "[redacted]"


def set_up(stream: TextIO, *, json: bool, level: str = "info") -> None:
    """Send the bridge's and its libraries' logs to `stream`; below `level` nothing is written.

    Libraries speak from a warning upwards, aiokafka at the level debug only: while a broker is
    away it writes a hundred lines a second, and the states say the same once. Replaces what an
    earlier call has set up.
    """
    handler = logging.StreamHandler(stream)
    handler.setFormatter(_formatter(json=json))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    logging.getLogger("bridge").setLevel(level.upper())
    logging.getLogger("aiokafka").setLevel(logging.WARNING if level == "debug" else logging.CRITICAL)
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *_shared(),
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )


def _shared() -> list[Processor]:
    return [
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        _redact,
    ]


def _formatter(*, json: bool) -> logging.Formatter:
    last: Processor = (
        structlog.processors.JSONRenderer() if json else structlog.dev.ConsoleRenderer(colors=False)
    )
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=_shared(),
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, last],
    )


def _redact(_logger: object, _method: str, event: EventDict) -> EventDict:
    return redacted(event)


def redacted(fields: Mapping[str, object]) -> dict[str, object]:
    """`fields` with the values of secrets replaced, also inside mappings and lists."""
    return {name: _REDACTED if _is_secret(name) else _plain(value) for name, value in fields.items()}


def _is_secret(name: str) -> bool:
    return any(word in name.lower() for word in SECRET_WORDS)


def _plain(value: object) -> object:
    if isinstance(value, Mapping):
        return redacted(value)
    if isinstance(value, list):
        return [_plain(each) for each in value]
    return f"{type(value).__name__}: {value}" if isinstance(value, BaseException) else value


class Logs:
    """An Observe that writes each state as one line, with its advice from a warning upwards."""

    def __init__(self) -> None:
        self._log: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger("bridge")

    def __call__(self, state: str, /, **fields: object) -> None:
        """Raises KeyError for a state that is not in the catalogue."""
        known = STATES[state]
        if known.advice:
            fields["advice"] = known.advice
        self._log.log(logging.getLevelNamesMapping()[known.level.upper()], state, **fields)
