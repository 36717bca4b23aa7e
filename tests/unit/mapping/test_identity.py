"""Issue keys, globalIds, texts and URLs."""

from __future__ import annotations

import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.errors import BadLink
from bridge.mapping.identity import (
    ISSUE_KEY,
    clip,
    global_id,
    is_global_id,
    issue_keys,
    printable,
    utf16_units,
    web_url,
)

ABC = frozenset({"ABC"})


@pytest.mark.parametrize(
    ("text", "keys"),
    [
        ("ABC-12", "ABC-12"),
        ("[ABC-12] Fix", "ABC-12"),
        ("ABC-12: Fix", "ABC-12"),
        ("Fix (ABC-12).", "ABC-12"),
        ("Fix ABC-12.", "ABC-12"),
        ("#ABC-12,DEF-3/GH2-4", "ABC-12 DEF-3 GH2-4"),
        ("DEF-3 ABC-12 DEF-3", "DEF-3 ABC-12"),
        ("A_B-1 and A1-2", "A_B-1 A1-2"),
        ("Merge octo/john_ABC-12_login", "ABC-12"),
        ("https://x.atlassian.net/browse/ABC-12?focus=1", "ABC-12"),
        ("https://x.atlassian.net/browse/ABC-12", "ABC-12"),
        ("TEST-1 DEV-2", "TEST-1 DEV-2"),
        ("Zürich:ABC-12", "ABC-12"),
    ],
)
def test_prose_names_keys_in_upper_case(text: str, keys: str) -> None:
    """Keys are found where people write them, in order and once each."""
    assert issue_keys([text]) == tuple(keys.split())


@pytest.mark.parametrize(
    "text",
    [
        "UTF-8",
        "SHA-256 SHA-1",
        "ISO-8601",
        "RFC-2119",
        "CVE-2024-1234",
        "GHSA-12",
        "TLS-1.3",
        "HTTP-404",
        "UTC-5",
        "X86-64",
        "GH-12",
        "2023-04-11-245a825",
        "v1.2-3",
        "V1.2-3",
        "1.2.3-4",
        "NODE-18.2",
        "DO-178C",
        "ABC-0",
        "ABC-012",
        "ABC-",
        "A-1",
        "1A-2",
        "aABC-12",
        "ABC-12a",
        "ABC-12-3",
        "abc-12",
        "Abc-12",
        "abc_12",
        "ÄBC",
        "ABC-\uff11\uff12",
        "ABC\u201112",
        "ABC-1234567890123456789",
        "",
    ],
)
def test_prose_names_nothing_else(text: str) -> None:
    """Standards, versions, dates and words name no issue."""
    assert issue_keys([text]) == ()


@pytest.mark.parametrize(
    ("branch", "keys"),
    [
        ("feature/abc-12-login", "ABC-12"),
        ("abc-12", "ABC-12"),
        ("Abc-12_login", "ABC-12"),
        ("feature/ABC-12-34-things", "ABC-12"),
        ("feature-ABC-12", "ABC-12"),
        ("john_ABC-12", "ABC-12"),
        ("john/abc-12/def-3", "ABC-12 DEF-3"),
        ("TEST-1", "TEST-1"),
        ("abc_12", ""),
        ("add-abc-12", ""),
        ("patch-1", ""),
        ("release-2023-04-11", ""),
        ("release/v1.2-3", ""),
        ("2023-04-11-245a825", ""),
        ("fix/utf-8", ""),
        ("main", ""),
        ("dependabot/github_actions/actions/checkout-4", ""),
        ("dependabot/npm_and_yarn/lodash-4.17.21", ""),
        ("renovate/node-20", ""),
    ],
)
def test_branches_name_keys_in_any_case(branch: str, keys: str) -> None:
    """A branch names an issue at the start of a part, or in upper case anywhere."""
    assert issue_keys([], branches=[branch]) == tuple(keys.split())


