"""The commands, one module per noun. Each is imported only when it is called, so that ``--help`` is quick."""

import importlib
import sys
from io import TextIOWrapper
from typing import Any

import rich_click as click

from wehr import __version__
from wehr.cli.output import BadUse

_COMMANDS = {
    "serve": "Start the doors and take mail, in the foreground.",
    "reload": "Have the running service read its configuration again.",
    "doctor": "Tell what is wrong with Wehr and its mail system, and what mends it.",
    "setup": "Have a mail system ask Wehr: print the change, or make it.",
    "demo": "Play 100 days in half a minute, without a mail system.",
    "inspect": "Tell who handed a stored message over, and which build it shows.",
    "explain": "Explain a decision: by reference, server or message file.",
    "report": "List the out-of-date servers.",
    "server": "List the servers seen, or show one.",
    "pause": "Stop the clock of a tenant or server for some days.",
    "exempt": "Leave a server, network or domain alone.",
    "notices": "Write to the administrators of out-of-date servers, or see what would be.",
    "announce": "Tell of a planned change of policy: a page, texts, and whom it will touch.",
    "events": "List what people and the ladder changed.",
    "store": "Migrate, check, back up, restore or copy the store.",
    "catalogue": "Ask what is known of a build.",
    "policy": "Show the ladder with its dates, or play the policy over time.",
    "filter": "Programs that a mail system starts by itself.",
    "user": "Let people in to the pages, and shut them out.",
    "token": "Make tokens for the API, list them, and take their force.",
    "config": "Check or show the configuration.",
}


class _Lazy(click.RichGroup):
    """A group whose commands live in modules of the same name."""

    def main(self, *args: Any, **kwargs: Any) -> Any:
        """Run; what cannot be used ends with one line and exit code 2."""
        if isinstance(sys.stdout, TextIOWrapper):
            # What a stranger stamped must not end a command where the terminal has no such letters.
            sys.stdout.reconfigure(errors="backslashreplace")
        try:
            return super().main(*args, **kwargs)
        except BadUse as error:
            fault = str(error)
        except UnicodeEncodeError as error:  # an argument that is no text
            fault = f"{error.object!r} is not UTF-8"
        except OSError as error:
            fault = str(error)
        click.echo(f"wehr: {fault}", err=True)
        sys.exit(2)

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """As much of a command as the list of them shows."""
        help_ = _COMMANDS.get(cmd_name)
        return click.RichCommand(name=cmd_name, help=help_) if help_ else None

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The command that is called."""
        name, command, rest = super().resolve_command(ctx, args)
        if command is not None:
            command = importlib.import_module(f"wehr.cli.{name}").command
        return name, command, rest


@click.group(cls=_Lazy, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, prog_name="wehr")
def main() -> None:
    """Wehr reports, throttles and blocks mail from out-of-date mail servers."""
