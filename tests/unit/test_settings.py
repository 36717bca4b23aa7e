"""The configuration: which layer wins, what each mistake is told as, and that secrets stay hidden."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import hypothesis
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]

from bridge.errors import ConfigError
from bridge.settings import Settings, keys, load, schema

ROOT = Path(__file__).parents[2]
LEAST = {"kafka.bootstrap_servers": "localhost:9092"}

Load = Callable[..., Settings]


@pytest.fixture
def read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Load:
    """Loads a text as the file `bridge.yaml` in an empty working directory."""
    monkeypatch.chdir(tmp_path)

    def read(
        text: str, environ: Mapping[str, str] | None = None, flags: Mapping[str, object] | None = None
    ) -> Settings:
        Path("bridge.yaml").write_text(text, "utf-8")
        return load(Path("bridge.yaml"), environ or {}, LEAST if flags is None else flags)

    return read


def refusal(read: Load, text: str, environ: Mapping[str, str] | None = None) -> list[str]:
    """The problems that loading `text` is refused for."""
    with pytest.raises(ConfigError) as raised:
        read(text, environ)
    return str(raised.value).splitlines()


# --- layers --------------------------------------------------------------------------------


def test_defaults_need_no_more_than_a_broker() -> None:
    """Without a file, one flag makes a whole configuration."""
    settings = load(None, {}, LEAST)
    assert settings.kafka.topics == ["bridge.events"]
    assert settings.ledger.path == Path("jira-bridge.sqlite")


def test_flags_win_over_environment_over_file(read: Load) -> None:
    """Each layer wins over the one below it, key by key."""
    settings = read(
        "kafka: {group: file, partitions: 1, replication: 1}",
        {"BRIDGE_KAFKA__PARTITIONS": "2", "BRIDGE_KAFKA__REPLICATION": "2"},
        {**LEAST, "kafka.replication": 3},
    )
    assert (settings.kafka.group, settings.kafka.partitions, settings.kafka.replication) == ("file", 2, 3)


@pytest.mark.parametrize(
    ("environ", "flags"),
    [({"BRIDGE_KAFKA__TOPICS": "[c, bridge.events]"}, {}), ({}, {"kafka.topics": ["c", "bridge.events"]})],
)
def test_a_list_is_replaced_as_a_whole(read: Load, environ: dict[str, str], flags: dict[str, object]) -> None:
    """A higher layer's list is not mixed with a lower one's."""
    assert read("kafka: {topics: [a, b]}", environ, {**LEAST, **flags}).kafka.topics == ["c", "bridge.events"]


def test_environment_adds_a_site_to_the_file(read: Load) -> None:
    """A mapping in a variable is laid over the file's, and leaves the rest of it."""
    settings = read(
        "sites: {one: {url: 'https://one', auth: anonymous, projects: [ONE]}}",
        {"BRIDGE_SITES": "{two: {url: 'https://two/', auth: anonymous, projects: [TWO]}}"},
    )
    assert {name: site.url for name, site in settings.sites.items()} == {
        "one": "https://one",
        "two": "https://two",
    }


def test_what_is_empty_says_nothing(read: Load) -> None:
    """Null, an empty variable and a flag that was not given leave the layer below alone."""
    settings = read(
        "kafka: {group: mine, partitions: null}\nsites:\nlog: ~\n",
        {"BRIDGE_KAFKA__GROUP": ""},
        {**LEAST, "kafka.group": None},
    )
    assert (settings.kafka.group, settings.kafka.partitions, settings.sites) == ("mine", 12, {})


@pytest.mark.parametrize("text", ["NO", "ON", "Y1", "NULL"])
def test_a_project_that_yaml_takes_for_something_else_is_a_text(read: Load, text: str) -> None:
    """Norway's project key is no boolean."""
    settings = read(f"sites: {{a: {{url: 'https://h', auth: anonymous, projects: [{text}]}}}}")
    assert settings.sites["a"].projects == [text]


def test_an_environment_of_others_is_ignored(read: Load) -> None:
    """Only variables with the bridge's prefix are configuration."""
    assert read("", {"HOME": "/root", "KAFKA__GROUP": "x"}).kafka.group == "jira-bridge"


