"""A real Postfix of the tests' own: its own folder, a loopback port, everything delivered to ``discard:``."""

import contextlib
import os
import shutil
import smtplib
import subprocess
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import pytest
from ports import free_port
from running import runs

_MASTER = """\
{host}:{port} inet n - n - - smtpd
cleanup   unix n - n - 0 cleanup
qmgr      unix n - n 300 1 qmgr
rewrite   unix - - n - - trivial-rewrite
bounce    unix - - n - 0 bounce
defer     unix - - n - 0 bounce
trace     unix - - n - 0 bounce
discard   unix - - n - - discard
error     unix - - n - - error
retry     unix - - n - - error
anvil     unix - - n - 1 anvil
proxymap  unix - - n - - proxymap
postlog   unix-dgram n - n - 1 postlogd
"""

_MAIN = {
    "compatibility_level": "3.6",
    "myhostname": "mx.example.org",
    "mydestination": "",
    "relay_domains": "example.org example.net",
    "relay_transport": "discard:",
    "default_transport": "discard:",
    "local_transport": "error:no local mail here",
    "mynetworks": "[::1]/128",
    "smtpd_relay_restrictions": "permit_auth_destination, reject",
    "smtpd_peername_lookup": "no",
    "smtpd_authorized_xclient_hosts": "127.0.0.0/8",
    "disable_dns_lookups": "yes",
    "smtpd_tls_security_level": "none",
    "alias_maps": "",
    "alias_database": "",
    "local_recipient_maps": "",
    "smtpd_client_connection_count_limit": "0",
    "inet_protocols": "ipv4",
}


@dataclass(frozen=True)
class Postfix:
    """A running instance that relays to nowhere."""

    folder: Path
    host: str
    port: int

    @property
    def log(self) -> str:
        """What it has logged so far."""
        return (self.folder / "log" / "postfix.log").read_text(errors="replace")


def require_postfix() -> None:
    """Skip the test where no Postfix can be started."""
    if not Path("/usr/sbin/postfix").exists():
        pytest.skip("Postfix is not installed")
    if os.geteuid() != 0:
        pytest.skip("Postfix needs root to start")


@contextlib.contextmanager
def running(
    folder: Path,
    milters: str,
    *,
    host: str = "127.0.0.1",
    settings: Mapping[str, str] | None = None,
    services: str = "",
) -> Iterator[Postfix]:
    """Start an instance in ``folder`` with ``smtpd_milters`` set to ``milters``, and stop it at the end.

    ``services`` are more lines of its master.cf. The folder must be one that the user postfix can reach: the
    fixture ``open_folder``.
    """
    require_postfix()
    port = free_port(host)
    config = folder / "etc"
    for name in ("etc", "queue", "data", "log"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    shutil.chown(folder / "data", "postfix")
    main = {
        **_MAIN,
        "queue_directory": str(folder / "queue"),
        "data_directory": str(folder / "data"),
        "maillog_file": str(folder / "log" / "postfix.log"),
        "maillog_file_prefixes": str(folder),
        "smtpd_milters": milters,
        "milter_default_action": "accept",
        "milter_connect_timeout": "3s",
        "milter_command_timeout": "3s",
        "milter_content_timeout": "3s",
        **(settings or {}),
    }
    (config / "main.cf").write_text("".join(f"{key} = {value}\n" for key, value in main.items()))
    (config / "master.cf").write_text(_MASTER.format(host=host, port=port) + services)
    postfix = ["/usr/sbin/postfix", "-c", str(config)]
    start = subprocess.run([*postfix, "start"], check=False, capture_output=True, text=True, timeout=60)
    if start.returncode:
        log = folder / "log" / "postfix.log"
        raise RuntimeError(f"Postfix did not start: {start.stderr}{log.read_text() if log.exists() else ''}")
    try:
        yield Postfix(folder, host, port)
    finally:
        subprocess.run([*postfix, "stop"], check=False, capture_output=True, timeout=60)


def abort(server: Postfix) -> Callable[[], bool]:
    """Stop it at once, whatever it is doing; what is returned tells when its last process has heard of it."""
    master = int((server.folder / "queue" / "pid" / "master.pid").read_text())
    abort = ["/usr/sbin/postfix", "-c", str(server.folder / "etc"), "abort"]
    subprocess.run(abort, check=False, capture_output=True, timeout=60)
    return lambda: not any(_is_of(master, int(it.name)) for it in Path("/proc").glob("[0-9]*"))


def _is_of(group: int, pid: int) -> bool:
    """Whether a process is of this group and runs."""
    try:
        return os.getpgid(pid) == group and runs(pid)
    except ProcessLookupError:  # it has ended meanwhile
        return False


@dataclass(frozen=True)
class Answer:
    """What the client saw at the end of DATA (or at an earlier command that was refused)."""

    code: int
    text: str


@dataclass(frozen=True)
class Peer:
    """Who hands the message over, as Postfix is to see it (set by XCLIENT; without it, as it connects)."""

    helo: str
    address: str = "203.0.113.10"
    name: str = "[UNAVAILABLE]"


class Server(Protocol):
    """Any mail system that takes messages for example.org."""

    host: str
    port: int


def send(
    server: Server,
    peer: Peer,
    headers: str,
    *,
    recipient: str = "postmaster@example.org",
    source: str = "127.0.0.1",
) -> Answer:
    """Hand one message over and return the answer that decided on it."""
    with smtplib.SMTP(
        server.host, server.port, local_hostname=peer.helo, timeout=30, source_address=(source, 0)
    ) as client:
        if source == "127.0.0.1":
            client.ehlo()
            code, text = client.docmd("XCLIENT", f"ADDR={peer.address} NAME={peer.name}")
            assert code == 220, text
        client.ehlo()
        for command in (f"MAIL FROM:<probe@{peer.helo}>", f"RCPT TO:<{recipient}>"):
            code, text = client.docmd(command)
            if code != 250:
                return Answer(code, text.decode())
        message = headers.rstrip("\n") + "\n\nA message of the tests.\n"
        code, text = client.data(message.replace("\n", "\r\n").encode("latin-1"))
        return Answer(code, text.decode())
