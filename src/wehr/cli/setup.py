"""``wehr setup``: the change that has a mail system ask Wehr, printed or made."""

import time
from collections.abc import Callable, Sequence
from pathlib import Path

import rich_click as click

from wehr.cli.config import read
from wehr.cli.output import BadUse
from wehr.cli.stored import store_options
from wehr.service.mta import (
    CannotChange,
    NotThere,
    Place,
    Plan,
    apply,
    diff,
    exim,
    opensmtpd,
    places,
    postfix,
    sendmail,
)
from wehr.service.mta.programs import run
from wehr.service.state_folder import default_state


@click.group("setup")
def command() -> None:
    """Have a mail system ask Wehr: print the change, or make it with --write.

    Nothing is touched without --write. With it, each file is kept beside the new one, the mail system checks
    the outcome, and if it does not like it, everything is put back. A second run finds nothing to do.
    """


_Make = Callable[[Path | None, Sequence[Place]], Plan]


def _add(name: str, door: str, make: _Make, option: str, which: str, text: str) -> None:
    """Have a command for a mail system that asks at a door; ``option`` names its configuration."""

    @command.command(name, help=text)
    @click.option(option, "path", type=click.Path(path_type=Path), help=which)
    @store_options
    @click.option("--write", is_flag=True, help="Make the change.")
    @click.option("--reload", is_flag=True, help="With --write: bring it into force as well.")
    def carry_out(
        file: Path | None, state: Path | None, path: Path | None, write: bool, reload: bool
    ) -> None:
        doors = places(read(file), (state or default_state()).absolute(), door)
        _carry_out(lambda: make(path, doors), write=write, reload=reload)


_add(
    *("postfix", "milter", postfix.plan, "--config-dir", "Of which instance; without it /etc/postfix."),
    "Put Wehr first among smtpd_milters, in main.cf and wherever master.cf overrides it for strangers.",
)
_add(
    *("sendmail", "milter", sendmail.plan, "--config-dir", "Of which Sendmail; without it /etc/mail."),
    "Put Wehr first among the filters of sendmail.mc, and make sendmail.cf anew.",
)
_add(
    *("exim", "line", exim.plan, "--config-file"),
    "Of which Exim; without it the one that Exim takes by itself.",
    "Put the question to Wehr into the ACL after DATA, or into the file that Debian includes there.",
)
_add(
    *("opensmtpd", "line", opensmtpd.plan, "--config-file"),
    "Of which OpenSMTPD; without it /etc/smtpd.conf.",
    "Pass what strangers hand over through 'wehr filter opensmtpd', before other filters.",
)


def _carry_out(make: Callable[[], Plan], *, write: bool, reload: bool) -> None:
    if reload and not write:
        raise BadUse("--reload goes with --write")
    try:
        plan = make()
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
    # To be undone from the last to the first: Exim's macros name the file with its ACL.
    for written in reversed(apply(plan, time.time())):
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