def test_an_instance_id_is_a_text_or_the_name_of_a_variable(read: Load) -> None:
    """Workers that share a file each take theirs from their own environment."""
    assert read("kafka: {instance_id: worker-1}").kafka.instance_id == "worker-1"
    settings = read("kafka: {instance_id: 'env:HOSTNAME'}", {"HOSTNAME": "x-worker-0"})
    assert settings.kafka.instance_id == "x-worker-0"


# --- errors --------------------------------------------------------------------------------

SITE = "sites:\n  a:\n    url: https://h\n    auth: anonymous\n"
APP_OF_OAUTH = "{oauth: {client_id: c, client_secret: s}}"
QUOTES = "expected spaces to indent, and quotes around a text with signs"

MISTAKES = {
    "version: 2": "bridge.yaml:1: version: is of another format; this jira-bridge reads version 1",
    "log: {level: loud}": (
        "bridge.yaml:1: log.level: should be 'debug', 'info', 'warning' or 'error' (least severity written)"
    ),
    "kafka:\n  partitons: 3": (
        "bridge.yaml:2: kafka.partitons: is not a key that there is; did you mean kafka.partitions?"
    ),
    "kafka:\n  journal_days: 3": (
        "bridge.yaml:2: kafka.journal_days: is not a key that there is; did you mean ledger.journal_days?"
    ),
    "kafka: {instance_id: 'worker 1'}": (
        "bridge.yaml:1: kafka.instance_id: is no name of a member; expected letters, digits and . _ -"
    ),
    "log: {colour: red}": (
        "bridge.yaml:1: log.colour: is not a key that there is; expected one of format, level"
    ),
    "sites:\n  a:\n    auth: anonymous": (
        "bridge.yaml:2: sites.a.url: is missing; expected the site's address, or cloud_id"
    ),
    SITE + "    cloud_id: 11111111-2222-3333-4444-555555555555": (
        "bridge.yaml:3: sites.a.url: is given beside cloud_id; expected one of the two"
    ),
    "sites:\n  a:\n    cloud_id: acme\n    auth: anonymous": (
        "bridge.yaml:3: sites.a.cloud_id: is not of the right form; "
        "expected instead of the address: id of a site on Jira Cloud, asked through Atlassian's gateway"
    ),
    "sites:\n  a:\n    url: https://h\n    auth:\n      oauth: {client_id: c, client_secret: s}": (
        "bridge.yaml:5: sites.a.auth.oauth: is taken by Atlassian's gateway only; "
        "expected cloud_id in place of url"
    ),
    SITE.replace("https://h", "https://other.example/ex/jira/1").replace("anonymous", APP_OF_OAUTH): (
        "bridge.yaml:4: sites.a.auth.oauth: is taken by Atlassian's gateway only; "
        "expected cloud_id in place of url"
    ),
    "sites:\n  a:\n    url: https://h/browse/PROJ-1\n    auth: anonymous": (
        "bridge.yaml:3: sites.a.url: leads into the site; "
        "expected its address alone, which ends before /browse/"
    ),
    "sites:\n  a:\n    url: https://h/jira/rest/api/2/\n    auth: anonymous": (
        "bridge.yaml:3: sites.a.url: leads into the site; "
        "expected its address alone, which ends before /rest/"
    ),
    SITE.replace("anonymous", "{oauth: {client_id: c, client_secret: s, token_url: 'http://h/t'}}"): (
        "bridge.yaml:4: sites.a.auth.oauth.token_url: is not encrypted, and the app's secret is sent there; "
        "expected https://…"
    ),
    "sites: {My Site: {url: 'https://h', auth: anonymous}}": (
        "bridge.yaml:1: sites.My Site: is no name; "
        "expected lower-case letters and digits, single - or _ between them"
    ),
    SITE + "    projects: [A, AB]": (
        "bridge.yaml:5: sites.a.projects.0: is not of the right form; "
        "expected keys of the projects that it has, in capitals; left out: every project"
    ),
    SITE + "    projects: [AB, AB]": (
        "bridge.yaml:5: sites.a.projects: names something twice; expected each once"
    ),
    SITE + "    limit: nan": (
        "bridge.yaml:5: sites.a.limit: expected cloud, none, or a number of requests a second above 0"
    ),
    SITE + "  b:\n    url: https://i\n    auth: anonymous\n": (
        "bridge.yaml:5: sites.b: may take the same event as the site a; "
        "give both `projects`, or `endpoints`, with none in common, or the `site` of their endpoints "
        "under routing"
    ),
    "routing: {aliases: {OLD: NEW, NEW: NEWER}}": (
        "bridge.yaml:1: routing.aliases.OLD: leads to a project that was moved too; "
        "expected the key that it has today"
    ),
    "ingress:\n  endpoints: {ci: {source: github, open: true}}\nrouting: {endpoints: {cd: {site: x}}}": (
        "bridge.yaml:3: routing.endpoints.cd: is not the name of an endpoint of ingress"
    ),
    "ingress:\n  endpoints:\n    ci:\n      source: github": (
        "bridge.yaml:3: ingress.endpoints.ci: has no secrets; "
        "list them, or say `open: true` to take anyone's deliveries"
    ),
    "ingress:\n  endpoints:\n    ci:\n      source: github\n      secrets: [s]\n      open: true": (
        "bridge.yaml:6: ingress.endpoints.ci.open: is true beside secrets; expected one of the two"
    ),
    "ingress:\n  topic: other\n  endpoints: {ci: {source: github, open: true}}": (
        "bridge.yaml:2: ingress.topic: is not among kafka.topics; expected one that a worker reads"
    ),
    "ingress:\n  endpoints: {ci: {source: github, open: true}}\n" + SITE + "    endpoints: [cd]": (
        "bridge.yaml:7: sites.a.endpoints.0: is not the name of an endpoint of ingress"
    ),
    "ingress: {max_body_bytes: 2000000}": (
        "bridge.yaml:1: ingress.max_body_bytes: should be less than or equal to 1000000 "
        "(longest body taken; with its headers it must fit into 1 MiB)"
    ),
    "kafka: {dead_letter_topic: bridge.events}": (
        "bridge.yaml:1: kafka.dead_letter_topic: is among kafka.topics; expected a topic that no worker reads"
    ),
    "kafka:\n  security:\n    username: me": (
        "bridge.yaml:3: kafka.security.username: is of no use with PLAINTEXT; expected a SASL protocol"
    ),
    "ledger: {url: 'mysql://me:hunter2@h/db'}": (
        "bridge.yaml:1: ledger.url: names no ledger; supported are sqlite:///PATH (four slashes before an "
        "absolute one) and postgresql://USER@HOST:PORT/DATABASE"
    ),
    "ledger: {url: 'postgresql://me:hunter2@h/db'}": (
        "bridge.yaml:1: ledger.url: holds a password, which would be shown; expected it under ledger.password"
    ),
    "ledger: {url: 'postgresql://h/db?sslmode=require&password=hunter2'}": (
        "bridge.yaml:1: ledger.url: holds a password, which would be shown; expected it under ledger.password"
    ),
    "ledger:\n  url: sqlite:///x\n  password: hunter2": (
        "bridge.yaml:3: ledger.password: is of no use with SQLite; expected a url of PostgreSQL"
    ),
    "ledger:\n  tombstone_days: 13": (
        "bridge.yaml:2: ledger.tombstone_days: is less than kafka.retention_days: "
        "an old event could bring a deleted link back; expected 14 or more"
    ),
    "mappings:\n  - nowhere.yaml": (
        "bridge.yaml:2: mappings.0: names no file that is there; "
        "a relative path is taken from the working directory"
    ),
    "log:\n  level: info\n  level: debug": "bridge.yaml:3: log.level: is given twice; expected once",
    "kafka:\n  group: *hunter2": ("bridge.yaml:2: cannot be read as YAML (begins with & or *); " + QUOTES),
    "kafka:\n  group: !hunter2": ("bridge.yaml:2: kafka.group: begins with !; " + QUOTES),
    "kafka:\n\tgroup: x": "bridge.yaml:2: cannot be read as YAML (found character); " + QUOTES,
    "? [a]\n: b": "bridge.yaml:1: has a key that is no text; expected `key: value`",
    "- a": "bridge.yaml:1: is not a mapping; expected `key: value` lines",
    "a: \x00": "bridge.yaml:1: cannot be read as YAML; expected printable text",
}


