"""``wehr serve``: start the doors and take mail, in the foreground."""

import asyncio
import os
import shlex
import shutil
import signal
import sys
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from socket import socket as Socket  # noqa: N812 - a parameter is called socket

import msgspec
import rich_click as click
import structlog
from msgspec import Struct

from wehr.cli.config import file_option, read
from wehr.cli.output import BadUse
from wehr.ledger import LedgerError, open_store
from wehr.service import systemd
from wehr.service.config import Config, find
from wehr.service.descriptors import allow_connections
from wehr.service.door_settings import split_address
from wehr.service.listeners import Listeners
from wehr.service.logs import configure
from wehr.service.service import Service
from wehr.service.state_folder import StartError, StateFolder, default_state
from wehr.service.workers import READY, CannotStart, Supervisor, watch_supervisor

log = structlog.get_logger()

state_option = click.option(
    "--state",
    type=click.Path(path_type=Path, readable=False),
    help="State folder; without it $STATE_DIRECTORY, $XDG_STATE_HOME/wehr or ~/.local/state/wehr.",
)


@click.command("serve")
@file_option
@state_option
@click.option(
    "--listen", multiple=True, metavar="HOST:PORT", help="Milter address in place of the configured."
)
@click.option("--socket", metavar="PATH", help="Milter socket in place of the configured; '' for none.")
@click.option(
    "--web", metavar="HOST:PORT", help="Address of the pages in place of the configured; '' for none."
)
@click.option("--sink", metavar="HOST:PORT", help="Take mail here, judge it, and drop it: to try Wehr out.")
@click.option("--workers", type=click.IntRange(1, 256), help="Processes that take mail, as configured.")
@click.option("--worker", type=int, hidden=True, help="The number of this worker, under a supervisor.")
@click.option("--among", type=int, hidden=True, help="How many workers it has.")
@click.option("--inherited", hidden=True, help="What it inherits: the folder's lock, and the sockets.")
def command(
    file: Path | None,
    state: Path | None,
    listen: tuple[str, ...],
    socket: str | None,
    web: str | None,
    sink: str | None,
    workers: int | None,
    worker: int | None,
    among: int | None,
    inherited: str | None,
) -> None:
    """Start the doors and take mail, in the foreground.

    Ends with exit code 2 and one line if it cannot start. SIGINT and SIGTERM end it in order.
    """

    def configured() -> Config:
        return _with_sink(_override(read(file), listen, socket, web, workers), sink)

    config = configured()
    configure(config.log)
    path = (state or default_state()).absolute()
    try:
        if worker is not None and inherited is not None:
            lock, role = _inherit(worker, inherited)
            config = msgspec.structs.replace(config, workers=among or config.workers)
            with StateFolder(path, lock) as folder:
                _run(_serve(config, folder, configured, file, role))
            return
        with StateFolder(path) as folder:
            if config.workers == 1:
                _run(_serve(config, folder, configured, file))
                return
            with Listeners(config, folder.path) as listeners:
                _run(_supervise(config, folder, listeners, file, workers))
    except CannotStart:
        sys.exit(2)
    except StartError as error:
        raise BadUse(str(error)) from None


class Worker(Struct, frozen=True):
    """What a process is under a supervisor."""

    number: int = 1
    sockets: dict[str, list[Socket]] | None = None
    """By the door's name; None without a supervisor."""


def _inherit(number: int, inherited: str) -> tuple[int, Worker]:
    """The descriptor of the folder's lock, and what this worker is, from ``LOCK,DOOR=DESCRIPTOR,...``."""
    os.environ.pop("NOTIFY_SOCKET", None)  # the supervisor speaks for all of them
    lock, *doors = inherited.split(",")
    sockets: dict[str, list[Socket]] = {}
    for door in doors:
        name, _, descriptor = door.partition("=")
        sockets.setdefault(name, []).append(Socket(fileno=int(descriptor)))
    return int(lock), Worker(number, sockets)


