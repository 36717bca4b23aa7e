"""The configuration: one YAML file, environment variables over it, flags over both.

`load` reads everything that it needs once (the file, and the files that secrets name) and
raises one ConfigError that lists all that is wrong. No message, repr or dump shows a secret.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from functools import reduce
from pathlib import Path
from typing import Any, get_args, get_origin

from pydantic import ValidationError
from pydantic.json_schema import GenerateJsonSchema

from bridge.errors import ConfigError
from bridge.settings.layers import (
    Key,
    Problem,
    dotted,
    from_environment,
    from_flags,
    from_yaml,
    over,
    place,
    plain,
)
from bridge.settings.sections import (
    Auth,
    Basic,
    Bearer,
    Contradiction,
    Endpoint,
    Ingress,
    Kafka,
    Ledger,
    Log,
    OAuth,
    Route,
    Section,
    Security,
    Settings,
    Site,
    Worker,
)

__all__ = [
    "Auth",
    "Basic",
    "Bearer",
    "Endpoint",
    "Ingress",
    "Kafka",
    "Ledger",
    "Log",
    "OAuth",
    "Route",
    "Security",
    "Settings",
    "Site",
    "Worker",
    "keys",
    "load",
    "read_text",
    "schema",
]


def load(path: Path | None, environ: Mapping[str, str], overrides: Mapping[str, object]) -> Settings:
    """The configuration of the file at `path`, `BRIDGE_…` variables over it, `overrides` over both.

    `overrides` has dotted keys (`kafka.group`). Raises ConfigError that names all that is wrong.
    """
    problems: list[Problem] = []
    layers = [from_environment(environ, problems), from_flags(overrides)]
    if path is not None:
        layers.insert(0, from_yaml(read_text(path), str(path), problems))
    given = reduce(over, layers)
    settings = None
    if not problems:
        try:
            settings = Settings.model_validate(plain(given), context=environ)
        except ValidationError as error:
            problems = [Problem(place(given, key), key, text) for key, text in _problems(error)]
    # Raised here, and not from pydantic's error, which holds the values.
    if settings is None:
        raise ConfigError("\n".join(map(str, problems)))
    return settings


def schema() -> dict[str, Any]:
    """The JSON schema (2020-12) of the configuration, with a description of every key."""
    return {"$schema": GenerateJsonSchema.schema_dialect, **Settings.model_json_schema()}


def keys() -> dict[Key, str]:
    """The description of every key; `*` stands for a name that the user gives."""
    return dict(_keys(Settings, ()))


def _keys(section: type[Section], above: Key) -> Iterator[tuple[Key, str]]:
    for name, field in section.model_fields.items():
        key = (*above, name)
        yield key, field.description or ""
        for inner, named in _sections(field.annotation):
            yield from _keys(inner, (*key, "*") if named else key)


def _sections(annotation: Any, named: bool = False) -> Iterator[tuple[type[Section], bool]]:  # noqa: ANN401
    if isinstance(annotation, type) and issubclass(annotation, Section):
        yield annotation, named
    for inner in get_args(annotation):
        yield from _sections(inner, get_origin(annotation) is dict)


def read_text(path: Path) -> str:
    """The text of a file that the configuration is or names. Raises ConfigError."""
    try:
        return path.read_text("utf-8")
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{path}: cannot be read: expected UTF-8 text") from None


def _problems(error: ValidationError) -> Iterator[tuple[Key, str]]:
    for found in error.errors(include_url=False, include_input=False):
        key, raised = found["loc"], found.get("ctx", {}).get("error")
        if isinstance(raised, Contradiction):
            yield from (((*key, *below), text) for below, text in raised.found)
        elif isinstance(raised, ValueError):
            yield key, str(raised)
        elif key[-1] == "[key]":
            yield key[:-1], "is no name; expected lower-case letters and digits, single - or _ between them"
        else:
            yield key, _explained(key, found["type"], found["msg"])


def _explained(key: Key, kind: str, message: str) -> str:
    match kind:
        case "extra_forbidden":
            return f"is not a key that there is; {_suggestion(key)}"
        case "missing":
            return f"is missing; expected {_meaning(key)}"
        case "string_pattern_mismatch":
            return f"is not of the right form; expected {_meaning(key)}"
        case "path_not_file":
            return "names no file that is there; a relative path is taken from the working directory"
        case "list_type":
            return f"is no list, as `[…]` ({_meaning(key)})"
        case _:
            return f"{message.replace('Input should', 'should')} ({_meaning(key)})"


def _meaning(key: Key) -> str:
    """The description of `key`, or of the nearest key above it."""
    found = [text for known, text in keys().items() if _matches(known, key[: len(known)])]
    return found[-1] if found else "a mapping"


def _suggestion(key: Key) -> str:
    beside = [str(known[-1]) for known in keys() if _matches(known[:-1], key[:-1])]
    if close := difflib.get_close_matches(str(key[-1]), beside, 1):
        return f"did you mean {dotted((*key[:-1], close[0]))}?"
    elsewhere = [dotted(known) for known in keys() if known[-1] == key[-1]]
    return f"did you mean {elsewhere[0]}?" if elsewhere else f"expected one of {', '.join(beside)}"


def _matches(known: Key, key: Key) -> bool:
    return len(known) == len(key) and all(a in (b, "*") for a, b in zip(known, key, strict=True))
