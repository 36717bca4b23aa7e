"""The shape of the package: one direction of imports, pure cores, no cycles, one place for names."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "bridge"
MODULES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
    for path in PACKAGE.rglob("*.py")
}

ROOMS = ("sources", "mapping", "state", "kafka", "jira", "ledger", "observe", "simulator")
SHELLS = {
    "bridge.writer",
    "bridge.shadow",
    "bridge.reconcile",
    "bridge.plan_file",
    "bridge.rebuild",
    "bridge.intake",
    "bridge.leaseholder",
    "bridge.drain",
    "bridge.ingress",
    "bridge.jira",  # its names for others, the client's among them
    "bridge.jira.client",
    "bridge.jira.session",
    "bridge.jira.token_file",
    "bridge.jira.transport",
    "bridge.kafka.client",
    "bridge.kafka.consumer",
    "bridge.kafka.cluster",
    "bridge.kafka.dead_letter_topic",
    "bridge.kafka.embedded",
    "bridge.kafka.reader",
    "bridge.kafka.topics",
    "bridge.ledger.connections",
    "bridge.ledger.migrate",
    "bridge.ledger.postgresql",
    "bridge.ledger.sqlite",
    "bridge.ledger.sqlite_tables",
    "bridge.observe.logs",
    "bridge.observe.metrics",
    "bridge.observe.server",
    "bridge.simulator.jira_server",
    # These two find files of the package itself, once, at the start.
    "bridge.sources.base",
    "bridge.mapping.builtin",
}
ABOVE = ("bridge.service", "bridge.parts", "bridge.cli", "bridge.settings")
# Reads the world: clocks, environment, files, sockets, chance.
IMPURE = {
    "aiohttp",
    "aiokafka",
    "asyncio",
    "asyncpg",
    "os",
    "pathlib",
    "random",
    "secrets",
    "socket",
    "sqlite3",
    "tempfile",
    "time",
}
IMPURE_CALLS = {"now", "utcnow", "today", "open", "getenv", "urandom", "uuid4"}


def imports(module: str) -> Iterator[str]:
    """The modules of the package that `module` imports."""
    tree = ast.parse(MODULES[module].read_text("utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            for name in node.names:
                inner = f"{node.module}.{name.name}"
                yield inner if inner in MODULES else node.module


def own(module: str) -> set[str]:
    """The imports of `module` that are the package's own."""
    return {name for name in imports(module) if name in MODULES and name != module}


def room(module: str) -> str | None:
    """The room of a module."""
    parts = module.split(".")
    return parts[1] if len(parts) > 1 and parts[1] in ROOMS else None


def is_pure(module: str) -> bool:
    """Whether a module belongs to the core."""
    return module not in SHELLS and not module.startswith(ABOVE) and module != "bridge"


def test_there_is_something_to_look_at() -> None:
    """The rules below are held over the whole package."""
    assert len(MODULES) > 30
    assert set(MODULES) >= SHELLS


@pytest.mark.parametrize("module", sorted(MODULES))
def test_imports_point_one_way(module: str) -> None:
    """Words know nobody, ports know the words, rooms know ports and words, and so on up."""
    found = own(module)
    base = {"bridge.model", "bridge.errors", "bridge.times"}
    if module in base:
        assert found <= base - {module}
    elif module == "bridge.ports":
        assert found <= base
    elif room(module) is not None and is_pure(module):
        outside = {name for name in found if room(name) != room(module)}
        assert outside <= base | {"bridge.ports", "bridge"}, "rooms do not import each other"
    elif module == "bridge.pipeline":
        assert all(is_pure(name) for name in found)
    elif module in SHELLS:
        assert not [name for name in found if name.startswith(ABOVE)], "shells are handed plain values"
    elif module.startswith("bridge.settings"):
        outside = {name for name in found if not name.startswith("bridge.settings")}
        assert outside <= base
    elif module == "bridge.parts":
        assert not [name for name in found if name.startswith(("bridge.cli", "bridge.service"))]
    elif module == "bridge.service":
        assert not [name for name in found if name.startswith("bridge.cli")]


@pytest.mark.parametrize("module", sorted(MODULES))
def test_few_see_the_settings_and_one_the_simulator(module: str) -> None:
    """Settings are seen by service and cli only, the simulator by cli only."""
    if not module.startswith(ABOVE):
        assert not [name for name in own(module) if name.startswith("bridge.settings")]
    if not module.startswith(("bridge.cli", "bridge.simulator")):
        assert not [name for name in own(module) if name.startswith("bridge.simulator")]


@pytest.mark.parametrize("module", sorted(name for name in MODULES if is_pure(name)))
def test_the_core_is_pure(module: str) -> None:
    """A pure module imports nothing that reads the world, and calls nothing that does."""
    tree = ast.parse(MODULES[module].read_text("utf-8"))
    assert not {name.partition(".")[0] for name in imports(module)} & IMPURE
    called = {
        node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
    }
    assert not called & IMPURE_CALLS


def test_there_are_no_cycles() -> None:
    """No module imports itself by way of others."""
    done: set[str] = set()

    def visit(module: str, way: tuple[str, ...]) -> None:
        assert module not in way, " -> ".join((*way, module))
        if module not in done:
            for name in own(module):
                visit(name, (*way, module))
            done.add(module)

    for module in MODULES:
        visit(module, ())


@pytest.mark.parametrize("module", sorted(MODULES))
def test_names_say_what_a_thing_is(module: str) -> None:
    """No class is called after what says nothing."""
    tree = ast.parse(MODULES[module].read_text("utf-8"))
    names = [node.name for node in ast.walk(tree) if isinstance(node, ast.ClassDef)]
    assert not [name for name in names if name.endswith(("Manager", "Helper", "Utils", "Handler"))]


@pytest.mark.parametrize("path", sorted((ROOT / "tests").rglob("test_*.py")), ids=lambda path: path.stem)
def test_every_test_says_what_it_shows(path: Path) -> None:
    """Each test has a sentence."""
    tests = [
        node
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_")
    ]
    assert not [test.name for test in tests if not (ast.get_docstring(test) or "").strip()]