def _override(
    config: Config, listen: tuple[str, ...], socket: str | None, web: str | None, workers: int | None
) -> Config:
    milter, pages = config.milter, config.web
    for option, addresses in (("--listen", listen), ("--web", (web,) if web else ())):
        for address in addresses:
            try:
                split_address(address)
            except ValueError as error:
                raise BadUse(f"{option}: {error}") from None
    if listen:
        milter = msgspec.structs.replace(milter, listen=listen)
    if socket is not None:
        milter = msgspec.structs.replace(milter, socket=str(Path(socket).absolute()) if socket else "")
    if web is not None:
        pages = msgspec.structs.replace(pages, listen=(web,) if web else ())
    return msgspec.structs.replace(config, milter=milter, web=pages, workers=workers or config.workers)


def _with_sink(config: Config, address: str | None) -> Config:
    if address is None:
        return config
    try:
        split_address(address)
    except ValueError as error:
        raise BadUse(f"--sink: {error}") from None
    sink = msgspec.structs.replace(config.sink, listen=(address,))
    return msgspec.structs.replace(config, sink=sink)


def _run(serving: Coroutine[None, None, None]) -> None:
    """Serve until a signal comes; on uvloop where it exists, for it halves the cost of a message."""
    try:
        from uvloop import new_event_loop
    except ImportError:
        from asyncio import new_event_loop  # type: ignore[assignment]
    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        runner.run(serving)


async def _supervise(
    config: Config, folder: StateFolder, listeners: Listeners, file: Path | None, workers: int | None
) -> None:
    """Have workers serve, each by this very program; ``workers`` are those on the command line."""
    doors = [(name, it.fileno()) for name, sockets in listeners.sockets.items() for it in sockets]
    inherited = ",".join((str(folder.descriptor), *(f"{name}={number}" for name, number in doors)))
    name = file or find()

    def worker(number: int) -> list[str]:
        return [
            *(sys.executable, "-m", "wehr", "serve", "--state", str(folder.path)),
            *(("--config", str(name)) if name else ()),
            *(("--workers", str(workers)) if workers else ()),
            *("--worker", str(number), "--among", str(config.workers), "--inherited", inherited),
        ]

    def ready() -> None:
        click.echo(_welcome(config, folder, file, listeners.addresses, listeners.pages))
        systemd.tell(systemd.READY)

    alive = asyncio.create_task(systemd.keep_alive())
    try:
        await Supervisor(config.workers, worker, [folder.descriptor, *(number for _, number in doors)]).run(
            ready
        )
    finally:
        alive.cancel()


async def _serve(
    config: Config,
    folder: StateFolder,
    configured: Callable[[], Config],
    file: Path | None,
    role: Worker | None = None,
) -> None:
    role = role or Worker()
    service = Service(config, folder, worker=role.number, sockets=role.sockets)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    reloads: set[asyncio.Task[None]] = set()

    def reload() -> None:
        task = loop.create_task(_reload(service, configured))
        reloads.add(task)
        task.add_done_callback(reloads.discard)

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    # Before the service is up a hangup changes nothing, and must not end the process.
    loop.add_signal_handler(signal.SIGHUP, lambda: None)
    if role.sockets is not None:
        watch_supervisor(stop.set)
    allow_connections(config)
    await service.start()
    loop.add_signal_handler(signal.SIGHUP, reload)
    alive = loop.create_task(systemd.keep_alive())
    try:
        inherited = role.sockets is not None
        click.echo(
            READY.decode().strip()
            if inherited
            else _welcome(config, folder, file, service.addresses, service.pages)
        )
        systemd.tell(systemd.READY)
        await stop.wait()
    finally:
        systemd.tell(systemd.STOPPING)
        alive.cancel()
        await service.stop()


