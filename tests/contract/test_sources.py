"""What every source must do. Sources are found by themselves; each must have samples."""

from __future__ import annotations

import copy
import pkgutil
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import bridge.sources
from bridge.errors import BadSignature, ConfigError
from bridge.kafka.envelope import encode
from bridge.model import Outcome, Record, Webhook
from bridge.pipeline import Pipeline
from bridge.sources import base
from bridge.sources.base import load_sources, page
from tests.deliveries import MAPPER, RECEIVED_AT, SOURCES, Delivery, deliveries, outcome

SECRET = b"tide and anchor"
SHARED = {"base", "bodies", "options", "signing"}
"""Modules of `bridge.sources` that are no vendor's."""

SAMPLES = [pytest.param(each, id=f"{kind}-{each.name}") for kind in SOURCES for each in deliveries(kind)]
SECTIONS = ("## Set up", "## Events", "## Links", "## Signature", "## Facts")

every_kind = pytest.mark.parametrize("kind", SOURCES)
every_sample = pytest.mark.parametrize("sample", SAMPLES)


def test_every_module_is_a_source() -> None:
    """A source is found by its place: each module that is not shared has one."""
    modules = {module.name for module in pkgutil.iter_modules(bridge.sources.__path__)} - SHARED
    assert {name.replace("_", "-") for name in modules} == set(SOURCES)


def package(folder: Path, kind: str) -> None:
    """Put a package with a source of that kind into the folder, as pip would."""
    (folder / f"{kind}_source.py").write_text(
        f"from bridge.sources.github import GitHub\nSOURCE = GitHub()\nSOURCE.kind = {kind!r}\n"
    )
    info = folder / f"{kind}_source-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {kind}-source\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[{base.ENTRY_POINTS}]\n{kind} = {kind}_source:SOURCE\n")


def test_a_package_outside_adds_its_source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A package that names a source under the entry points' group is found."""
    package(tmp_path, "gitanchor")
    monkeypatch.syspath_prepend(tmp_path)
    assert set(load_sources()) == {*SOURCES, "gitanchor"}


def test_a_package_outside_takes_no_kind_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two sources of one kind are an error, which says where the second is."""
    package(tmp_path, "github")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ConfigError, match=r"github = github_source:SOURCE: .*'github'"):
        load_sources()


@every_kind
def test_every_source_has_a_set_up_page(kind: str) -> None:
    """The docstring of its module says how to set it up, and where its facts were found."""
    told = page(SOURCES[kind])
    places = [told.find(section) for section in SECTIONS]
    assert places == sorted(places)
    assert min(places) > 0
    assert told.startswith(SOURCES[kind].vendor)
    assert f"source: {kind}" in told
    assert "https://" in told.partition("## Facts")[2]


@every_kind
def test_every_source_has_samples(kind: str) -> None:
    """A source has samples of what matters, and one that means harm; each says where its shape is from."""
    names = [each.name for each in deliveries(kind)]
    assert len(names) >= 5
    assert any("hostile" in name for name in names)
    assert all(each.sample["from"].startswith("https://") for each in deliveries(kind))


@every_sample
def test_a_sample_comes_to_what_it_says(sample: Delivery) -> None:
    """The events and the changes are those in the file, to the letter."""
    assert outcome(sample.webhook) == sample.expected
    reason = sample.expected["skipped"] or sample.expected["rejected"]
    assert bool(sample.expected["changes"]) != bool(reason)


@every_sample
def test_a_signed_sample_is_accepted(sample: Delivery) -> None:
    """A sample that is signed verifies for a while, and one of another's does not."""
    source, request = SOURCES[sample.kind], sample.request
    headers = source.signature.sign(request, SECRET, RECEIVED_AT)
    signed = replace(request, headers={**request.headers, **headers})
    source.signature.verify(signed, [b"another", SECRET], RECEIVED_AT + timedelta(seconds=60))
    for refused, secrets in ((signed, [b"another"]), (signed, []), (request, [SECRET])):
        with pytest.raises(BadSignature) as told:
            source.signature.verify(refused, secrets, RECEIVED_AT)
        assert SECRET.decode() not in str(told.value)


@every_sample
def test_a_changed_sample_is_refused(sample: Delivery) -> None:
    """One more byte in the body breaks a signature; a token cannot tell."""
    source, request = SOURCES[sample.kind], sample.request
    if source.signature.sign(request, SECRET, RECEIVED_AT) == source.signature.sign(
        replace(request, body=b"x"), SECRET, RECEIVED_AT
    ):
        pytest.skip("this source's senders send a token, and sign no body")
    headers = {**request.headers, **source.signature.sign(request, SECRET, RECEIVED_AT)}
    changed = replace(request, headers=headers, body=request.body + b" ")
    with pytest.raises(BadSignature):
        source.signature.verify(changed, [SECRET], RECEIVED_AT)


