"""A real OpenSMTPD of the tests' own: nothing ever leaves it, for its outgoing half is paused."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import beside
from ports import free_port

_FILTER = """\
proc wehr "{program}" user root group root
filter "wehr" proc wehr
"""

_CONFIG = """\
{filter}{listen}
action "nowhere" relay host smtp://127.0.0.1:1
match from any for domain {{ "example.org", "example.net" }} action "nowhere"
"""

_START = """
chown opensmtpd:opensmtpd /var/lib/opensmtpd/empty 2>/dev/null || mkdir -p /var/lib/opensmtpd/empty
chown root:root /var/lib/opensmtpd/empty
mkdir -p /var/spool/smtpd
chmod 711 /var/spool/smtpd
echo mx.example.org > /etc/mailname
{prepare}
exec /usr/sbin/smtpd -d -P mta -P mda -f {folder}/smtpd.conf
"""


@dataclass(frozen=True)
class OpenSMTPD:
    """A running instance."""

    folder: Path
    host: str
    port: int

    @property
    def log(self) -> str:
        """What it has said."""
        return (self.folder / "output").read_text(errors="replace")


@contextlib.contextmanager
def running(
    folder: Path, program: str = "", *, host: str = "127.0.0.1", prepare: str = ""
) -> Iterator[OpenSMTPD]:
    """Start an instance in ``folder`` with a filter program, if any.

    ``prepare`` is a script that runs before it, where it is installed.
    """
    beside.require("opensmtpd")
    port = free_port(host)
    filtered = _FILTER.format(program=program) if program else ""
    listen = f"listen on {host} port {port}{' filter wehr' if program else ''}"
    (folder / "smtpd.conf").write_text(_CONFIG.format(filter=filtered, listen=listen))
    script = _START.format(folder=folder, prepare=prepare)
    argv = beside.command("opensmtpd", folder, ("opensmtpd", "opensmtpq"), ["/bin/sh", "-ec", script])
    with beside.daemon(argv, folder, (host, port)):
        yield OpenSMTPD(folder, host, port)
