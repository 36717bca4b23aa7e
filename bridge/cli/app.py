"""The command's frame: its parts, its exit codes, and errors that say what to do."""

from __future__ import annotations

import importlib
import sys
from typing import Annotated, Any, NoReturn

import typer
from rich.console import Console
from rich.text import Text

from bridge import __version__
from bridge.errors import BridgeError, ConfigError

EPILOG = (
    "Exit codes: 0 done, 1 not right or not found, 2 wrong usage or configuration, 3 stopped by an error, "
    "130 or 143 ended at once by a signal."
)
FAILED, WRONG_USAGE, STOPPED, INTERRUPTED = 1, 2, 3, 130

app = typer.Typer(
    name="jira-bridge",
    help="Keeps a remote link on every Jira issue that a build, pull request, ticket or incident concerns.",
    epilog=EPILOG,
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


class _Console(Console):
    """A console that shows the control characters in what others sent, and obeys none."""

    def render_str(self, text: str, **options: Any) -> Text:  # noqa: ANN401 - as the base's
        """As the base, with what steers a terminal written out."""
        return super().render_str(text.translate(_WRITTEN_OUT), **options)


_WRITTEN_OUT = {
    code: f"\\x{code:02x}" for code in (*range(0x20), *range(0x7F, 0xA0)) if chr(code) not in "\t\n"
}

# A script that reads a table wants its lines whole.
_WIDTH = None if sys.stdout.isatty() else 1_000
out = _Console(highlight=False, emoji=False, soft_wrap=True, width=_WIDTH)
err = _Console(stderr=True, highlight=False, emoji=False, soft_wrap=True)

# Each module adds its commands to `app`; the order is that of the help.
PARTS = (
    "roles",
    "demo",
    "simulator",
    "sources",
    "send",
    "map",
    "mapping",
    "explain",
    "dlq",
    "reconcile",
    "links",
    "ledger",
    "config",
)


def _show_version(shown: bool) -> None:
    if shown:
        out.print(__version__)
        raise typer.Exit


@app.callback()
def _options(
    _version: Annotated[
        bool, typer.Option("--version", help="Show the version.", is_eager=True, callback=_show_version)
    ] = False,
) -> None:
    pass


def main() -> None:
    """Run the command; an error that the user can mend is a sentence, not a traceback."""
    for part in PARTS:
        importlib.import_module(f"bridge.cli.{part}")
    try:
        app()
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    except ConfigError as error:
        fail(error, WRONG_USAGE)
    except BridgeError as error:
        fail(error, STOPPED)


def fail(error: BridgeError, code: int) -> NoReturn:
    """Say what is wrong and what to do, and leave with the exit code."""
    text = str(error)
    err.print(f"error ({error.code}): {text}", style="red", markup=False)
    if error.advice and error.advice not in text:
        err.print(error.advice, markup=False)
    sys.exit(code)