@every_sample
def test_the_kept_headers_are_enough(sample: Delivery) -> None:
    """The event comes out the same when only the kept headers travelled with the body."""
    source = SOURCES[sample.kind]
    kept = source.keep(sample.headers, sample.body)
    assert source.keep(kept, sample.body) == kept
    assert all(name == name.lower() for name in kept)
    secret = source.signature.sign(sample.request, SECRET, RECEIVED_AT)
    assert not {name for name, value in source.keep(secret, sample.body).items() if SECRET.decode() in value}


@every_sample
def test_the_record_key_depends_on_the_object_alone(sample: Delivery) -> None:
    """Neither the order of the body's members nor its whitespace nor a damaged body matters."""
    source = SOURCES[sample.kind]
    key = source.record_key(sample.headers, sample.body)
    assert isinstance(source.record_key({}, sample.body[:-9]), str)
    if not isinstance(sample.sample["request"]["body"], str):
        same = orjson.dumps(orjson.loads(sample.body), option=orjson.OPT_SORT_KEYS)
        assert key == source.record_key(sample.headers, same)


@every_kind
def test_what_shares_a_link_shares_a_record_key(kind: str) -> None:
    """Events of one globalId stay in one partition, so that they keep their order."""
    keys = defaultdict(set)
    for sample in deliveries(kind):
        for change in sample.expected["changes"]:
            keys[change["globalId"]].add(SOURCES[kind].record_key(sample.headers, sample.body))
    assert {subject: found for subject, found in keys.items() if len(found) > 1} == {}


# --- any input -----------------------------------------------------------------------------

ODD: list[Any] = [
    None,
    True,
    0,
    -1,
    1e300,
    2**63,
    "",
    " ",
    "x" * 300,
    "\x00\u202e",
    "javascript:alert(1)",
    [],
    {},
    [[]],
]
PIPELINE = Pipeline(SOURCES, MAPPER, float("inf"))


def places(value: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """The paths of all values within a document."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, each in inner:
        yield (*path, name)
        yield from places(each, (*path, name))


def mutate(body: Any, path: tuple[str | int, ...], odd: Any) -> None:
    """Put an odd value at the path, or take what stands there away for `...`."""
    *above, last = path
    for step in above:
        try:
            body = body[step]
        except (KeyError, IndexError, TypeError):
            return  # it went with an earlier mutation
    if isinstance(body, list) and isinstance(last, int) and last < len(body):
        body[last : last + 1] = [] if odd is ... else [odd]
    elif isinstance(body, dict) and isinstance(last, str):
        body.pop(last, None) if odd is ... else body.update({last: odd})
    # Anything else was put there by an earlier mutation.


@every_kind
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_any_mutation_is_a_change_or_has_a_reason(kind: str, data: st.DataObject) -> None:
    """Whatever is missing, null or of another type, no code fails."""
    bodies = [each for each in deliveries(kind) if not isinstance(each.sample["request"]["body"], str)]
    sample = data.draw(st.sampled_from(bodies))
    body = copy.deepcopy(sample.sample["request"]["body"])
    paths = list(places(body))
    changes = st.lists(
        st.tuples(st.sampled_from(paths), st.sampled_from([..., *ODD])), min_size=1, max_size=3
    )
    for path, odd in data.draw(changes):
        mutate(body, path, copy.deepcopy(odd))
    check(replace(sample, body=orjson.dumps(body)))


@every_kind
@settings(max_examples=20, deadline=None)
@given(st.data())
def test_any_bytes_have_a_reason(kind: str, data: st.DataObject) -> None:
    """Neither does what is no JSON, or JSON of another kind, under any headers."""
    whole = st.sampled_from([b"[]", b"{}", b"1", b"null", b"[1]", b'"x"', b"[{}]"])
    body = data.draw(st.one_of(st.binary(max_size=40), whole))
    headers = data.draw(st.sampled_from([{}, *(each.headers for each in deliveries(kind))]))
    check(replace(deliveries(kind)[0], headers=headers, body=body))


def check(sample: Delivery) -> None:
    """A delivery comes to changes or to a reason, and never to `source_failed`."""
    source = SOURCES[sample.kind]
    assert isinstance(source.record_key(sample.headers, sample.body), str)
    webhook = Webhook(
        "main", sample.kind, "d-1", source.keep(sample.headers, sample.body), sample.body, RECEIVED_AT
    )
    value, headers = encode(webhook)
    at = int(RECEIVED_AT.timestamp() * 1000)
    item = PIPELINE(Record("events", 0, 0, at, None, value, tuple(headers)))
    assert item.reason != "source_failed", item.detail
    assert (item.outcome is None) == bool(item.changes)
    assert item.outcome in {None, Outcome.SKIPPED, Outcome.REJECTED}