@pytest.mark.parametrize(
    ("branch", "keys"),
    [
        ("add-abc-12", "ABC-12"),
        ("john_abc-12", "ABC-12"),
        ("abc-12-def-3", "ABC-12"),
        ("feature/login-2", ""),
        ("feature/DEF-3", ""),
        ("xabc-12", ""),
    ],
)
def test_known_projects_are_found_anywhere_in_a_branch(branch: str, keys: str) -> None:
    """With projects configured, theirs are found and no others."""
    assert issue_keys([], ABC, branches=[branch]) == tuple(keys.split())


def test_known_projects_in_prose() -> None:
    """In prose a known project is in upper case still, and a well-known word may be a project."""
    assert issue_keys(["ABC-12 abc-13 DEF-3 A_ABC-4"], ABC) == ("ABC-12", "ABC-4")
    assert issue_keys(["SHA-256"], frozenset({"SHA"})) == ("SHA-256",)
    assert issue_keys(["ABC-12"], frozenset()) == ()


def test_texts_come_before_branches() -> None:
    """The order is that of first appearance, texts first."""
    assert issue_keys(["DEF-3", "ABC-1"], branches=["abc-2", "def-3"]) == ("DEF-3", "ABC-1", "ABC-2")


@pytest.mark.parametrize(
    "piece", ["A", "A_", "_A", "__A", "A-", "A1-1", "a_A__a-", "-1", "ABC-1-", "A" * 63 + "_"]
)
def test_the_search_is_linear(piece: str) -> None:
    """A megabyte of what nearly is a key would keep a search that goes back for hours."""
    text = piece * (1_000_000 // len(piece))
    assert len(issue_keys([f"{text} XYZ-7"], branches=[text])) > 0


def test_the_beginning_of_a_tag_is_read_at_once() -> None:
    """Each word of a tag asks whether `jira` stands before it; spaces may be many."""
    issue_keys([], tags=[" " * 400_000 + "abc-12 " * 60_000])
    assert issue_keys([], tags=["  jira: abc-12"]) == ("ABC-12",)


@given(
    st.lists(st.text()), st.lists(st.text()), st.none() | st.frozensets(st.sampled_from(["ABC", "A_B", "X1"]))
)
def test_what_is_found_is_a_key(
    texts: list[str], branches: list[str], projects: frozenset[str] | None
) -> None:
    """Whatever the texts, only whole keys come out, each once, of the projects that are known."""
    keys = issue_keys(texts, projects, branches=branches)
    assert all(ISSUE_KEY.fullmatch(key) for key in keys)
    assert len(set(keys)) == len(keys)
    assert projects is None or {key.rpartition("-")[0] for key in keys} <= projects


@given(st.from_regex(ISSUE_KEY, fullmatch=True), st.sampled_from([" ", "(", "[", "/", ": ", "\n", "#", '"']))
def test_any_key_is_found_among_punctuation(key: str, mark: str) -> None:
    """A key of a known project is found whatever stands around it, as long as the word is short."""
    project = key.rpartition("-")[0]
    found = issue_keys([f"x{mark}{key}{mark}y"], frozenset({project}))
    assert found == ((key,) if len(project) <= 64 else ())


def test_global_ids_follow_the_grammar() -> None:
    """System, type and id are readable, and their marks escaped."""
    assert (
        global_id("github:github.com", "branch", "7/a b") == "system=github:github.com&type=branch&id=7/a b"
    )
    assert global_id("a&b", "t", "x=1%2&\n") == "system=a%26b&type=t&id=x%3D1%252%26%0A"


@given(st.text(), st.text(), st.text(), st.text(), st.text())
def test_global_ids_differ_when_their_parts_do(
    system: str, kind: str, one: str, other: str, tail: str
) -> None:
    """No two objects share a globalId, and none is too long for Jira."""
    filler = "😀" * 140
    texts = {one, other, one + filler + tail, other + filler + "x" + tail}
    found = {global_id(system, kind, text) for text in texts}
    assert len(found) == len(texts)
    assert max(map(utf16_units, found)) <= 255


def test_long_global_ids_end_in_a_hash() -> None:
    """What is cut keeps its beginning and is told apart by a hash, within 255 units."""
    long = global_id("s", "t", "😀" * 200)
    assert long.startswith("system=s&type=t&id=😀")
    assert long[-33] == "~"
    assert utf16_units(long) in (254, 255)
    assert long != global_id("s", "t", "😀" * 201)
    assert utf16_units(global_id("s", "t", "i" * 237)) == 255
    assert "~" not in global_id("s", "t", "i" * 236)


@given(st.from_regex(r"[a-z_]{1,20}", fullmatch=True), st.text(), st.text(min_size=1), st.text(min_size=1))
def test_a_global_id_is_known_as_one(kind: str, host: str, type_: str, id_: str) -> None:
    """What a mapping makes is recognised, a cut one too as long as its type is within it."""
    assert is_global_id(global_id(f"{kind}:{host[:20]}", type_[:20], id_))


@pytest.mark.parametrize("text", ["", "system=ci&id=7", "appId=1&pageId=2", "system=a&type=b&id=c", "x"])
def test_other_grammars_are_no_global_ids_of_ours(text: str) -> None:
    """Confluence's, a producer's own, and one that names no kind of source."""
    assert not is_global_id(text)


@pytest.mark.parametrize(
    ("text", "clipped"),
    [
        ("  a\r\nb\tc\x00 ", "a b c"),
        ("two  spaces", "two  spaces"),
        ("a\u2028b\u202ec\x85d", "a b c d"),
        ("👩\u200d💻 ok", "👩\u200d💻 ok"),
        ("x" * 255, "x" * 255),
        ("x" * 256, "x" * 254 + "…"),
        ("x" * 254 + "😀", "x" * 254 + "…"),
        ("x" * 253 + "😀", "x" * 253 + "😀"),
        ("x" * 253 + "😀y", "x" * 253 + "…"),
        (" \n ", ""),
    ],
)
def test_texts_are_clipped_to_one_line(text: str, clipped: str) -> None:
    """One line, 255 UTF-16 units, an ellipsis where it was cut, no half character."""
    assert clip(text) == clipped


@given(st.text(st.characters()))
def test_clipping_is_done_once(text: str) -> None:
    """A clipped text fits, and clipping it again changes nothing."""
    assert clip(clip(text)) == clip(text)
    assert utf16_units(clip(text)) <= 255
    assert utf16_units(text) == len(text.encode("utf-16-le", "surrogatepass")) // 2


def test_printable_keeps_lines() -> None:
    """A summary may have several lines, but no control characters."""
    assert printable("a\x00b\r\nc\td\n\ne") == "a b\nc d\n\ne"


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("https://x.com/a?b=c#d", "https://x.com/a?b=c#d"),
        ("HTTP://X.com", "http://x.com/"),
        ("https://good.com\\@evil.com", "https://good.com/@evil.com"),
        ("https://exämple.com/ä b", "https://xn--exmple-cua.com/%C3%A4%20b"),
        ("http://[::1]:8080/", "http://[::1]:8080/"),
    ],
)
def test_urls_are_stored_as_they_were_understood(text: str, written: str) -> None:
    """One parser judges a URL, and what it writes is what Jira gets."""
    assert web_url(text, "object.url") == written


@pytest.mark.parametrize(
    "text",
    [
        None,
        7,
        {},
        "",
        " ",
        "x",
        "/path",
        "//x.com/",
        "javascript:alert(1)",
        "data:text/html,x",
        "ftp://x.com/",
        "https://",
        "https:x.com",
        "https:///x.com",
        "https://user:pass@evil.com/",
        "https://user@evil.com/",
        "https://x.com:99999/",
        "https://exa mple.com/",
        "https://x.com/" + "a" * 2100,
    ],
)
def test_bad_urls_are_named(text: object) -> None:
    """What is no plain web address is refused, by its field's name."""
    with pytest.raises(BadLink, match=r"^object\.url: "):
        web_url(text, "object.url")


def test_long_addresses_are_not_remembered() -> None:
    """What is parsed is kept for the next time, and a body's texts may be long."""
    tracemalloc.start()
    for number in range(100):
        with pytest.raises(BadLink, match="longer than 2083 characters"):
            web_url(f"https://x.com/{number}" + "a" * 100_000, "object.url")
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert held < 1_000_000
