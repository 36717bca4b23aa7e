"""Logs: one line a state, without secrets."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator

import pytest
import structlog

from bridge.observe.logs import Logs, set_up


@pytest.fixture(autouse=True)
def _logging_as_it_was() -> Iterator[None]:
    root, loud = logging.getLogger(), logging.getLogger("aiokafka")
    before, level = root.handlers[:], root.level
    yield
    root.handlers[:] = before
    root.setLevel(level)
    loud.setLevel(logging.NOTSET)
    structlog.reset_defaults()


def lines(stream: io.StringIO) -> list[dict[str, object]]:
    """What was logged as JSON."""
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_a_state_is_one_line_of_json() -> None:
    """The line has the state's name, level, time, fields and its advice."""
    stream = io.StringIO()
    set_up(stream, json=True)
    Logs()("kafka_unavailable", client="producer")
    (line,) = lines(stream)
    assert line["event"] == "kafka_unavailable"
    assert line["level"] == "warning"
    assert line["client"] == "producer"
    assert "broker" in str(line["advice"])
    assert str(line["timestamp"]).endswith("Z")


def test_levels_below_the_one_that_is_set_are_silent() -> None:
    """A debug state is not written at the level info, and is at debug."""
    stream = io.StringIO()
    set_up(stream, json=True, level="info")
    Logs()("lag", records=1)
    assert lines(stream) == []
    set_up(stream, json=True, level="debug")
    Logs()("lag", records=1)
    assert [line["event"] for line in lines(stream)] == ["lag"]


def test_no_secret_is_written() -> None:
    """Values under names that tell of secrets are replaced, at any depth, also from libraries."""
    stream = io.StringIO()
    set_up(stream, json=True)
    hidden = {"Authorization": "s3cret", "kept": ["shown", {"cookie": "s3cret"}]}
    Logs()("unexpected_error", place="x", api_token="s3cret", headers=hidden, x_hub_signature="s3cret")
    structlog.get_logger("aiohttp").error("said", sasl_plain_password="s3cret")
    assert "s3cret" not in stream.getvalue()
    assert "shown" in stream.getvalue()


def test_an_exception_is_written_with_its_kind() -> None:
    """An error as a field reads as its class and message, its traceback as text."""
    stream = io.StringIO()
    set_up(stream, json=True)
    error = ValueError("odd")
    Logs()("unexpected_error", place="x", error=error, exc_info=error)
    (line,) = lines(stream)
    assert line["error"] == "ValueError: odd"
    assert "ValueError: odd" in str(line["exception"])


def test_libraries_speak_from_a_warning_upwards() -> None:
    """A library's warning is a line like the others, its information is not written."""
    stream = io.StringIO()
    set_up(stream, json=True)
    logging.getLogger("aiohttp.server").info("joined")
    logging.getLogger("aiohttp.server").warning("lost %s", "it")
    assert [(line["event"], line["logger"]) for line in lines(stream)] == [("lost it", "aiohttp.server")]


@pytest.mark.parametrize(("level", "count"), [("info", 0), ("debug", 1)])
def test_aiokafka_does_not_flood_the_log(level: str, count: int) -> None:
    """What aiokafka repeats ten times a second while a broker is away is for debugging only."""
    stream = io.StringIO()
    set_up(stream, json=True, level=level)
    logging.getLogger("aiokafka.consumer.fetcher").error("Failed fetch messages")
    assert len(lines(stream)) == count


def test_a_console_gets_text() -> None:
    """Without json the lines are for eyes."""
    stream = io.StringIO()
    set_up(stream, json=False)
    Logs()("listening", port=8080)
    assert "listening" in stream.getvalue()
    assert "port=8080" in stream.getvalue()


def test_an_unknown_state_is_an_error() -> None:
    """A name that is not in the catalogue is not logged but raised."""
    with pytest.raises(KeyError):
        Logs()("no_such_state")