@pytest.mark.parametrize(("text", "problem"), MISTAKES.items(), ids=range(len(MISTAKES)))
def test_a_mistake_is_told_with_its_place(read: Load, text: str, problem: str) -> None:
    """Each mistake has its file and line, its key, what is wrong and what is expected."""
    assert refusal(read, text) == [problem]


def test_a_mistake_in_the_environment_names_the_variable(read: Load) -> None:
    """A wrong variable is found by its own name, not by the file's line that it stands over."""
    assert refusal(read, "kafka: {partitions: 3}", {"BRIDGE_KAFKA__PARTITIONS": "many"}) == [
        (
            "BRIDGE_KAFKA__PARTITIONS: kafka.partitions: should be a valid integer, unable to parse string "
            "as an integer (partitions of a topic that the bridge creates)"
        )
    ]


def test_an_unknown_variable_is_an_error(read: Load) -> None:
    """A variable that is misspelt is not passed over."""
    assert refusal(read, "", {"BRIDGE_KAFKA__GRUOP": "x"}) == [
        "BRIDGE_KAFKA__GRUOP: kafka.gruop: is not a key that there is; did you mean kafka.group?"
    ]


def test_a_mistake_in_a_flag_names_the_key() -> None:
    """A wrong flag is found by its key."""
    with pytest.raises(ConfigError, match=r"^flag: log.format: should be 'json' or 'console'"):
        load(None, {}, {**LEAST, "log.format": "xml"})


