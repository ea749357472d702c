"""What the service knows of its post without having it: whether it can start, and how it stands."""

from importlib.util import find_spec

from msgspec import Struct

from wehr.ledger.outbox import State
from wehr.notices.settings import Notices
from wehr.service.state_folder import StartError


class Outgoing(Struct):
    """How the outbox of the whole fleet stood at the post's last look. Its thread writes, others read."""

    waiting: dict[State, int] = {}
    """Rows that have not come to an end."""
    stopped: bool = False
    """Whether the kill switch is thrown."""


def check_chats(settings: Notices) -> None:
    """See that what chats need is there.

    Raises:
        StartError: chats are configured, and the extra is not installed.
    """
    if settings.chats and find_spec("apprise") is None:
        raise StartError(
            "notices.chats needs the library apprise: install Wehr with its extra 'chat', "
            "or take notices.chats away"
        )
