"""Why Wehr would not start with a configuration, as far as that shows before anything is opened."""

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from msgspec import Struct

from wehr.service.config import Config
from wehr.service.door_settings import Door
from wehr.service.doors import DOORS
from wehr.service.listeners import check_group
from wehr.service.outgoing import check_chats
from wehr.service.sign_on import provider_of
from wehr.service.smtp_tls import next_context, own_certificate
from wehr.service.state_folder import StartError


class Hindrance(Struct, frozen=True):
    """What would be said at the start, word for word."""

    text: str
    certain: bool
    """Whether for everybody: a file that is closed to this user may be open to the one Wehr runs as."""


def hindrances(config: Config, folder: Path) -> Iterator[Hindrance]:
    """All there are on this machine, ``folder`` being the state folder; files are read, nothing is made."""
    for look in _looks(config, folder):
        try:
            look()
        except StartError as error:
            yield Hindrance(str(error), certain=not isinstance(error.__context__, PermissionError))


def _looks(config: Config, folder: Path) -> Iterator[Callable[[], object]]:
    """Those of the start, and of what is opened only."""
    yield partial(check_chats, config.notices)
    for name in DOORS:
        if isinstance(table := getattr(config, name), Door):
            yield partial(check_group, name, table)
    if config.smtp.listen:
        yield partial(own_certificate, config.smtp)
        yield partial(next_context, config.smtp)
    if config.web.listen:
        yield partial(provider_of, config.web, folder)
