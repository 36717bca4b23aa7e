"""`bridge.jira` as a library of its own: its names, what is written about them, and the README's example."""

from __future__ import annotations

import ast
import asyncio
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import bridge.jira
from bridge.simulator.jira_model import JiraModel
from bridge.simulator.jira_server import JiraServer

ROOT = Path(__file__).parents[2]
MODULES = sorted((ROOT / "bridge" / "jira").glob("*.py"))
README = (ROOT / "README.md").read_text("utf-8")
EXAMPLE = re.search(r"### Use the client alone.*?```python\n(.*?)```", README, re.DOTALL)

Function = ast.FunctionDef | ast.AsyncFunctionDef


def _public(path: Path) -> Iterator[tuple[str, Function]]:
    """The public functions of a module and of its public classes, by their names."""
    for node in ast.parse(path.read_text("utf-8")).body:
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            inside = [(f"{node.name}.{f.name}", f) for f in node.body if isinstance(f, Function)]
        else:
            inside = [(node.name, node)] if isinstance(node, Function) else []
        for name, function in inside:
            if not function.name.startswith("_"):
                yield f"{path.stem}.{name}", function


FUNCTIONS = dict(pair for path in MODULES for pair in _public(path))


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions_are_described(name: str) -> None:
    """A public function tells its arguments, what it returns, and what it raises."""
    function = FUNCTIONS[name]
    told = ast.get_docstring(function) or ""
    arguments = function.args.args + function.args.kwonlyargs
    is_property = any(isinstance(d, ast.Name) and d.id == "property" for d in function.decorator_list)
    raises = any(isinstance(node, ast.Raise) and node.exc for node in ast.walk(function))
    is_operation = isinstance(function, ast.AsyncFunctionDef) and len(arguments) > 1
    due = {
        "Args:": len([each for each in arguments if each.arg not in {"self", "cls"}]) > 0,
        "Returns:": ast.unparse(function.returns or ast.Constant(None)) != "None" and not is_property,
        "Raises:": raises or is_operation,
    }
    assert [section for section, is_due in due.items() if is_due and section not in told] == []
    for argument in arguments:
        if argument.arg not in {"self", "cls"}:
            assert f"{argument.arg}: " in told


def test_names_for_others() -> None:
    """Each name that the library offers is there, in order, and every error of Jira's is among them."""
    names = bridge.jira.__all__
    assert [name for name in names if not hasattr(bridge.jira, name)] == []
    assert list(names) == sorted(names)
    errors = {name for name in vars(bridge.errors) if name.startswith("Jira")}
    assert errors <= set(names)


async def test_the_readmes_example(tmp_path: Path) -> None:
    """The README's lines do what they say, on the simulator."""
    assert EXAMPLE is not None
    issues = ["PROJ-123", "PROJ-124"]
    async with JiraServer(JiraModel(issues=issues), auth="you@example.com:API_TOKEN") as server:
        script = tmp_path / "example.py"
        script.write_text(EXAMPLE[1].replace("https://acme.atlassian.net", server.url), "utf-8")
        run = await asyncio.create_subprocess_exec(
            sys.executable,
            script,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        out, err = await run.communicate()
        assert err.decode() == ""
        assert out.decode().splitlines()[0] == "PROJ-123 created"
        assert out.decode().splitlines()[1].startswith("404 ('The remote link does not exist.',)")
        assert [link["globalId"] for link in server.model.links()] == ["system=ci&id=71"]