async def _reload(service: Service, configured: Callable[[], Config]) -> None:
    """Take the configuration file as it is now; if it cannot be used, go on with what is in force."""
    systemd.tell(systemd.reloading())
    try:
        fixed = await service.reload(configured())
    except (BadUse, StartError) as error:
        log.warning("configuration not reloaded, the old one stays in force", error=str(error))
        return
    finally:
        systemd.tell(systemd.READY)
    log.info("configuration reloaded", mode=service.config.policy.mode)
    if fixed:
        log.warning("some changes need a restart", tables=", ".join(fixed))


def _welcome(
    config: Config, folder: StateFolder, file: Path | None, addresses: list[str], pages: list[str]
) -> str:
    """What an administrator needs next: the very lines for the mail system."""
    named = ("--config", str(file.absolute())) if file else ()
    report = shlex.join((_program(), "report", *named, "--state", str(folder.path)))
    return "\n".join(
        (
            f"Wehr takes mail ({config.policy.mode} mode{_many(config)}). State: {folder.path}",
            *_for_postfix(addresses),
            f"Then '{report}' lists the out-of-date servers seen.",
            "Ctrl-C ends it.",
            *pages_lines(config, folder, pages),
            *(line for address in config.sink.listen for line in _trial(address)),
            "Ready.",
        )
    )


def _for_postfix(addresses: list[str]) -> list[str]:
    """What goes into its main.cf: one address, as `wehr setup` would take it; beside TCP the unix socket."""
    from wehr.service.mta.places import preferred, read

    found = [place for address in addresses if (place := read(address))]
    best = preferred(found)
    if best is None:
        return []
    lines = ["Put this line into Postfix's main.cf and run 'postfix reload':", _milters(best.postfix)]
    for place in found:
        if place.path and place != best:
            lines += ["or, for a Postfix that is not chrooted (Debian's is), a little quicker:"]
            lines += [_milters(place.postfix)]
    return lines


def _milters(address: str) -> str:
    return (
        f"smtpd_milters = {{ {address}, default_action=accept, "
        "connect_timeout=3s, command_timeout=3s, content_timeout=10s }"
    )


def _program() -> str:
    """What to type for this program: its path where no other way finds it, as in a fresh clone."""
    return sys.argv[0] if Path(sys.argv[0]).name == "wehr" and not shutil.which("wehr") else "wehr"


def _trial(address: str) -> list[str]:
    """How to see a 450 at the sink, with what everybody has."""
    host, port = split_address(address)
    stamp = (
        "Received: from ex01.example.com by ex01.example.com with Microsoft SMTP Server id 15.1.2507.16; "
        "Mon, 12 Oct 2026 09:00:00 +0000"
    )
    python = (
        f'from smtplib import SMTP; s = SMTP("{host}", {port}); s.ehlo(); '
        f's.mail("a@example.com"); s.rcpt("b@example.org"); print(s.data("{stamp}"))'
    )
    swaks = f"swaks --server {address} --from a@example.com --to b@example.org --add-header '{stamp}'"
    return [
        f"Sink: {address} takes mail from any client, refuses what comes from an out-of-date server,",
        "drops the rest, and records nothing. To see a 450:",
        f"  python3 -c '{python}'",
        f"or: {swaks}",
    ]


def pages_lines(config: Config, folder: StateFolder, pages: list[str]) -> list[str]:
    """Where the pages are, and, as long as nobody can log in, a link that lets the first one in."""
    if not pages:
        return []
    from wehr.web.access.accounts import INVITED_HOURS, Accounts

    home = config.web.url.rstrip("/") or pages[0].rstrip("/")
    try:
        with open_store(config.store.at(folder.path), create=False) as store:
            secret = Accounts(store).first(time.time())
    except LedgerError:
        secret = None  # the store is away; the log says so
    return [
        f"Pages: {home}/",
        *(
            [
                f"Become their administrator, once, within {INVITED_HOURS} hours:",
                f"{home}/invitation/{secret}",
            ]
            if secret
            else []
        ),
    ]


def _many(config: Config) -> str:
    return f", {config.workers} workers" if config.workers > 1 else ""
