"""``wehr config``: is it right, and what is in force?"""

from pathlib import Path

import rich_click as click

from wehr.cli.output import BadUse, print_json
from wehr.service.config import Config, ConfigError, find, load

file_option = click.option(
    "--config",
    "file",
    type=click.Path(path_type=Path),
    help="Configuration file; without it wehr.toml here, in $XDG_CONFIG_HOME/wehr or in /etc/wehr.",
)


def read(file: Path | None) -> Config:
    """The configuration that is named, or else found, or else the default; bad ones end with exit code 2."""
    try:
        return load(file or find())
    except ConfigError as error:
        raise BadUse(str(error)) from None


@click.group("config")
def command() -> None:
    """Check or show the configuration."""


@command.command()
@file_option
@click.option("--json", "as_json", is_flag=True, help="One JSON document.")
def check(file: Path | None, as_json: bool) -> None:
    """Tell whether the configuration can be used; exit code 2 if not."""
    name = file or find()
    config = read(name)
    if as_json:
        print_json({"file": str(name) if name else None, "ok": True, "mode": config.policy.mode})
    else:
        where = f"{name} is right" if name else "No configuration file: the defaults are in force"
        click.echo(f"{where}. Mode: {config.policy.mode}.")


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
