"""`sources` and `send`: what the bridge understands, which part of a signature is wrong, a trial."""

from __future__ import annotations

import asyncio
import hmac
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from aiohttp import web

from bridge.cli import main
from bridge.sources.base import page
from tests.deliveries import SOURCES, delivery
from tests.unit.cli.test_commands import run

BODY = b'{"zen": "Approachable is better than simple."}'
SIGNATURE = "sha256=" + hmac.new(b"s3cret", BODY, "sha256").hexdigest()


def test_all_sources_are_listed() -> None:
    """The table has a line for each, and `--json` all of it for a script."""
    table = run("sources")
    assert table.returncode == 0, table.stderr
    rows = json.loads(run("sources", "--json").stdout)
    assert [row["name"] for row in rows] == sorted(SOURCES)
    for row in rows:
        assert set(row) == {"name", "vendor", "events", "signature", "setUp"}
        assert all(row.values()), row
        assert f"\n{row['name']}" in table.stdout


def test_a_source_shows_its_page() -> None:
    """The set-up page is the docstring of its module; behind it stand the samples that `send` has."""
    done = run("sources", "show", "github")
    shown, _, samples = done.stdout.partition("\n\n## Samples\n")
    assert shown.strip() == page(SOURCES["github"]).strip()
    told = json.loads(run("sources", "show", "github", "--json").stdout)
    assert told["page"] == page(SOURCES["github"])
    assert "pull_request.opened" in told["samples"]
    assert ", ".join(told["samples"]) in samples
    unknown = run("sources", "show", "gitbub")
    assert unknown.returncode == 2
    assert "did you mean github" in unknown.stderr


