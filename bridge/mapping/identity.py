"""What identifies things: issue keys in texts, globalIds, and texts and URLs fit for Jira."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache

from pydantic import ValidationError
from pydantic_core import SchemaValidator, core_schema

from bridge.errors import BadLink

MAX_UNITS = 255
"""What Jira takes for a globalId, title, relationship or application name, in UTF-16 units."""

# --- issue keys ----------------------------------------------------------------------------

ISSUE_KEY = re.compile(r"[A-Z][A-Z0-9_]+-[1-9][0-9]{0,17}", re.ASCII)
"""https://support.atlassian.com/jira-software-cloud/docs/what-is-an-issue/ and Jira's default pattern."""

# A word, a hyphen and a number; not within a longer word, nor a version (`NODE-18.2`). A run of
# letters is entered once only (the first two conditions), which keeps the search linear. The
# third group tells that another number follows (`ABC-12-3`).
_CANDIDATE = re.compile(
    r"(?<![A-Z0-9])(?<![A-Z0-9_]_)([A-Z][A-Z0-9_]{1,63}+)-([1-9][0-9]{0,17})(?![A-Z0-9]|\.[0-9])(?=(-[0-9])?)",
    re.ASCII | re.IGNORECASE,
)

NOT_PROJECTS = frozenset(
    """
    AES ANSI ASCII BASE BCP BLAKE2 BSD COVID CP CRC CVE CWE ECMA EUC FIPS GH GHSA GMT GPL HMAC HTTP
    HTTPS IEC IEEE IPV ISO JDK JEP JSR LATIN LGPL MD MPEG NIST OSV PEP PKCS PYSEC RC RFC RGB RIPEMD RSA
    RUSTSEC SHA SHAKE SJIS SSL TCP TLS UCS UDP USB UTC UTF WINDOWS WPA X86
    """.split()  # noqa: SIM905 - a list of eighty quoted words is no easier to read
)
"""Standards, ciphers and encodings that look like keys. Only where a site takes any project."""

NOT_PROJECTS_IN_BRANCHES = frozenset(
    """
    ALPHA BETA BRANCH BUG BUGFIX BUILD BUMP CHORE DAY DEV FEAT FEATURE FIX GO HOTFIX ISSUE ISSUES
    ITERATION JAVA JOB LEVEL MERGE MILESTONE MR NODE PART PATCH PHASE PHP POST PR PRE PULL PY PYTHON
    QUICKFIX REL RELEASE REV REVERT ROUND RUBY RUN SPRINT STABLE STAGE STEP STORY TASK TEMP TEST TESTS
    TICKET TMP TRY UPDATE UPGRADE VERSION WEEK WIP
    """.split()  # noqa: SIM905 - a list of eighty quoted words is no easier to read
)
"""Words of branch names (`patch-1` is GitHub's own). Only in lower case: `TEST-1` is a key."""

_BOTS = ("dependabot/", "renovate/")  # a package and its version: `dependabot/…/checkout-4`


def issue_keys(
    texts: Iterable[str],
    projects: frozenset[str] | None = None,
    *,
    branches: Iterable[str] = (),
    tags: Iterable[str] = (),
) -> tuple[str, ...]:
    """The issue keys that `texts`, `branches` and `tags` name, upper-case, in order, each once.

    With `projects`, keys of those projects only; None takes every project that is not a
    well-known word. Prose names a key in upper case. In a branch any case will do, for an
    unknown project at the start of a part only (`feature/abc-12-login`, not `add-abc-12`). In a
    tag any case will do, for an unknown project behind `jira` only (`jira:abc-12`).
    """
    found = dict.fromkeys(_found(texts, projects, _in_prose))
    found.update(dict.fromkeys(_found(branches, projects, _in_branch)))
    found.update(dict.fromkeys(_found(tags, projects, _in_tag)))
    return tuple(found)


_Read = Callable[[re.Match[str], frozenset[str] | None], str | None]


def _found(texts: Iterable[str], projects: frozenset[str] | None, read: _Read) -> Iterator[str]:
    for text in texts:
        for match in _CANDIDATE.finditer(text):
            project = read(match, projects)
            if project:
                yield f"{project}-{match[2]}"


def _in_prose(match: re.Match[str], projects: frozenset[str] | None) -> str | None:
    # `ABC-12-3` is a date or a part's number.
    return _project(match[1], projects, any_case=False) if match[3] is None else None


def _in_branch(match: re.Match[str], projects: frozenset[str] | None) -> str | None:
    project = _project(match[1], projects, any_case=projects is not None)
    if project is None and projects is None and _begins_part(match) and _is_known(match[1].upper(), None):
        return match[1].upper()
    return project


def _in_tag(match: re.Match[str], projects: frozenset[str] | None) -> str | None:
    # Zendesk, Datadog and others write tags in small letters.
    any_case = projects is not None or _JIRA.match(match.string) is not None
    return _project(match[1], projects, any_case=any_case) if match[3] is None else None


# It is asked of a tag's beginning for each word in it: how many spaces stand there must not matter.
_JIRA = re.compile(r"\s{0,9}jira(?:_|(?![a-z0-9]))", re.ASCII | re.IGNORECASE)


