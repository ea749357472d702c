"""A node that delivers what is in an outbox, as a process that a test kills: ``notice_node.py URL PORT``.

With a third argument it kills itself at that step: steps are counted before and after each transaction of the
outbox, and before and after each write to the SMTP connection.
"""

import asyncio
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from aiosmtplib.protocol import SMTPProtocol

from wehr.ledger import open_store
from wehr.ledger.outbox import Kind, Outbox, State
from wehr.notices.courier import Courier
from wehr.notices.settings import Notices, Submission

LEASE = 3.0
BASE = 1_763_028_000.0
"""Three days after the start of the stories."""
_LEFT = (State.WAITING, State.HANDING_OVER)


def clock() -> float:
    """The same in all processes of the machine, and in the story some days after the start."""
    return BASE + time.monotonic()


class Fuse:
    """Kills this process at a step."""

    def __init__(self, at: int) -> None:
        self._at = at
        self._step = 0

    def burn(self) -> None:
        """One step."""
        self._step += 1
        if self._step == self._at:
            os.kill(os.getpid(), signal.SIGKILL)

    def around(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """The function with a step before and one after it."""

        def burning(*args: Any, **kwargs: Any) -> Any:
            self.burn()
            result = function(*args, **kwargs)
            self.burn()
            return result

        return burning


async def deliver(url: str, port: int, node: str, later: float = 0.0) -> None:
    """Deliver until nothing is left, not even what others hold; with a clock that is so much later."""

    def now() -> float:
        return clock() + later

    submission = Submission(host="127.0.0.1", port=port, tls="none", timeout=30)
    settings = Notices(sender="postmaster@receiver.test", per_hour=10_000, submission=submission)
    with open_store(url, create=False) as store:
        outbox = Outbox(store)
        courier = Courier(outbox, settings, Path("/nowhere"), node=node, clock=now, lease=LEASE)
        while outbox.items(kind=Kind.NOTICE, states=_LEFT, limit=1):
            outbox.sweep(now())
            if await courier.deliver_next() is None:
                await asyncio.sleep(0.05)


def main() -> None:
    """Run as told."""
    url, port, *at = sys.argv[1:]
    fuse = Fuse(int(at[0]) if at else 0)
    for name in ("claim", "hand_over", "finish"):
        setattr(Outbox, name, fuse.around(getattr(Outbox, name)))
    SMTPProtocol.write = fuse.around(SMTPProtocol.write)  # type: ignore[method-assign]
    asyncio.run(deliver(url, int(port), f"node-{os.getpid()}"))


if __name__ == "__main__":
    main()
