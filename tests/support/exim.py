"""A real Exim of the tests' own: its spool is a folder of the test, and nothing ever leaves it."""

import contextlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import beside
from ports import free_port

RECIPE = Path(__file__).resolve().parent.parent.parent / "docs" / "exim.md"

_CONFIG = """\
primary_hostname = mx.example.org
domainlist relay_to_domains = example.org : example.net
spool_directory = {folder}/spool
log_file_path = {folder}/spool/log/%slog
local_interfaces = {host}
daemon_smtp_ports = {port}
tls_advertise_hosts =
host_lookup =
rfc1413_hosts =
queue_only = true
smtp_accept_max_per_connection = 1000
check_spool_space = 0
acl_smtp_rcpt = acl_check_rcpt
acl_smtp_data = acl_check_data

begin acl

acl_check_rcpt:
  require domains = +relay_to_domains
{rcpt}
  accept

acl_check_data:
{data}
  accept

begin routers

nowhere:
  driver = accept
  transport = nowhere

begin transports

nowhere:
  driver = appendfile
  file = /dev/null
"""


def recipe(name: str) -> str:
    """The lines that docs/exim.md tells administrators to put in: ``data`` or ``rcpt``."""
    found = re.search(
        rf"<!-- {name} -->\n+```\n(.*?)^```", RECIPE.read_text("ascii"), re.MULTILINE | re.DOTALL
    )
    assert found, name
    return found[1]


@dataclass(frozen=True)
class Exim:
    """A running instance."""

    folder: Path
    host: str
    port: int

    @property
    def log(self) -> str:
        """What it has logged as refused or wrong, and as its doings."""
        files = (self.folder / "spool" / "log").glob("*log")
        return "".join(file.read_text(errors="replace") for file in files)


@contextlib.contextmanager
def running(
    folder: Path, wehr: str = "", *, early: bool = False, host: str = "127.0.0.1", prepare: str = ""
) -> Iterator[Exim]:
    """Start an instance in ``folder`` that asks Wehr on ``wehr``, named as ``readsocket`` does; or nobody.

    ``prepare`` is a script that runs before it, where it is installed.
    """
    beside.require("exim4-daemon-light")
    port = free_port(host)
    folder.mkdir(exist_ok=True)
    data, rcpt = (
        recipe(name).replace("inet:127.0.0.1:8898", wehr) if wanted else ""
        for name, wanted in (("data", bool(wehr)), ("rcpt", early))
    )
    config = folder / "exim.conf"
    config.write_text(_CONFIG.format(folder=folder, host=host, port=port, data=data, rcpt=rcpt))
    start = (
        f"mkdir -p {folder}/spool/log && chown -R Debian-exim:Debian-exim {folder}/spool"
        f"\n{prepare}\nexec /usr/sbin/exim4 -bdf -C {config}"
    )
    argv = beside.command("exim4-daemon-light", folder, ("Debian-exim",), ["/bin/sh", "-ec", start])
    with beside.daemon(argv, folder, (host, port)):
        yield Exim(folder, host, port)
