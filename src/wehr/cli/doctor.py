"""``wehr doctor``: is everything well, and if not, which line mends it."""

import sys
import time
from pathlib import Path

import rich_click as click
from rich.console import Console
from rich.text import Text

from wehr.cli.config import read
from wehr.cli.output import BadUse, console, print_json
from wehr.cli.stored import store_options
from wehr.service.doctor import examine, well
from wehr.service.mta import Finding, Level
from wehr.service.probe_mail import Way
from wehr.service.state_folder import default_state

_MARKS = {
    Level.OK: ("ok", "green"),
    Level.INFO: ("-", "dim"),
    Level.ODD: ("odd", "yellow"),
    Level.WRONG: ("WRONG", "bold red"),
}
_FOLDER = click.Path(path_type=Path)


@click.command("doctor")
@store_options
@click.option(
    "--postfix", multiple=True, type=_FOLDER, help="Look at this configuration folder of Postfix only."
)
@click.option("--sendmail", multiple=True, type=_FOLDER, help="The same of Sendmail.")
@click.option("--exim", multiple=True, type=_FOLDER, help="Look at this configuration file of Exim only.")
@click.option("--opensmtpd", multiple=True, type=_FOLDER, help="The same of OpenSMTPD.")
@click.option(
    "--send",
    "recipient",
    metavar="RECIPIENT",
    help="Send a probe through the mail system; only if Wehr is not asked is it delivered, here.",
)
@click.option(
    "--via",
    metavar="HOST:PORT",
    default="127.0.0.1:25",
    show_default=True,
    help="Where the mail system takes the probe.",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON document.")
def command(
    file: Path | None,
    state: Path | None,
    postfix: tuple[Path, ...],
    sendmail: tuple[Path, ...],
    exim: tuple[Path, ...],
    opensmtpd: tuple[Path, ...],
    recipient: str | None,
    via: str,
    as_json: bool,
) -> None:
    """Tell whether Wehr runs, its doors answer, and the mail systems of this machine ask it.

    Nothing is changed, and no mail is sent without --send. Exit code 1 if something is wrong.
    Run it as root: others do not see all of it.
    """
    config = read(file)
    folder = (state or default_state()).absolute()
    named = {"postfix": postfix, "sendmail": sendmail, "exim": exim, "opensmtpd": opensmtpd}
    try:
        way = Way(recipient, via) if recipient is not None else None
    except ValueError as error:
        raise BadUse(f"--send: {error}") from None
    findings = list(examine(config, folder, time.time(), named, way))
    if as_json:
        print_json({"well": well(findings), "findings": findings})
    else:
        _print(findings)
    sys.exit(0 if well(findings) else 1)


def _print(findings: list[Finding]) -> None:
    out = console()
    for finding in findings:
        mark, style = _MARKS[finding.level]
        _say(out, Text.assemble((f"{mark:<6}", style), (f"{finding.about}: ", "bold"), finding.text))
        if finding.remedy:
            _say(out, Text.assemble(" " * 6, ("-> ", style), finding.remedy))
    wrong = sum(finding.level is Level.WRONG for finding in findings)
    out.print("All well." if not wrong else f"{wrong} {'thing is' if wrong == 1 else 'things are'} wrong.")


def _say(out: Console, text: Text) -> None:
    out.print(text, soft_wrap=True)  # a line that is to be copied is not broken
