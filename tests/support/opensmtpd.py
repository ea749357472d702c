"""A real OpenSMTPD of the tests' own: nothing ever leaves it, for its outgoing half is paused."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import beside
from postfix import free_port

_CONFIG = """\
proc wehr "{program}" user root group root
filter "wehr" proc wehr
listen on {host} port {port} filter "wehr"
action "nowhere" relay host smtp://127.0.0.1:1
match from any for domain {{ "example.org", "example.net" }} action "nowhere"
"""

_START = """
chown opensmtpd:opensmtpd /var/lib/opensmtpd/empty 2>/dev/null || mkdir -p /var/lib/opensmtpd/empty
chown root:root /var/lib/opensmtpd/empty
mkdir -p /var/spool/smtpd
chmod 711 /var/spool/smtpd
echo mx.example.org > /etc/mailname
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
def running(folder: Path, program: str, *, host: str = "127.0.0.1") -> Iterator[OpenSMTPD]:
    """Start an instance in ``folder`` with a filter program."""
    beside.require("opensmtpd")
    port = free_port(host)
    (folder / "smtpd.conf").write_text(_CONFIG.format(program=program, host=host, port=port))
    argv = beside.command(
        "opensmtpd", folder, ("opensmtpd", "opensmtpq"), ["/bin/sh", "-ec", _START.format(folder=folder)]
    )
    with beside.daemon(argv, folder, (host, port)):
        yield OpenSMTPD(folder, host, port)