def test_all_mistakes_are_told_at_once(read: Load) -> None:
    """Faulty fields, unknown keys and contradictions of several sections come in one error."""
    text = "kafka: {retention_days: 40}\nlog: {level: loud}\nledgr: {}\n" + SITE + "    limit: 0\n"
    assert [line.split(": ")[1] for line in refusal(read, text)] == [
        "sites.a.limit",
        "ledger.tombstone_days",
        "log.level",
        "ledgr",
    ]


@pytest.mark.parametrize(
    "make", [Path.exists, Path.mkdir, lambda path: path.write_bytes(b"\xff")], ids=["no", "dir", "bin"]
)
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, make: Callable[[Path], object]) -> None:
    """A missing file, a folder and a binary file are told as what they are."""
    path = tmp_path / "bridge.yaml"
    make(path)
    with pytest.raises(ConfigError, match=r"bridge\.yaml: cannot be read"):
        load(path, {}, LEAST)


def test_sites_share_a_project_when_their_endpoints_differ(read: Load) -> None:
    """The same project key in two sites is told apart by where the event came in."""
    endpoints = "ingress: {endpoints: {x: {source: github, open: true}, y: {source: github, open: true}}}\n"
    sites = (
        f"{name}: {{url: 'https://{name}', auth: anonymous, endpoints: [{end}]}}"
        for name, end in ("ax", "by")
    )
    assert set(read(endpoints + "sites: {" + ", ".join(sites) + "}").sites) == {"a", "b"}


# --- secrets -------------------------------------------------------------------------------

ENDPOINT = "ingress: {endpoints: {ci: {source: github, secrets: ['%s']}}}"


def test_a_secret_comes_from_a_variable_or_a_file(read: Load) -> None:
    """`env:` and `file:` are replaced by what they name; a file loses one newline at its end."""
    Path("token").write_text("two\n\n", "utf-8")
    settings = read(
        "ingress: {endpoints: {ci: {source: github, secrets: [env:ONE, 'file:token', three]}}}",
        {"ONE": "one"},
    )
    secrets = settings.ingress.endpoints["ci"].secrets
    assert [secret.get_secret_value() for secret in secrets] == ["one", "two\n", "three"]


@pytest.mark.parametrize(
    ("auth", "text"),
    [
        ("anonymous", "anonymous"),
        ("bearer:env:T", "bearer:s3:cret"),
        ("basic:me@h:env:T", "basic:me@h:s3:cret"),
        ("env:AUTH", "bearer:whole"),
        ("{bearer: {token: env:T}}", "bearer:s3:cret"),
        ("{basic: {email: me@h, token: env:T}}", "basic:me@h:s3:cret"),
    ],
)
def test_auth_is_written_in_short_or_at_length(read: Load, auth: str, text: str) -> None:
    """Both ways to write a site's credentials come to the same."""
    settings = read(
        f"sites: {{a: {{url: 'https://h', auth: {auth}}}}}", {"T": "s3:cret", "AUTH": "bearer:whole"}
    )
    read_as = settings.sites["a"].auth
    basic = read_as.basic and f"basic:{read_as.basic.email}:{read_as.basic.token.get_secret_value()}"
    bearer = read_as.bearer and f"bearer:{read_as.bearer.token.get_secret_value()}"
    assert (basic or bearer or "anonymous") == text


