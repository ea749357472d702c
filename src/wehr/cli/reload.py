"""``wehr reload``: have the running service read its configuration again."""

import os
import signal
from pathlib import Path

import rich_click as click

from wehr.cli.config import read
from wehr.cli.output import BadUse
from wehr.cli.stored import store_options
from wehr.service.state_folder import default_state, serving


@click.command("reload")
@store_options
def command(file: Path | None, state: Path | None) -> None:
    """Have the running service read its configuration again.

    The file is checked first: if it cannot be used, the service is left alone and the exit code is 2.
    """
    config = read(file)
    folder = (state or default_state()).absolute()
    process = serving(folder)
    if process is None:
        raise BadUse(f"no Wehr serves {folder}: start 'wehr serve', or name its folder with --state")
    try:
        os.kill(process, signal.SIGHUP)
    except OSError as error:
        raise BadUse(f"process {process} cannot be told to reload: {error.strerror}") from None
    click.echo(f"Process {process} was told to reload; mode: {config.policy.mode}. Its log says how it went.")
