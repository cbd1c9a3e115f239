"""The group of commands: each is imported when it is used, so that ``--help`` is fast."""

from __future__ import annotations

import importlib
import inspect
import os
import sys
from collections.abc import Iterable
from itertools import pairwise
from typing import Any

import click

from mfgroute.cli import failures

#: Every command with its short help, in the order of ``--help``.
#: The module is ``commands/<name>.py``, but see `_MODULES`.
COMMANDS: dict[str, dict[str, str]] = {
    "Begin": {
        "init": "Write a small working project.",
        "demo": "Show a simulated plant and its systems at work.",
        "bench": "Measure what a node can carry on this machine.",
    },
    "Write and test a project": {
        "check": "Name every problem of a project, with file, line and column.",
        "test": "Run the tests of mappings and routes.",
        "eval": "Run one message through one mapping.",
        "try": "Show what would become of a message: selection, events, sinks.",
        "diff": "Compare a changed mapping with the present one over recorded messages.",
        "explain": "Say every decision about a message or an event, and why.",
        "config": "Show the configuration, without secrets, or its JSON Schema.",
        "contract": "List, show, export and check contracts.",
        "adapters": "List adapters and show their settings.",
    },
    "Run": {
        "run": "Run a node until it is told to stop.",
        "doctor": "Look at everything that a node needs: disk, clock, ports, logs.",
        "pki": "Keys of the edge link, certificates of OPC UA servers.",
    },
    "Operate a node": {
        "inbox": "List everything that waits for a person.",
        "trace": "Show where the events of an order, lot or document are.",
        "effects": "Look at what sinks have posted; say what became of an effect in doubt.",
        "reconcile": "Compare orders with what the ERP and other targets hold.",
        "parked": "Look at parked events; retry or skip them.",
        "rejects": "Look at rejected messages; retry, edit or skip them.",
        "replay": "Send events of the past to a sink once more, or write them to a file.",
        "link": "Look at the edge link; let an edge go on after a fork.",
        "pause": "Stop sending to a sink; its events wait.",
        "resume": "Go on sending to a sink.",
    },
    "Look after a data folder": {
        "log": "Check and show the logs of durable streams; read damaged ones.",
        "backup": "Copy the data folder, while the node runs or not.",
        "restore": "Put a backup into an empty data folder.",
    },
    "Shell": {
        "completion": "Print the completion script of a shell.",
    },
}
#: What the interface names and this version does not have.
UNAVAILABLE = (
    "tap", "top",
)  # fmt: skip

#: Modules that are not called as their command: `try` is a word of the language, some commands are alike.
_MODULES = {"try": "trial", "pause": "flow", "resume": "flow", "restore": "backup"}
_OBJECTS = {"pause": "pause", "resume": "resume", "backup": "backup", "restore": "restore"}
_KEY = "mfgroute.session"


class Session:
    """What the global options say."""

    def __init__(self) -> None:
        self.config: str | None = None
        self.output = "table"
        self.quiet = False
        self.verbose = False

    @property
    def json(self) -> bool:
        """Whether a program reads the output."""
        return self.output == "json"

    @property
    def project(self) -> str:
        """Where the project is: the option, `$MFGROUTE_CONFIG`, or this folder."""
        return self.config or os.environ.get("MFGROUTE_CONFIG") or "."


def session() -> Session:
    """The session of the command that runs."""
    found: Session = click.get_current_context().meta.setdefault(_KEY, Session())
    return found


def _keep(context: click.Context, parameter: click.Parameter, value: Any) -> None:
    """Remember a global option, wherever it stood; the one nearest to the end counts."""
    if value is None or value is False:
        return
    one: Session = context.meta.setdefault(_KEY, Session())
    setattr(one, str(parameter.name).removeprefix("global_"), value)


def _version(context: click.Context, _: click.Parameter, value: bool) -> None:  # noqa: FBT001 - click's
    if not value or context.resilient_parsing:
        return
    from importlib.metadata import PackageNotFoundError, version  # noqa: PLC0415 - only needed here

    try:
        number = version("mfgroute")
    except PackageNotFoundError:
        from mfgroute import _core  # noqa: PLC0415

        number = _core.__version__
    click.echo(f"mfgroute {number}")
    context.exit()


def _globals() -> list[click.Option]:
    """The global options; every command has them, so that they work before and after its name."""
    keep: dict[str, Any] = {"callback": _keep, "expose_value": False}
    return [
        click.Option(
            ["-c", "--config", "global_config"],
            metavar="FILE|DIR",
            help="Project folder or its mfgroute.yaml; default: $MFGROUTE_CONFIG or this folder.",
            **keep,
        ),
        click.Option(
            ["--output", "global_output"],
            type=click.Choice(["table", "json"]),
            help="For people (table, the default) or programs (json).",
            **keep,
        ),
        click.Option(
            ["--quiet", "-q", "global_quiet"], is_flag=True, help="Print only what was asked for.", **keep
        ),
        click.Option(["-v", "--verbose", "global_verbose"], is_flag=True, help="Print more.", **keep),
    ]