@pytest.mark.parametrize(
    ("where", "address"),
    [
        ("url: 'https://h/jira/'", "https://h/jira"),
        ("url: 'https://rest/browser'", "https://rest/browser"),
        (
            "cloud_id: 11111111-2222-3333-4444-555555555555",
            "https://api.atlassian.com/ex/jira/11111111-2222-3333-4444-555555555555",
        ),
    ],
)
def test_a_site_is_reached_by_its_address_or_by_its_id(read: Load, where: str, address: str) -> None:
    """A site has its own address, or is asked through Atlassian's gateway."""
    assert read(f"sites: {{a: {{{where}, auth: anonymous}}}}").sites["a"].address == address


@pytest.mark.parametrize(
    "where",
    [
        "cloud_id: 11111111-2222-3333-4444-555555555555",
        "url: 'https://api.atlassian.com/ex/jira/11111111-2222-3333-4444-555555555555'",
        "url: 'http://127.0.0.1:8000/ex/jira/local'",
        "url: 'http://localhost/ex/jira/local'",
    ],
)
def test_an_app_of_oauth_is_known_through_a_gateway(read: Load, where: str) -> None:
    """A secret and a refresh token make an app, which Atlassian's gateway takes, or a simulator's here."""
    Path("refresh").write_text("first", "utf-8")
    app = "{client_id: c, client_secret: env:S, refresh_token_file: refresh}"
    oauth = read(f"sites: {{a: {{{where}, auth: {{oauth: {app}}}}}}}", {"S": "s3cret"}).sites["a"].auth.oauth
    assert oauth is not None
    assert (oauth.client_secret.get_secret_value(), oauth.refresh_token_file) == ("s3cret", Path("refresh"))
    assert oauth.token_url == "https://auth.atlassian.com/oauth/token"


@pytest.mark.parametrize(
    ("secret", "problem"),
    [
        ("env:NOT_THERE", "names the variable NOT_THERE, which is not set"),
        (
            "file:/not/there",
            "names the file /not/there, which cannot be read: No such file or directory",
        ),
        ("env:EMPTY", "is empty; expected a value"),
        ("", "is empty; expected a value"),
    ],
)
def test_a_secret_that_is_not_there_is_named(read: Load, secret: str, problem: str) -> None:
    """A missing variable or file is named, and an empty secret is none."""
    place = "bridge.yaml:1: ingress.endpoints.ci.secrets.0: "
    assert refusal(read, ENDPOINT % secret, {"EMPTY": ""}) == [place + problem]


def places_for(secret: str) -> list[str]:
    """Configurations with `secret` in every place that takes one, and in places that do not."""
    text = "'" + secret.replace("'", "''") + "'"
    return [
        f"kafka: {{security: {{protocol: SASL_SSL, sasl_mechanism: PLAIN, username: u, password: {text}}}}}",
        f"kafka: {{security: {{password: {text}}}}}",
        f"kafka: {{bootstrap_servers: {text}, group: [{text}], partitions: {text}}}",
        f"ingress: {{port: {text}, endpoints: {{ci: {{source: github, secrets: [{text}], open: {text}}}}}}}",
        f"ingress: {{endpoints: {{ci: {{source: github, secrets: {text}}}}}}}",
        f"sites: {{a: {{url: {text}, auth: {text}, limit: {text}, projects: [{text}]}}}}",
        f"sites: {{a: {{url: 'https://h', auth: {{basic: {{email: {text}, token: [{text}]}}}}}}}}",
        f"sites: {{a: {{url: 'https://h', auth: {{bearer: {{token: {text}}}}}}}}}",
        f"sites: {{a: {{url: 'https://h', auth: {{basic: {{email: e, token: {text}}}}}}}}}",
        f"sites: {{a: {{url: 'https://h', auth: {{bearer: {text}}}}}}}",
        f"sites: {{a: {{cloud_id: {text}, auth: {{oauth: {{client_id: c, client_secret: [{text}]}}}}}}}}",
        f"sites: {{a: {{url: 'https://h', auth: {{oauth: {{client_id: c, client_secret: {text}}}}}}}}}",
        f"version: {text}\nledger: {{url: {text}}}\nlog: {{level: {text}}}",
        f"ledger: {{url: 'postgresql://u@h/d', password: {text}}}",
        f"ledger: {{url: 'postgresql://u:{text[1:-1]}@h/d'}}",
        f"ledger: {{url: 'postgresql://u:{text[1:-1]}@h'}}",
        f"ledger: {{password: {text}}}",
        f"log: {{level: info, level: {text}}}",
        f"log: {{level: *{secret}}}",
        f"log: {{level: !{secret}}}",
        f"log: {{level: !{secret}!x y}}",
        f"log: {{level: &{secret} info}}",
        f"log: {{level: %{secret}}}",
        f"log: {{level: {text}",
        f"{text}",
    ]


