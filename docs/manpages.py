"""Makes the manual pages wehr(1) and wehr.toml(5) from the commands and the configuration's own types.

Usage: ``python docs/manpages.py FOLDER``; ``make man`` calls it. The form is man(7)'s.
"""

import importlib
import inspect
import os
import re
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, get_args, get_origin

import click
import msgspec
from msgspec import Struct

from wehr import __version__
from wehr.cli import main
from wehr.service.config import SEARCHED, Config

_INTRODUCTION = """\
Wehr sits beside a mail server and looks at the Exchange servers that hand mail over to it. It recognises
which build each of them runs, reports those that are out of date, and, once told to, throttles (SMTP 450) and
then blocks (SMTP 550) them stage by stage, until they are patched. When Wehr breaks, mail flows.
"""
_EXITS = (
    ("0", "Done."),
    ("1", "The answer is bad news, where a check was asked for."),
    ("2", "Bad use or configuration: one line on standard error says what to mend."),
)


def escaped(text: str) -> str:
    """Plain text as roff: nothing in it is a request or an escape."""
    text = text.replace("\\", "\\e").replace("-", "\\-").replace("`", "\\(ga").replace("^", "\\(ha")
    text = text.replace("~", "\\(ti").replace("'", "\\(aq").replace('"', "\\(dq")
    return "\n".join(f"\\&{line}" if line[:1] == "." else line for line in text.split("\n"))


def _paragraphs(text: str) -> Iterator[str]:
    for number, part in enumerate(re.split(r"\n\s*\n", inspect.cleandoc(text).strip())):
        if number:
            yield ".PP"
        yield escaped(" ".join(part.split()))


def _header(title: str, section: int, summary: str) -> Iterator[str]:
    # reproducible-builds.org: the date of the source, where the builder names it.
    day = datetime.fromtimestamp(float(os.environ.get("SOURCE_DATE_EPOCH") or time.time()), UTC).date()
    yield f'.TH "{title.upper()}" "{section}" "{day}" "Wehr {__version__}" "Wehr"'
    yield ".SH NAME"
    yield f"{escaped(title)} \\- {escaped(summary)}"


def commands() -> Iterator[tuple[str, click.Command]]:
    """Every command by its whole name, ``wehr store backup``; groups before what is in them."""
    context = click.Context(main)
    for name in main.list_commands(context):
        command = importlib.import_module(f"wehr.cli.{name}").command
        yield from _with_inner(f"wehr {name}", command)


def _with_inner(name: str, command: click.Command) -> Iterator[tuple[str, click.Command]]:
    yield name, command
    if isinstance(command, click.Group):
        for inner, one in sorted(command.commands.items()):
            yield from _with_inner(f"{name} {inner}", one)


def wehr_1() -> str:
    """The page of the program."""
    lines = list(_header("wehr", 1, "reports, throttles and blocks mail from out-of-date mail servers"))
    lines += [".SH SYNOPSIS", ".B wehr", ".I command", escaped("[options] [arguments]"), ".SH DESCRIPTION"]
    lines += _paragraphs(_INTRODUCTION)
    lines += [".SH COMMANDS"]
    for name, command in commands():
        lines += _command(name, command)
    lines += [".SH EXIT STATUS"]
    for code, meaning in _EXITS:
        lines += [".TP", f".B {code}", escaped(meaning)]
    lines += [".SH FILES"]
    for file in SEARCHED:
        lines += [".TP", f".I {escaped(file)}", "The configuration, first found first."]
    lines += [".SH SEE ALSO", ".BR wehr.toml (5)"]
    return "\n".join(lines) + "\n"


def _command(name: str, command: click.Command) -> Iterator[str]:
    arguments = [it for it in command.params if isinstance(it, click.Argument)]
    shown = " ".join(_metavar(it) for it in arguments)
    yield f".SS {escaped(f'{name} {shown}'.strip())}"
    yield from _paragraphs(command.help or "")
    for option in command.params:
        if isinstance(option, click.Option) and not option.hidden:
            yield ".TP"
            names = ", ".join((*option.opts, *option.secondary_opts))
            value = "" if option.is_flag or option.count else f" {_metavar(option)}"
            yield f"\\fB{escaped(names)}\\fR{escaped(value)}"
            yield escaped(" ".join((option.help or "").split())) or "\\&"


def _metavar(parameter: click.Parameter) -> str:
    return parameter.make_metavar(click.Context(click.Command("wehr")))


def toml_5() -> str:
    """The page of the configuration."""
    lines = list(_header("wehr.toml", 5, "configuration of wehr"))
    lines += [".SH DESCRIPTION"]
    lines += _paragraphs(
        "One TOML file. Without --config, the first of these is read: "
        + ", ".join(SEARCHED)
        + ". Without any, the defaults are in force, which refuse nobody.\n\n"
        "'wehr config check' tells whether a file can be used, 'wehr config show' prints what is in force, "
        "and 'wehr reload' has the service read it again."
    )
    lines += [".SH KEYS"]
    lines += _table("", Config())
    lines += [".SH SEE ALSO", ".BR wehr (1)"]
    return "\n".join(lines) + "\n"


def _table(path: str, table: Struct) -> Iterator[str]:
    """A table's keys, each with its default and what it means; then the tables inside it."""
    if path:
        yield f".SS {escaped(f'[{path}]')}"
        yield from _paragraphs((type(table).__doc__ or "").split("\n\n")[0])
    fields = msgspec.structs.fields(table)
    inner = [field for field in fields if isinstance(getattr(table, field.name), Struct)]
    for field in fields:
        if field not in inner:
            value = msgspec.to_builtins(getattr(table, field.name))
            default = "" if value is None else f" = {msgspec.json.encode(value).decode()}"
            yield ".TP"
            yield f"\\fB{escaped(field.encode_name)}\\fR{escaped(default)}"
            yield escaped(_description(field.type)) or "\\&"
    for field in inner:
        name = f"{path}.{field.encode_name}" if path else field.encode_name
        yield from _table(name, getattr(table, field.name))


def _description(kind: Any) -> str:
    if get_origin(kind) is Annotated:
        found = (meta.description for meta in get_args(kind)[1:] if isinstance(meta, msgspec.Meta))
        return next((text for text in found if text), "")
    return ""


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "wehr.1").write_text(wehr_1(), "utf-8")
    (folder / "wehr.toml.5").write_text(toml_5(), "utf-8")
