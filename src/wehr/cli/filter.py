"""``wehr filter``: programs that a mail system starts by itself, and that ask the service."""

import rich_click as click

from wehr.cli.output import BadUse


@click.group("filter")
def command() -> None:
    """Programs that a mail system starts by itself; they ask the running service."""


@command.command("opensmtpd")
@click.option(
    "--ask",
    "address",
    metavar="HOST:PORT|PATH",
    default="127.0.0.1:8898",
    show_default=True,
    help="The line door: a TCP address, or the path of its unix socket.",
)
def opensmtpd(address: str) -> None:
    """A filter for OpenSMTPD; smtpd.conf names it.

    It ends when smtpd does. While the service is down, mail is accepted.
    """
    from wehr.doors.opensmtpd import Shim
    from wehr.service.door_settings import split_address

    if "/" in address:
        Shim(address).run()
        return
    try:
        place = split_address(address)
    except ValueError as error:
        raise BadUse(f"--ask: {error}") from None
    Shim(place).run()