@pytest.mark.parametrize(
    ("body", "secret", "header", "code", "told"),
    [
        (BODY, "s3cret", f"X-Hub-Signature-256: {SIGNATURE}", 0, ["The signature is right."]),
        (
            BODY,
            "other",
            f"X-Hub-Signature-256: {SIGNATURE}",
            1,
            ["No secret", "Expected: x-hub-signature-256"],
        ),
        (BODY, "s3cret", "X-Other: 1", 1, ["The header x-hub-signature-256 is missing"]),
        (BODY, "s3cret", "X-Hub-Signature-256: 1", 1, ["does not begin with sha256="]),
        (
            BODY + b"\n",
            "s3cret",
            f"X-Hub-Signature-256: {SIGNATURE}",
            1,
            ["without the line break at the end"],
        ),
        (
            BODY,
            "env:HOOK",
            f"X-Hub-Signature-256: {SIGNATURE}",
            1,
            ["without the spaces or line breaks around"],
        ),
        (
            BODY.replace(b": ", b":"),
            "s3cret",
            f"X-Hub-Signature-256: {SIGNATURE}",
            1,
            ["a space behind each comma and colon"],
        ),
        (BODY, "", f"X-Hub-Signature-256: {SIGNATURE}", 2, []),
        (BODY, "env:NOT_SET", f"X-Hub-Signature-256: {SIGNATURE}", 2, []),
        (BODY, "s3cret", "nonsense", 2, []),
    ],
)
def test_a_signature_is_checked(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    body: bytes,
    secret: str,
    header: str,
    code: int,
    told: list[str],
) -> None:
    """Which part is wrong is said, and what would be right; no secret is."""
    path = tmp_path / "body.json"
    path.write_bytes(body)
    monkeypatch.setenv("HOOK", "s3cret ")
    arguments = ["sources", "verify", "github", "--secret", secret, "--header", header, str(path)]
    monkeypatch.setattr("sys.argv", ["jira-bridge", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    done = capsys.readouterr()
    assert ended.value.code == code, done.err
    assert [each for each in told if each not in done.out] == []
    assert "s3cret" not in done.out + done.err


@pytest.mark.parametrize(
    ("kind", "secret"), [("standard-webhooks", "whsec_c2VjcmV0c2VjcmV0"), ("github", "s3cret")]
)
def test_no_body_and_no_secret_is_too_odd_to_be_checked(tmp_path: Path, kind: str, secret: str) -> None:
    """JSON may be nested more deeply than it can be written, and a line break is no Base64."""
    path = tmp_path / "body.json"
    path.write_bytes(b"[" * 900 + b"]" * 900)
    names = ("webhook-id", "webhook-timestamp", "webhook-signature", "x-hub-signature-256")
    headers = [part for name in names for part in ("--header", f"{name}: v1,sha256=1")]
    done = run("sources", "verify", kind, "--secret", secret, *headers, str(path))
    assert (done.returncode, done.stderr) == (1, "")


Answer = Callable[[web.Request, bytes], web.Response]


async def sent(answer: Answer, *arguments: str) -> tuple[int, str, str]:
    """What `send` comes to against a server that answers so."""

    async def handle(request: web.Request) -> web.Response:
        return answer(request, await request.read())

    app = web.Application()
    app.add_routes([web.post("/webhooks/x", handle)])
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    url = "http://{}:{}/webhooks/x".format(*runner.addresses[0])
    done = await asyncio.to_thread(run, "send", *arguments, "--to", url)
    await runner.cleanup()
    return done.returncode, done.stdout, done.stderr


async def test_a_sample_is_sent_as_its_vendor_would() -> None:
    """Signed, with the vendor's headers, and naming the issue that was asked for."""

    def answer(request: web.Request, body: bytes) -> web.Response:
        assert request.headers["x-github-event"] == "pull_request"
        made = "sha256=" + hmac.new(b"s3cret", body, "sha256").hexdigest()
        assert request.headers["x-hub-signature-256"] == made
        assert b"PROJ-7: Keep the session alive" in body
        assert b"DOCK-12" not in body
        return web.json_response({"deliveryId": "d-9"}, status=202)

    code, out, _ = await sent(
        answer, "github", "pull_request.opened", "--secret", "s3cret", "--issue", "PROJ-7"
    )
    assert (code, "Taken: delivery d-9" in out) == (0, True)


@pytest.mark.parametrize(
    ("kind", "sample"),
    [
        ("gitlab", "merge_request.opened"),  # its description names another issue first
        ("zendesk", "ticket.created"),
        ("github", "check_run.completed"),  # in a branch, in small letters
        ("grafana", "firing.two_issues"),
    ],
)
async def test_the_issue_stands_where_the_mapping_looks(kind: str, sample: str, tmp_path: Path) -> None:
    """Whatever else the sample names, the links of what is posted are on the issue that was asked for."""
    path = tmp_path / "posted.json"

    def answer(request: web.Request, body: bytes) -> web.Response:
        told = {"from": "", "request": {"headers": dict(request.headers), "body": json.loads(body)}}
        path.write_text(json.dumps(told))
        return web.json_response({"deliveryId": "d-9"}, status=202)

    assert (await sent(answer, kind, sample, "--issue", "PROJ-7"))[0] == 0
    changes = json.loads(run("map", str(path), "--source", kind, "--json").stdout)["changes"]
    assert {change["issue"] for change in changes} == {"PROJ-7"}


@pytest.mark.parametrize(
    ("kind", "sample"),
    [
        ("github", "pull_request.opened"),
        ("zendesk", "ticket.created"),
        ("pagerduty", "incident.triggered"),  # its body tells the id
    ],
)
async def test_a_sample_may_be_sent_again(kind: str, sample: str) -> None:
    """With an id of its own each time: else the second try, for another issue, would be a duplicate."""
    ids = set()

    def answer(request: web.Request, body: bytes) -> web.Response:
        sent_as = {name.lower(): value for name, value in request.headers.items()}
        ids.add(SOURCES[kind].delivery_id(SOURCES[kind].keep(sent_as, body), body))
        return web.json_response({"deliveryId": "d-9"}, status=202)

    for issue in ("PROJ-7", "PROJ-8"):
        assert (await sent(answer, kind, sample, "--issue", issue))[0] == 0
    assert len(ids) == 2


async def test_a_body_of_ones_own_is_sent_to_the_letter(tmp_path: Path) -> None:
    """A file that is no sample is posted byte by byte, and a refusal is told with its reason."""
    path = tmp_path / "body.json"
    path.write_bytes(b'{ "zen" : 1 }\n')

    def answer(_request: web.Request, body: bytes) -> web.Response:
        assert body == path.read_bytes()
        told = {"code": "bad_signature", "detail": "The header is missing."}
        return web.json_response(told, status=401)

    code, out, _ = await sent(answer, "github", str(path), "--event", "ping")
    assert (code, out.strip()) == (1, "Refused with 401 (bad_signature): The header is missing.")


def test_a_sample_that_is_not_there_is_said() -> None:
    """The samples that there are are named."""
    done = run("send", "github", "none", "--to", "http://127.0.0.1:1/")
    assert done.returncode == 2
    assert "pull_request.opened" in done.stderr
    nowhere = run("send", "github", "pull_request.opened", "--to", "localhost:8080")
    assert (nowhere.returncode, "--to: expected an address" in nowhere.stderr) == (2, True)
    gone = run("send", "github", "pull_request.opened", "--to", "http://127.0.0.1:1/")
    assert gone.returncode == 3
    assert "endpoint_unreachable" in gone.stderr


def test_map_reads_a_sample_with_its_headers() -> None:
    """A sample needs neither a type nor headers."""
    path = Path(__file__).parents[2] / "samples/github/pull_request.merged.json"
    done = run("map", str(path), "--source", "github", "--json")
    told = json.loads(done.stdout)
    assert told["event"] == "pull_request"
    expected = delivery("github", "pull_request.merged").expected["changes"][0]
    assert [change["issue"] for change in told["changes"]] == expected["issues"]


DEEP = "[" * 500 + "]" * 500
MAPPING = """
source: token
application: {type: example.crane, name: Crane}
rules:
  lift:
    match: {type: "*", when: body.id}
    action: set
    subject: {type: lift, id: "{body.id}"}
    issues: {texts: [body.issue]}
    link: {url: "https://crane.example/", title: Lift}
tests: [{name: nothing, type: x, payload: {}, skipped: not_of_interest}]
"""
AWAY = "https://wren:s3cret@127.0.0.1:1/webhooks/x?token=s3cret"


@pytest.mark.parametrize(
    ("arguments", "body", "code", "told"),
    [
        (
            ["map", "{body}", "--source", "opsgenie"],
            '{"from": "a@b", "request": "x", "action": "Ack"}',
            0,
            "Ack",
        ),
        (["map", "{body}", "--source", "token"], '{"type": "\\u001b[2Jx"}', 0, "\\x1b[2Jx"),
        (
            ["map", "{body}", "--source", "token"],
            f'{{"from": "x", "request": {{"headers": {{}}, "body": {DEEP}}}}}',
            2,
            "nested too deeply",
        ),
        (["mapping", "try", "{own}", "{body}"], f'{{"id": {DEEP}}}', 0, "`body.id` is nested too deeply"),
        (
            ["send", "github", "ping.repository", "--to", AWAY],
            "",
            3,
            "https://127.0.0.1:1/webhooks/x does not",
        ),
        (["send", "github", "{body}", "--to", AWAY, "--issue", "A-1 B-2"], "{}", 2, "expected one key"),
        (["sources", "verify", "github", "{body}", "--secret", "file:/dev/null"], "{}", 2, "is empty"),
    ],
)
def test_odd_files_and_arguments_are_answered(
    tmp_path: Path, arguments: list[str], body: str, code: int, told: str
) -> None:
    """No body and no argument ends in a traceback, steers the terminal or shows a secret."""
    places = {"body": tmp_path / "body.json", "own": tmp_path / "own.yaml"}
    places["body"].write_text(body)
    places["own"].write_text(MAPPING)
    named = [each.format(**places) if each in {"{body}", "{own}"} else each for each in arguments]
    done = run(*named)
    assert done.returncode == code, done.stderr
    assert told in done.stdout + done.stderr
    for never in ("Traceback", "s3cret", "\x1b"):
        assert never not in done.stdout + done.stderr
