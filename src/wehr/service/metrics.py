"""What a worker counts, for /metrics; workers leave their figures in the state folder for one another."""

import asyncio
import os
import resource
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from wehr.doors.door import Door
from wehr.web.measures import Family

if TYPE_CHECKING:
    from wehr.service.service import Service

_SECONDS: Final = 5.0
"""How often a worker leaves its figures for the others."""
_FRESH: Final = 60.0
"""Seconds for which they count: those of a worker that has ended do not."""
_PAGE: Final = os.sysconf("SC_PAGE_SIZE")

_OF_DOORS: Final[Mapping[str, str]] = {
    "connections": "Connections of mail systems.",
    "messages": "Questions of a door: each message, and each recipient asked about before its message.",
    "refused_4xx": "Questions that a door answered with a 450.",
    "refused_5xx": "Questions that a door answered with a 550.",
    "protocol_errors": "Connections closed because of what was sent.",
    "timeouts": "Connections closed because nothing was sent.",
    "overloads": "Connections turned away, or closed, because there were too many.",
    "gate_errors": "Messages accepted because of an error of Wehr's.",
    "next_hop_errors": "Times that the next hop of the SMTP door could not be reached, or broke off.",
}


class Metrics:
    """The figures of one worker, and of its fellows.

    Args:
        service: the worker.
        number: its number among the workers of the state folder.
    """

    def __init__(self, service: "Service", number: int) -> None:
        self._service = service
        self._number = str(number)
        self._folder = service.folder.path / "metrics"
        self._shares = service.config.workers > 1
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to leave the figures for the other workers, if there are any."""
        if self._shares:
            self._folder.mkdir(mode=0o700, exist_ok=True)
            self._task = asyncio.create_task(self._share())

    async def stop(self) -> None:
        """Take them away."""
        if self._task:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
            self._file(self._number).unlink(missing_ok=True)

    def families(self) -> tuple[Family, ...]:
        """This worker's figures as they are, and the other workers' as they left them."""
        found = [*self._own()]
        if self._shares:
            for file in sorted(self._folder.glob("*.json")):
                with suppress(OSError, msgspec.MsgspecError):  # its worker may just be ending
                    if file != self._file(self._number) and time.time() - file.stat().st_mtime < _FRESH:
                        found += msgspec.json.decode(file.read_bytes(), type=list[Family])
        return tuple(found)

    async def _share(self) -> None:
        file = self._file(self._number)
        while True:
            with suppress(OSError):  # a full disk: the figures of this worker are missing, and nothing else
                new = file.with_suffix(".new")
                new.write_bytes(msgspec.json.encode(list(self._own())))
                new.replace(file)
            await asyncio.sleep(_SECONDS)

    def _file(self, number: str) -> Path:
        return self._folder / f"{number}.json"

    def _own(self) -> Iterator[Family]:
        service = self._service
        node = service.node.figures()
        number = self._number

        def single(name: str, text: str, value: float, *, counter: bool = False) -> Family:
            return Family(name, text, counter, ("worker",), (((number,), float(value)),))

        counts = tuple(
            ((number, action.value, reason.value), float(count))
            for (action, reason), count in sorted(service.gate.counts.items())
        )
        yield Family(
            "wehr_messages",
            "Messages by what was answered and why.",
            True,
            ("worker", "action", "reason"),
            counts,
        )
        yield from _of_doors(service.doors, number)
        yield single("wehr_servers_known", "Servers in memory.", len(service.memory.ledger))
        yield single("wehr_store_away", "1 while the store cannot be used.", node.away)
        yield single("wehr_journal_bytes", "Bytes of the journal, carried in or not.", node.journal_bytes)
        yield single("wehr_carried", "Messages carried into the store.", node.carried, counter=True)
        yield single(
            "wehr_history_lost", "Messages of which only sums were kept.", node.condensed, counter=True
        )
        yield single(
            "wehr_doubt", "1 while nobody is refused, for want of certainty.", bool(service.memory.doubt)
        )
        yield from _of_the_process(number)
        yield from self._of_the_catalogue()
        yield from self._of_the_outbox()

    def _of_the_outbox(self) -> Iterator[Family]:
        outgoing, number = self._service.outgoing, self._number
        samples = tuple(((number, state.value), float(count)) for state, count in outgoing.waiting.items())
        text = "Notices, digests, webhooks and chats of the whole fleet that have not arrived."
        yield Family("wehr_outbox", text, False, ("worker", "state"), samples)
        thrown = (((number,), float(outgoing.stopped)),)
        yield Family("wehr_notices_stopped", "1 while the kill switch is thrown.", False, ("worker",), thrown)

    def _of_the_catalogue(self) -> Iterator[Family]:
        service, number = self._service, self._number
        catalogue = service.gate.setting.catalogue
        today = datetime.fromtimestamp(service.clock(), UTC).date()
        stale = catalogue.stale(today, timedelta(days=service.config.catalogue.stale_after))
        for name, text, value in (
            (
                "wehr_catalogue_age_days",
                "Days since the date of the catalogue.",
                (today - catalogue.date).days,
            ),
            ("wehr_catalogue_stale", "1 if the catalogue is older than stale_after.", stale),
        ):
            yield Family(name, text, False, ("worker",), (((number,), float(value)),))
        labels = (number, version("wehr"), service.gate.setting.policy.mode.value)
        yield Family("wehr_info", "Always 1.", False, ("worker", "version", "mode"), ((labels, 1.0),))


def _of_doors(doors: Mapping[str, Door], number: str) -> Iterator[Family]:
    names = sorted(doors)
    for field, text in _OF_DOORS.items():
        samples = tuple(((number, name), float(getattr(doors[name].counters, field))) for name in names)
        yield Family(f"wehr_door_{field}", text, True, ("worker", "door"), samples)
    opened = tuple(((number, name), float(len(doors[name].open))) for name in names)
    yield Family("wehr_door_open", "Connections that are open now.", False, ("worker", "door"), opened)


def _of_the_process(number: str) -> Iterator[Family]:
    used = resource.getrusage(resource.RUSAGE_SELF)
    label = (number,)
    yield Family(
        "wehr_cpu_seconds", "CPU time used.", True, ("worker",), ((label, used.ru_utime + used.ru_stime),)
    )
    pages = 0
    with suppress(OSError, ValueError, IndexError):
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    yield Family("wehr_memory_bytes", "Memory in use.", False, ("worker",), ((label, float(pages * _PAGE)),))