def _project(word: str, projects: frozenset[str] | None, *, any_case: bool) -> str | None:
    tails = _tails(word)
    if any_case and projects is None:  # `jira_abc-12`
        tails = (tail for tail in tails if tail.upper() != "JIRA" and not _JIRA.match(tail))
    for tail in tails:
        if (any_case or tail.isupper()) and _is_known(tail.upper(), projects):
            return tail.upper()
    return None


def _tails(word: str) -> Iterator[str]:
    """The word, and what stands behind each `_` in it: in `john_ABC-12` the project is ABC."""
    yield word
    while "_" in word:
        word = word.partition("_")[2]
        if word[1:] and word[0].isalpha():
            yield word


def _is_known(project: str, projects: frozenset[str] | None) -> bool:
    return project not in NOT_PROJECTS if projects is None else project in projects


def _begins_part(match: re.Match[str]) -> bool:
    begins = match.start() == 0 or match.string[match.start() - 1] == "/"
    a_word = match[1].upper() in NOT_PROJECTS_IN_BRANCHES or match.string.startswith(_BOTS)
    return begins and not a_word


# --- globalIds -----------------------------------------------------------------------------

_ESCAPES = {ord(c): f"%{ord(c):02X}" for c in "%&=\x7f" + "".join(map(chr, range(0x20)))}
_HASHED_UNITS = MAX_UNITS - 33
_GLOBAL_ID = re.compile(r"system=[^&=:]+:[^&=]*&type=[^&=]+&id=[^&=]+")


def global_id(system: str, type: str, id: str) -> str:  # noqa: A002 - the grammar's own words
    """`system=<kind>:<host or account>&type=<type>&id=<native id>`, at most 255 UTF-16 units.

    `%`, `&`, `=` and control characters inside the parts are percent-encoded. What is too long
    is cut, and ends in `~` and 32 hexadecimal digits of the whole.
    """
    parts = (part.translate(_ESCAPES) for part in (system, type, id))
    text = "system={}&type={}&id={}".format(*parts)
    if utf16_units(text) <= MAX_UNITS:
        return text
    digest = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()
    return f"{_cut(text, _HASHED_UNITS)}~{digest}"


def is_global_id(text: str) -> bool:
    """Whether `global_id` can have made the text."""
    return _GLOBAL_ID.fullmatch(text) is not None


# --- texts ---------------------------------------------------------------------------------

# C0, C1, line and paragraph separators, and the bidirectional overrides that disguise a text.
_UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]+")
_BEYOND_BMP = re.compile("[\U00010000-\U0010ffff]")


def utf16_units(text: str) -> int:
    """The length that Jira counts: a character beyond the Basic Multilingual Plane is two."""
    return len(text) if text.isascii() else len(text) + len(_BEYOND_BMP.findall(text))


def printable(text: str) -> str:
    """The text without control characters, its line breaks kept."""
    if text.isascii() and text.isprintable():
        return text
    return "\n".join(_UNPRINTABLE.sub(" ", line) for line in text.splitlines())


def clip(text: str, units: int = MAX_UNITS) -> str:
    """The text on one line without control characters, an ellipsis where it was cut."""
    line = text if text.isascii() and text.isprintable() else _UNPRINTABLE.sub(" ", text)
    line = line.strip()
    if utf16_units(line) <= units:
        return line
    return _cut(line, units - 1).rstrip() + "…"


def _cut(text: str, units: int) -> str:
    """The longest beginning of at most `units`, without half a surrogate pair."""
    return text.encode("utf-16-le", "surrogatepass")[: units * 2].decode("utf-16-le", "ignore")


# --- URLs ----------------------------------------------------------------------------------

# The scheme, both slashes and a host: browsers read `https:x` and `https:///x` as https://x.
_WEB = re.compile(r"\s*https?://[^/\\]", re.IGNORECASE)
_MAX_URL = 2083
_URL = SchemaValidator(
    core_schema.url_schema(max_length=_MAX_URL, allowed_schemes=["http", "https"], host_required=True)
)


@dataclass(frozen=True, slots=True)
class _Fault:
    message: str


def web_url(text: object, field: str) -> str:
    """The address as pydantic's parser writes it, so that all readers see the same host.

    Raises BadLink, which names `field`, unless it is http or https, with a host and without a
    user or password.
    """
    if not isinstance(text, str):
        raise BadLink(f"{field}: is not a text")
    if len(text) > _MAX_URL:  # what is parsed is remembered
        raise BadLink(f"{field}: is longer than {_MAX_URL} characters")
    found = _parse_url(text)
    if isinstance(found, _Fault):
        raise BadLink(f"{field}: {found.message}")
    return found


@lru_cache(maxsize=4096)  # icons come again and again
def _parse_url(text: str) -> str | _Fault:
    try:
        url = _URL.validate_python(text)
    except ValidationError as error:
        return _Fault(error.errors(include_url=False, include_input=False)[0]["msg"])
    if not _WEB.match(text):
        return _Fault("has no host")
    if url.username is not None or url.password is not None:
        return _Fault("holds a user name or password")
    return str(url)
