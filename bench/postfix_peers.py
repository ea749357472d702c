"""The contenders of the bench through Postfix: what each has Postfix ask, and the program that answers."""

import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from milter_bench import Filter
from milter_bench import free_port as port_of

HERE = Path(__file__).resolve().parent
SUPPORT = HERE.parent / "tests" / "support"
sys.path.insert(0, str(SUPPORT))
import beside  # noqa: E402

_RSPAMD = """\
options {{ filters = ""; pidfile = false; tempdir = "{folder}"; hs_cache_dir = "{folder}"; rrd = false;
  dns {{ nameserver = ["127.0.0.1:9"]; timeout = 1ms; retransmits = 1; }} }}
logging {{ type = "file"; filename = "{folder}/log"; level = "error"; }}
worker "rspamd_proxy" {{ bind_socket = "127.0.0.1:{port}"; milter = yes; timeout = 60s;
  upstream "local" {{ default = yes; self_scan = yes; }} }}
actions {{ reject = 1000; }}
"""

_PCRE = """\
# What a static table can say of stage 8; it takes the message all the same, for the load must pass.
/^Received:.*Microsoft SMTP Server.* id 15\\.0?[01]\\.\\d+\\.\\d+/ DUNNO
"""


@dataclass(frozen=True)
class Peer:
    """One contender: options of its smtpd, further services it needs, and its program, if it has one."""

    name: str
    options: tuple[str, ...] = ()
    services: str = ""
    filter: Filter | None = None


def peers(build: Path, folder: Path) -> list[Peer]:
    """All that can be had on this machine."""
    return [
        Peer("none"),
        *_milters(build, folder),
        *_header_checks(folder),
        *_rspamd(folder),
        *_postgrey(folder),
    ]


def _milters(build: Path, folder: Path) -> Iterator[Peer]:
    if (build / "empty_milter").exists():
        address = f"127.0.0.1:{port_of()}"
        command = [str(build / "empty_milter"), f"inet:{address.rpartition(':')[2]}@127.0.0.1"]
        yield Peer("empty C milter", (f"smtpd_milters=inet:{address}",), "", Filter("C", command, [address]))
    for transport in ("TCP", "unix"):
        state = folder / f"wehr-{transport}"
        config = folder / f"{transport}.toml"
        # The load comes from this machine, whose own mail is never judged by default.
        config.write_text('host_name = "mx.example.org"\nreceiver.networks = []\n')
        port, path = port_of(), folder / f"{transport}.sock"
        command = [
            str(Path(sys.executable).with_name("wehr")), "serve", "--config", str(config),
            "--state", str(state), "--listen", f"127.0.0.1:{port}", "--socket", str(path), "--web", "",
        ]  # fmt: skip
        where, milter = (
            (f"127.0.0.1:{port}", f"inet:127.0.0.1:{port}")
            if transport == "TCP"
            else (str(path), f"unix:{path}")
        )
        yield Peer(
            f"Wehr, {transport}",
            (f"smtpd_milters={milter}",),
            "",
            Filter(f"Wehr {transport}", command, [where]),
        )


def _header_checks(folder: Path) -> Iterator[Peer]:
    kind = next(
        (it for it in ("pcre", "regexp") if Path(f"/usr/lib/postfix/postfix-{it}.so").exists()), "regexp"
    )
    table = folder / "header_checks"
    table.write_text(_PCRE if kind == "pcre" else _PCRE.replace("\\d", "[0-9]"))
    yield Peer(
        f"{kind} header check",
        ("cleanup_service_name=cleanup-checks",),
        f"cleanup-checks unix n - n - 0 cleanup\n  -o header_checks={kind}:{table}\n",
    )


def _rspamd(folder: Path) -> Iterator[Peer]:
    if not _fetched("rspamd"):
        return
    own = _own(folder, "rspamd")
    address = f"127.0.0.1:{port_of()}"
    config = own / "rspamd.conf"
    config.write_text(_RSPAMD.format(folder=own, port=address.rpartition(":")[2]))
    argv = ["/usr/bin/rspamd", "--no-fork", "--insecure", "-c", str(config)]
    command = beside.command("rspamd", own, ["_rspamd"], argv)
    yield Peer(
        "rspamd, no modules", (f"smtpd_milters=inet:{address}",), "", Filter("rspamd", command, [address])
    )


def _postgrey(folder: Path) -> Iterator[Peer]:
    if not _fetched("postgrey"):
        return
    own = _own(folder, "postgrey")
    address = f"127.0.0.1:{port_of()}"
    # The bench introduces the client first, and is known from then on.
    argv = [
        "/usr/sbin/postgrey", f"--inet={address}", f"--dbdir={own}", "--user=root", "--group=root",
        "--delay=1", "--auto-whitelist-clients=1",
    ]  # fmt: skip
    command = beside.command("postgrey", own, ["postgrey"], argv)
    yield Peer(
        "postgrey",
        (f"smtpd_recipient_restrictions=check_policy_service,inet:{address}",),
        "",
        Filter("postgrey", command, [address]),
    )


def _fetched(package: str) -> bool:
    there = (beside.FETCHED / package / "complete").exists() and os.geteuid() == 0
    if not there:
        print(f"bench: {package} is not fetched, and left out", file=sys.stderr)
    return there


def _own(folder: Path, name: str) -> Path:
    own = folder / name
    own.mkdir()
    own.chmod(0o777)
    return own
