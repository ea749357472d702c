"""``wehr setup``: the change that has a mail system ask Wehr, printed or made."""

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import rich_click as click

from wehr.cli.config import read
from wehr.cli.output import BadUse
from wehr.cli.stored import store_options
from wehr.service.mta import CannotChange, NotThere, Place, Plan, apply, diff, places
from wehr.service.mta.programs import run
from wehr.service.state_folder import default_state

_PATH = click.Path(path_type=Path)


@click.group("setup")
def command() -> None:
    """Have a mail system ask Wehr: print the change, or make it with --write.

    Nothing is touched without --write. With it, each file is kept beside the new one, the mail system checks
    the outcome, and if it does not like it, everything is put back. A second run finds nothing to do.
    """


def _options(function: Callable[..., Any]) -> Callable[..., Any]:
    reload = click.option("--reload", is_flag=True, help="With --write: bring it into force as well.")
    write = click.option("--write", is_flag=True, help="Make the change.")
    return store_options(write(reload(function)))


@command.command("postfix")
@click.option(
    "--config-dir", type=_PATH, default=Path("/etc/postfix"), show_default=True, help="Of which instance."
)
@_options
def postfix(file: Path | None, state: Path | None, config_dir: Path, write: bool, reload: bool) -> None:
    """Put Wehr first among smtpd_milters, in main.cf and wherever master.cf overrides it for strangers."""
    from wehr.service.mta.postfix import plan

    _carry_out(file, state, "milter", lambda doors: plan(config_dir, doors), write=write, reload=reload)


@command.command("sendmail")
@click.option(
    "--config-dir", type=_PATH, default=Path("/etc/mail"), show_default=True, help="Of which Sendmail."
)
@_options
def sendmail(file: Path | None, state: Path | None, config_dir: Path, write: bool, reload: bool) -> None:
    """Put Wehr first among the filters of sendmail.mc, and make sendmail.cf anew."""
    from wehr.service.mta.sendmail import plan

    _carry_out(file, state, "milter", lambda doors: plan(config_dir, doors), write=write, reload=reload)


@command.command("exim")
@click.option(
    "--config-file", type=_PATH, help="Of which Exim; without it the one that Exim takes by itself."
)
@_options
def exim(file: Path | None, state: Path | None, config_file: Path | None, write: bool, reload: bool) -> None:
    """Put the question to Wehr into the ACL after DATA, or into the file that Debian includes there."""
    from wehr.service.mta.exim import plan

    _carry_out(file, state, "line", lambda doors: plan(config_file, doors), write=write, reload=reload)


@command.command("opensmtpd")
@click.option("--config-file", type=_PATH, help="Of which OpenSMTPD; without it /etc/smtpd.conf.")
@_options
def opensmtpd(
    file: Path | None, state: Path | None, config_file: Path | None, write: bool, reload: bool
) -> None:
    """Pass what strangers hand over through 'wehr filter opensmtpd', before other filters."""
    from wehr.service.mta.opensmtpd import plan

    _carry_out(file, state, "line", lambda doors: plan(config_file, doors), write=write, reload=reload)


def _carry_out(
    file: Path | None,
    state: Path | None,
    door: str,
    make: Callable[[Sequence[Place]], Plan],
    *,
    write: bool,
    reload: bool,
) -> None:
    if reload and not write:
        raise BadUse("--reload goes with --write")
    doors = places(read(file), (state or default_state()).absolute(), door)
    try:
        plan = make(doors)
        if not plan.changes:
            click.echo("Nothing to do: it asks Wehr already.")
            return
        if not write:
            _show(plan)
            return
        _write(plan, reload)
    except (CannotChange, NotThere) as error:
        raise BadUse(str(error)) from None


def _show(plan: Plan) -> None:
    for change in plan.changes:
        click.echo(diff(change), nl=False)
    click.echo(f"\nNothing was changed. --write makes this change; then: {' '.join(plan.reload)}")
    for note in plan.notes:
        click.echo(f"Note: {note}.")


def _write(plan: Plan, reload: bool) -> None:
    for written in apply(plan, time.time()):
        if written.backup:
            click.echo(f"{written.file} is changed. To undo it: mv {written.backup} {written.file}")
        else:
            click.echo(f"{written.file} is new. To undo it: rm {written.file}")
    click.echo("The mail system has checked it.")
    if not reload:
        click.echo(f"Bring it into force: {' '.join(plan.reload)}")
        return
    done = run(plan.reload)
    if done.code:
        raise BadUse(f"the change is made, but {' '.join(plan.reload)!r} fails: {done.said}")
    click.echo(f"It is in force ({' '.join(plan.reload)}).")