SECRETS = st.text(st.characters(codec="utf-8", exclude_categories=["C", "Z"])).map("s3cret{}".format)


@given(SECRETS)
@hypothesis.example("s3cret/?")  # in an address it ends the host
@hypothesis.example("s3cret/")
def test_a_secret_is_shown_nowhere(tmp_path_factory: pytest.TempPathFactory, secret: str) -> None:
    """No error, no repr and no redacted dump has the secret's text, wherever it was written."""
    path = tmp_path_factory.getbasetemp() / "bridge.yaml"
    for text in places_for(secret):
        path.write_text(text, "utf-8")
        try:
            settings = load(path, {"BRIDGE_SITES__B__AUTH": f"[{secret}"} if "sites" in text else {}, LEAST)
        except ConfigError as error:
            shown = f"{error!s} {error!r} {error.__cause__!r} {error.__context__!r}"
        else:
            shown = f"{settings!r} {settings!s} {settings.redacted()}"
        assert secret not in shown


# --- what is documented --------------------------------------------------------------------


CLOUD_ID = "11111111-2222-3333-4444-555555555555"
APP = {"client_id": "c", "client_secret": "s"}


def test_every_key_has_a_description() -> None:
    """No key is left to be guessed."""
    assert [key for key, description in keys().items() if not description] == []


def test_the_schema_has_every_key() -> None:
    """What `config schema` prints knows each key that the settings know."""
    text = str(schema())
    assert [key for key in keys() if f"'{key[-1]}'" not in text] == []
    Draft202012Validator.check_schema(schema())


@pytest.mark.parametrize(
    ("config", "fits"),
    [
        ({}, True),
        ({"version": 2}, False),
        ({"kafka": {"bootstrap_servers": "h"}}, False),
        ({"kafka": {"bootstrap_servers": "h:1", "gruop": "x"}}, False),
        ({"sites": {"a": {"url": "https://h", "auth": "anonymous", "limit": 5}}}, True),
        ({"sites": {"a": {"url": "https://h", "auth": {"basic": {"email": "e"}}}}}, False),
        ({"sites": {"a": {"auth": "anonymous"}}}, False),
        ({"sites": {"a": {"cloud_id": CLOUD_ID, "auth": {"oauth": APP}}}}, True),
        ({"sites": {"a": {"url": "https://h", "cloud_id": CLOUD_ID, "auth": "anonymous"}}}, False),
        ({"sites": {"a": {"cloud_id": CLOUD_ID, "auth": {"oauth": {"client_id": "c"}}}}}, False),
    ],
)
def test_the_schema_judges_as_the_settings_do(config: dict[str, object], fits: bool) -> None:
    """An editor that uses the schema says of a file what `config check` says."""
    config = {"kafka": {"bootstrap_servers": "h:1"}, **config}
    assert Draft202012Validator(schema()).is_valid(config) is fits
    try:
        load(None, {}, config)
    except ConfigError:
        assert not fits
    else:
        assert fits


@pytest.fixture
def example() -> Settings:
    """The annotated example, with something for each secret that it names."""
    names = ("GITHUB_WEBHOOK_SECRET", "JIRA_API_TOKEN", "JIRA_CLIENT_SECRET", "JIRA_PERSONAL_TOKEN")
    return load(ROOT / "jira-bridge.example.yaml", dict.fromkeys(names, "secret"), {})


def test_the_example_has_the_defaults(example: Settings) -> None:
    """What the annotated example shows as a default is one."""
    assert example.model_copy(update={"sites": {}, "ingress": example.ingress}) == load(
        None, {}, LEAST
    ).model_copy(update={"ingress": example.ingress})
    assert example.ingress.model_copy(update={"endpoints": {}}) == load(None, {}, LEAST).ingress


def test_the_example_shows_every_key() -> None:
    """No key is missing from the annotated example."""
    text = (ROOT / "jira-bridge.example.yaml").read_text("utf-8")
    assert [key for key in keys() if f"{key[-1]}:" not in text] == []
