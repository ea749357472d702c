"""A real Sendmail of the tests' own: its queue is a folder of the test, and nothing ever leaves it."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import beside
from ports import free_port

# Mail is only queued (mode q, and no queue run), and no name is looked up in the DNS.
_MC = """\
divert(0)dnl
OSTYPE(`linux')dnl
define(`QUEUE_DIR', `{folder}/queue')dnl
define(`STATUS_FILE', `{folder}/statistics')dnl
define(`confPID_FILE', `{folder}/sendmail.pid')dnl
define(`confDOMAIN_NAME', `mx.example.org')dnl
define(`confDEF_USER_ID', `nobody:nogroup')dnl
define(`confDELIVERY_MODE', `queueonly')dnl
define(`confDONT_BLAME_SENDMAIL', `TrustStickyBit')dnl
define(`confTO_IDENT', `0')dnl
define(`confSERVICE_SWITCH_FILE', `{folder}/etc/service.switch')dnl
define(`ALIAS_FILE', `')dnl
undefine(`UUCP_RELAY')dnl
undefine(`BITNET_RELAY')dnl
FEATURE(`no_default_msa')dnl
FEATURE(`accept_unresolvable_domains')dnl
FEATURE(`accept_unqualified_senders')dnl
FEATURE(`nocanonify')dnl
DAEMON_OPTIONS(`Name=MTA, Addr={host}, Port={port}')dnl
RELAY_DOMAIN(`example.org')dnl
RELAY_DOMAIN(`example.net')dnl
{extra}{milter}MAILER(`smtp')dnl
"""

_START = """
cd {folder}/etc
m4 -D_CF_DIR_=/usr/share/sendmail/cf/ /usr/share/sendmail/cf/m4/cf.m4 sendmail.mc > sendmail.cf
{prepare}
exec /usr/libexec/sendmail/sendmail -C {folder}/etc/sendmail.cf -bD
"""


@dataclass(frozen=True)
class Sendmail:
    """A running instance."""

    folder: Path
    host: str
    port: int


@contextlib.contextmanager
def running(
    folder: Path, milter: str = "", *, host: str = "127.0.0.1", prepare: str = "", extra: str = ""
) -> Iterator[Sendmail]:
    """Start an instance in ``folder`` that asks ``milter`` (``inet:PORT@HOST`` or ``local:PATH``, if any).

    The lines are those of docs/sendmail.md; ``extra`` are more of sendmail.mc. ``prepare`` is a script that
    runs before it, where it is installed.
    """
    beside.require("sendmail-bin")
    port = free_port(host)
    for name in ("etc", "queue"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    (folder / "queue").chmod(0o700)
    line = f"INPUT_MAIL_FILTER(`wehr', `S={milter}, T=C:3s;S:3s;R:3s;E:10s')dnl\n" if milter else ""
    text = _MC.format(folder=folder, host=host, port=port, milter=line, extra=extra)
    (folder / "etc" / "sendmail.mc").write_text(text)
    (folder / "etc" / "service.switch").write_text("hosts files\naliases files\n")
    script = _START.format(folder=folder, prepare=prepare)
    argv = beside.command("sendmail-bin", folder, ("smmta", "smmsp"), ["/bin/sh", "-ec", script])
    with beside.daemon(argv, folder, (host, port)):
        yield Sendmail(folder, host, port)
