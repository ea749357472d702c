"""The minutes of an hour in which a server is refused: the same on every node, foreseeable by nobody else.

A stage's minutes are one stretch per clock hour (UTC), block first, then throttle: a client that is blocked
and one that is throttled meet one closed door, and what is queued after a 450 goes through as it opens.
Its place is drawn by a keyed hash of the server and the hour, so that nodes need not talk to agree, and
a sender cannot plan round it.
"""

from hashlib import blake2b

from msgspec import Struct

from wehr.policy.types import Action, ServerKey

HOUR = 3600


class Window(Struct, frozen=True, gc=False):
    """The stretch of one hour: blocked from ``start``, throttled from ``turn``, open again from ``end``.

    Whole minutes, in UTC seconds since 1970; empty (all equal) where the stage refuses nothing.
    """

    start: int
    turn: int
    end: int

    def at(self, now: float) -> Action:
        """What the window says at ``now``."""
        if self.start <= now < self.turn:
            return Action.BLOCK
        if self.turn <= now < self.end:
            return Action.THROTTLE
        return Action.ACCEPT


def window(key: bytes, server: ServerKey, hour: int, throttle: int, block: int) -> Window:
    """The stretch of ``block`` and then ``throttle`` minutes in the hour ``hour`` (hours since 1970).

    Every place in which the stretch lies wholly inside the hour is equally likely. ``key`` is a secret of the
    installation, 16 to 64 bytes, the same on all its nodes.
    """
    places = 61 - throttle - block
    # Lengths go first, so that no two servers give the same text whatever characters their names hold.
    text = f"{hour} {len(server.tenant)} {len(server.name)} {server.tenant}{server.name}{server.network}"
    digest = blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8, key=key, person=b"wehr window")
    start = hour * HOUR + int.from_bytes(digest.digest(), "big") % places * 60
    turn = start + block * 60
    return Window(start, turn, turn + throttle * 60)
