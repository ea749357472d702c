"""What ``wehr doctor`` finds out: is Wehr well, do its doors answer, do the mail systems ask it."""

import os
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from wehr.catalogue import CatalogueError, load
from wehr.ledger import LedgerError, open_store
from wehr.service.config import Config
from wehr.service.door_probes import try_doors
from wehr.service.mta import exim, opensmtpd, postfix, sendmail
from wehr.service.mta.places import Doors
from wehr.service.mta.types import Finding, Level, NotThere, Unreadable
from wehr.service.probe_mail import Way, send
from wehr.service.state_folder import serving

Named = Mapping[str, Sequence[Path]]
"""The mail systems to look at, by the names of `SYSTEMS`: their configuration folders or files."""

Find = Callable[[Sequence[Path]], Sequence[Path]]
Look = Callable[[Path, Doors], Iterator[Finding]]

SYSTEMS: Final[Mapping[str, tuple[Find, Look]]] = {
    "postfix": (postfix.find, postfix.look),
    "sendmail": (sendmail.find, sendmail.look),
    "exim": (exim.find, exim.look),
    "opensmtpd": (opensmtpd.find, opensmtpd.look),
}
"""How each mail system's configurations are found, and looked at."""


def examine(
    config: Config, folder: Path, now: float, named: Named, way: Way | None = None
) -> Iterator[Finding]:
    """All findings, Wehr's own first.

    Args:
        config: what is configured; nothing that a running Wehr was started with otherwise.
        folder: its state folder.
        now: UTC seconds since 1970.
        named: the mail systems to look at; with none named, all that are found.
        way: the mail system that a probe is sent through; None: none.
    """
    yield from _examine_wehr(config, folder)
    secret = yield from _examine_store(config, folder)
    yield from _examine_catalogue(config, folder, now)
    yield from try_doors(config, folder, secret, now)
    yield from _examine_mail_systems(config, folder, named)
    if way is not None:
        yield send(way, secret, now)


def _examine_wehr(config: Config, folder: Path) -> Iterator[Finding]:
    process = serving(folder)
    if process is None:
        remedy = (
            "start it: wehr serve, or systemctl start wehr; or name its folder with --state, or run as root"
        )
        yield Finding(Level.WRONG, "Wehr", f"no running Wehr is seen in {folder}", remedy)
    else:
        yield Finding(Level.OK, "Wehr", f"runs as process {process} in {folder}")
    told = {
        "off": "judges nobody",
        "report": "refuses nobody",
        "simulate": "refuses nobody, and logs whom it would",
    }
    mode = str(config.policy.mode)
    yield Finding(Level.INFO, "Wehr", f"mode {mode}: {told.get(mode, 'refuses mail by the ladder')}")


def _examine_store(config: Config, folder: Path) -> Generator[Finding, None, bytes | None]:
    """Returns the fleet's secret, if the store can be read."""
    if not config.store.url and not os.access(folder / "wehr.sqlite", os.R_OK):
        yield Finding(Level.INFO, "store", f"there is none yet in {folder}, or this user cannot see it")
        return None
    try:
        with open_store(config.store.at(folder), create=False) as store:
            yield Finding(Level.OK, "store", f"can be read; {len(store.servers())} servers")
            return store.secret
    except LedgerError as error:
        yield Finding(Level.WRONG, "store", str(error), "run: wehr store check")
        return None


def _examine_catalogue(config: Config, folder: Path, now: float) -> Iterator[Finding]:
    try:
        catalogue = load(overlays=config.catalogue.files(folder))
    except (CatalogueError, OSError) as error:
        yield Finding(Level.WRONG, "catalogue", str(error), "mend or remove that file")
        return
    today = datetime.fromtimestamp(now, UTC).date()
    if today < catalogue.date:
        text = f"this machine's clock says {today}, and the catalogue is of {catalogue.date}"
        yield Finding(Level.WRONG, "clock", text, "run: timedatectl set-ntp true")
    elif catalogue.stale(today, timedelta(days=config.catalogue.stale_after)):
        text = f"of {catalogue.date}, {catalogue.age(today).days} days old: it can only be too mild"
        yield Finding(
            Level.ODD, "catalogue", text, "import a newer one: wehr catalogue import, or update Wehr"
        )
    else:
        yield Finding(Level.INFO, "catalogue", f"of {catalogue.date}, {catalogue.age(today).days} days old")


def _examine_mail_systems(config: Config, folder: Path, named: Named) -> Iterator[Finding]:
    doors = Doors.of(config, folder)
    chosen = {name: paths for name, paths in named.items() if paths}
    seen = False
    for name in chosen or SYSTEMS:
        find, look = SYSTEMS[name]
        try:
            found = find(chosen.get(name, ()))
        except Unreadable as error:
            seen = True
            yield Finding(Level.WRONG, "mail system", str(error))
            continue
        except NotThere as error:
            yield Finding(Level.INFO, "mail system", str(error))
            continue
        for path in found:
            seen = True
            try:
                yield from look(path, doors)
            except NotThere as error:
                bad = chosen or isinstance(error, Unreadable)
                yield Finding(Level.WRONG if bad else Level.INFO, "mail system", str(error))
    if not seen:
        text = "none found on this machine (looked for Postfix, Sendmail, Exim, OpenSMTPD)"
        yield Finding(Level.INFO, "mail system", text)


def well(findings: Sequence[Finding]) -> bool:
    """Whether nothing is wrong."""
    return all(finding.level is not Level.WRONG for finding in findings)
