"""``wehr config``: is it right, and what is in force?"""

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import rich_click as click

from wehr.cli.output import BadUse, print_json
from wehr.service.config import Config, ConfigError, find
from wehr.service.config import load as load_config

if TYPE_CHECKING:
    from wehr.catalogue import Catalogue
    from wehr.service.advice import Advice

file_option = click.option(
    "--config",
    "file",
    type=click.Path(path_type=Path, readable=False),
    help="Configuration file; without it wehr.toml here, in $XDG_CONFIG_HOME/wehr or in /etc/wehr.",
)

state_option = click.option(
    "--state",
    type=click.Path(path_type=Path, readable=False),
    help="State folder; without it $STATE_DIRECTORY, $XDG_STATE_HOME/wehr or ~/.local/state/wehr.",
)


def read(file: Path | None) -> Config:
    """The configuration that is named, or else found, or else the default; bad ones end with exit code 2."""
    try:
        return load_config(file or find())
    except ConfigError as error:
        raise BadUse(str(error)) from None


def state_folder(state: Path | None) -> Path:
    """The state folder that is named, or else the usual one."""
    from wehr.service.state_folder import default_state

    return (state or default_state()).absolute()


def catalogue_of(config: Config, state: Path | None) -> "Catalogue":
    """What the service judges by: the built-in catalogue and what was imported; bad files end with 2."""
    from wehr.catalogue import CatalogueError, load

    try:
        return load(overlays=config.catalogue.files(state_folder(state)))
    except CatalogueError as error:
        raise BadUse(str(error)) from None


@click.group("config")
def command() -> None:
    """Check or show the configuration."""


@command.command()
@file_option
@state_option
@click.option("--json", "as_json", is_flag=True, help="One JSON document.")
def check(file: Path | None, state: Path | None, as_json: bool) -> None:
    """Tell whether the configuration can be used on this machine; exit code 2 if not.

    Warns of what is legal but odd, by what the store holds too if there is one; the exit code stays 0.
    """
    name = file or find()
    config = read(name)
    source = name.read_text("utf-8") if name else ""
    warnings = [
        *_unseen(config, state),
        *(one.located(source, str(name or "defaults")) for one in _advice(config, state)),
    ]
    if as_json:
        print_json(
            {
                "file": str(name) if name else None,
                "ok": True,
                "mode": config.policy.mode,
                "warnings": warnings,
            }
        )
        return
    where = f"{name} is right" if name else "No configuration file: the defaults are in force"
    click.echo(f"{where}. Mode: {config.policy.mode}.")
    for warning in warnings:
        click.echo(f"warning: {warning}", err=True)


def _unseen(config: Config, state: Path | None) -> Iterator[str]:
    """Files that this user may not read; what else would keep Wehr from starting ends with exit code 2."""
    from wehr.service.config_check import hindrances

    for one in hindrances(config, state_folder(state)):
        if one.certain:
            raise BadUse(one.text)
        yield one.text


def _advice(config: Config, state: Path | None) -> "tuple[Advice, ...]":
    """What is odd, by the store as well if there is one that can be read."""
    from wehr.cli.stored import seen, store_in
    from wehr.service.advice import advise

    folder, known = state_folder(state), None
    if (folder / "wehr.sqlite").is_file():
        with store_in(folder, config) as stored:
            known = seen(stored)
    return (*advise(config, catalogue_of(config, state), time.time(), known), *_missing(config, folder))


def _missing(config: Config, folder: Path) -> "Iterator[Advice]":
    """Files with secrets that are not there: nobody would hear of it before they are needed."""
    from wehr.service.advice import Advice

    notices = config.notices
    named = (
        (("notices", "submission", "password_file"), notices.submission.password_file),
        *(
            (("notices", "webhooks", at, "secret_file"), it.secret_file)
            for at, it in enumerate(notices.webhooks)
        ),
        *((("notices", "chats", at, "url_file"), it.url_file) for at, it in enumerate(notices.chats)),
    )
    for key, file in named:
        if file and not os.access(folder / file, os.F_OK):
            yield Advice(key, f"{folder / file} is not there, or this user cannot see it")


@command.command()
@file_option
@click.option("--json", "as_json", is_flag=True, help="JSON instead of TOML.")
def show(file: Path | None, as_json: bool) -> None:
    """Print what is in force, defaults included."""
    from wehr.service.config_text import render

    config = read(file)
    if as_json:
        print_json(config)
    else:
        click.echo(render(config), nl=False)


@command.command()
def reference() -> None:
    """Print a configuration with every key at its default and a comment on each."""
    from wehr.service.config_text import render

    click.echo(render(Config(), comments=True), nl=False)