def _layout(text: str | None) -> str | None:
    """A help text whose examples stay one on a line; click would fill them into a paragraph."""
    return inspect.cleandoc(text).replace("Examples:\n", "\b\nExamples:\n") if text else text


class Command(click.Command):
    """A command with the global options."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.help = _layout(self.help)

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        """Its own parameters and the global ones."""
        return _with_globals(self, super().get_params(ctx))


class Group(click.Group):
    """A command with subcommands and the global options."""

    command_class = Command

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.help = _layout(self.help)

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        """Its own parameters and the global ones."""
        return _with_globals(self, super().get_params(ctx))


def _with_globals(command: click.Command, own: list[click.Parameter]) -> list[click.Parameter]:
    made: list[click.Option] | None = getattr(command, "made_globals", None)
    if made is None:
        made = _globals()
        command.made_globals = made  # type: ignore[attr-defined]
    taken = {text for one in own for text in one.opts}
    return [*[one for one in own if one.name != "help"], *[one for one in made if not taken & set(one.opts)],
            *[one for one in own if one.name == "help"]]  # fmt: skip


class _ReaderGoneError(Exception):
    """Whoever read our output is gone."""


class _App(Group):
    """The top group."""

    group_class = Group

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; click itself would end a broken pipe with 1."""
        try:
            result = super().invoke(ctx)
            sys.stdout.flush()
        except BrokenPipeError as error:
            raise _ReaderGoneError from error
        return result

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All names, without an import."""
        del ctx
        return [name for section in COMMANDS.values() for name in section]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import one command."""
        if cmd_name in UNAVAILABLE:
            raise failures.Failure(
                f"`mfgroute {cmd_name}` is not available in this version", code=failures.USAGE
            )
        if cmd_name not in self.list_commands(ctx):
            return None
        module = importlib.import_module(f"mfgroute.cli.commands.{_MODULES.get(cmd_name, cmd_name)}")
        command: click.Command = getattr(module, _OBJECTS.get(cmd_name, "command"))
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find a command, or say which one may be meant."""
        if args and not args[0].startswith("-") and args[0] not in (*self.list_commands(ctx), *UNAVAILABLE):
            from difflib import get_close_matches  # noqa: PLC0415 - only when it went wrong

            near = get_close_matches(args[0], self.list_commands(ctx), n=1)
            hint = f"did you mean `mfgroute {near[0]}`?" if near else "see `mfgroute --help`"
            raise failures.Failure(f"there is no command `{args[0]}`", code=failures.USAGE, hint=hint)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the sections; no command is imported."""
        del ctx
        for title, section in COMMANDS.items():
            with formatter.section(title):
                formatter.write_dl(list(section.items()), col_max=12)


def _bare() -> None:
    """Without a command the help is what is wanted."""
    context = click.get_current_context()
    if context.invoked_subcommand is None:
        click.echo(context.get_help())


app = _App(
    name="mfgroute",
    callback=_bare,
    help="""mfgroute carries validated business events from the shop floor to ERP, WMS and QMS.

    Examples:
      mfgroute init plant && cd plant && mfgroute check && mfgroute test
      mfgroute run
      mfgroute trace order/DE04/4711
    """,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
    no_args_is_help=False,
    invoke_without_command=True,
    params=[
        click.Option(
            ["--version"],
            is_flag=True,
            is_eager=True,
            expose_value=False,
            callback=_version,
            help="Print the version and exit.",
        )
    ],
)


def run(arguments: list[str] | None = None) -> int:
    """Run one command and return its exit code; errors become a sentence."""
    given = sys.argv[1:] if arguments is None else list(arguments)
    try:
        result = app.main(args=given, prog_name="mfgroute", standalone_mode=False)
    except (BrokenPipeError, _ReaderGoneError):
        return failures.broken_pipe()
    except (KeyboardInterrupt, click.Abort):
        return 130
    except click.exceptions.Exit as ended:
        return ended.exit_code
    except SystemExit as ended:
        return ended.code if isinstance(ended.code, int) else 1
    except Exception as error:  # noqa: BLE001 - the last place where an error can become a sentence
        return _told(error, given)
    return result if isinstance(result, int) else 0


def _told(error: Exception, given: Iterable[str]) -> int:
    words = list(given)
    json = "--output=json" in words or any(
        one == "--output" and two == "json" for one, two in pairwise(words)
    )
    try:
        return failures.tell(
            error, output="json" if json else "table", verbose="-v" in words or "--verbose" in words
        )
    except BrokenPipeError:
        return failures.broken_pipe()
