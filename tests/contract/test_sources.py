"""What every source must do. Sources are found by themselves; each must have samples."""

from __future__ import annotations

import pkgutil
from collections import defaultdict
from pathlib import Path

import orjson
import pytest

import bridge.sources
from bridge.errors import BadBody, BadSignature, ConfigError
from bridge.mapping.builtin import builtin_mappings
from bridge.mapping.mapper import Mapper, Site
from bridge.sources import base
from bridge.sources.base import load_sources
from tests.deliveries import SOURCES, Delivery, deliveries

SECRET = b"tide and anchor"
SHARED = {"base", "signing"}
"""Modules of `bridge.sources` that are no vendor's."""

SAMPLES = [pytest.param(each, id=f"{kind}-{each.name}") for kind in SOURCES for each in deliveries(kind)]


@pytest.fixture
def mapper() -> Mapper:
    """The built-in mappings, for one site with any project."""
    return Mapper(builtin_mappings(), [Site("main", None)])


def test_every_module_is_a_source() -> None:
    """A source is found by its place: each module that is not shared has one."""
    modules = {module.name for module in pkgutil.iter_modules(bridge.sources.__path__)} - SHARED
    assert len(modules) == len(SOURCES)
    assert "github" in SOURCES


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


@pytest.mark.parametrize("kind", SOURCES)
def test_every_source_has_samples(kind: str) -> None:
    """A source without samples in tests/samples/<kind>/ is not done."""
    assert deliveries(kind)


@pytest.mark.parametrize("sample", SAMPLES)
def test_a_signed_sample_is_accepted(sample: Delivery) -> None:
    """A sample that is signed verifies, and one that was changed on the way does not."""
    source = SOURCES[sample.kind]
    signed = {**sample.headers, **source.sign(sample.body, SECRET)}
    source.verify(signed, sample.body, [b"another", SECRET])
    with pytest.raises(BadSignature):
        source.verify(signed, sample.body + b" ", [SECRET])
    with pytest.raises(BadSignature):
        source.verify(sample.headers, sample.body, [SECRET])


@pytest.mark.parametrize("sample", SAMPLES)
def test_the_kept_headers_are_enough(sample: Delivery) -> None:
    """The event comes out the same when only the kept headers travelled with the body."""
    source = SOURCES[sample.kind]
    kept = {name: value for name, value in sample.headers.items() if name in source.kept_headers}
    whole = source.event(sample.webhook)
    assert all(name == name.lower() for name in source.kept_headers)
    assert source.event(Delivery(sample.kind, sample.name, kept, sample.body).webhook) == whole
    assert (whole.kind, whole.id) == (sample.kind, source.delivery_id(sample.headers, sample.body))


@pytest.mark.parametrize("sample", SAMPLES)
def test_a_sample_comes_to_wishes_or_a_reason(sample: Delivery, mapper: Mapper) -> None:
    """Each sample maps without an error, to exactly one of wishes and a reason."""
    mapped = mapper.map(SOURCES[sample.kind].event(sample.webhook))
    assert bool(mapped.wishes) != bool(mapped.skipped)
    for wish in mapped.wishes:
        assert (wish.link is None) == (not wish.issues)


@pytest.mark.parametrize("sample", SAMPLES)
def test_the_record_key_depends_on_the_object_alone(sample: Delivery) -> None:
    """Neither the order of the body's members nor its whitespace nor a damaged body matters."""
    source = SOURCES[sample.kind]
    key = source.record_key(sample.headers, sample.body)
    same = orjson.dumps(orjson.loads(sample.body), option=orjson.OPT_SORT_KEYS)
    assert key == source.record_key(sample.headers, same)
    assert isinstance(source.record_key({}, sample.body[:-9]), str)
    with pytest.raises(BadBody):
        source.event(Delivery(sample.kind, sample.name, sample.headers, sample.body[:-9]).webhook)


@pytest.mark.parametrize("kind", SOURCES)
def test_what_shares_a_link_shares_a_record_key(kind: str, mapper: Mapper) -> None:
    """Events of one globalId stay in one partition, so that they keep their order."""
    keys = defaultdict(set)
    for sample in deliveries(kind):
        for wish in mapper.map(SOURCES[kind].event(sample.webhook)).wishes:
            keys[wish.global_id].add(SOURCES[kind].record_key(sample.headers, sample.body))
    assert {subject: found for subject, found in keys.items() if len(found) > 1} == {}
