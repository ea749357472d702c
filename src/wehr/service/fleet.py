"""The servers that `wehr demo --web` shows: of all products, in all stages, with all that may happen."""

from typing import Final

import msgspec

from wehr.policy import Policy
from wehr.service.demonstration import Actor, Cast

_NEW: Final = "15.2.2562.53"
_TROUBLED: Final = (
    # Name, build, first day, hours between messages: never patched, so each stands where its days have led.
    ("ex01.bakery.example", "15.1.2507.16", 0, 2),
    ("mail.brewery.example", "8.3.485.1", 0, 12),
    ("ex.carpenter.example", "15.0.1497.48", 2, 6),
    ("exchange.court.example", "14.3.513.0", 6, 4),
    ("ex02.dairy.example", "15.1.2507.44", 12, 8),
    ("mail.ferry.example", "15.2.1118.7", 16, 3),
    ("mx.forester.example", "15.1.2044.4", 19, 12),
    ("ex1.foundry.example", "15.2.1544.11", 24, 6),
    ("mail.garden.example", "15.0.1473.4", 29, 12),
    ("ex01.harbour.example", "15.1.2507.58", 33, 2),
    ("ex.hotel.example", "15.2.1258.12", 38, 4),
    ("mail.laundry.example", "15.1.2375.32", 42, 8),
    ("ex01.lighthouse.example", "15.1.2507.6", 46, 24),
    ("ex.market.example", "14.3.496.0", 51, 6),
    ("mail.mill.example", "15.2.1748.10", 55, 3),
    ("ex01.notary.example", "15.1.2507.61", 59, 6),
    ("ex.nursery.example", "15.2.986.5", 63, 12),
    ("mail.observatory.example", "15.1.1913.5", 66, 8),
    ("ex01.opera.example", "15.2.1544.4", 69, 4),
    ("ex.orchard.example", "15.0.1497.2", 73, 12),
    ("mail.pharmacy.example", "15.1.2507.39", 78, 3),
    ("ex01.pottery.example", "15.2.1258.28", 83, 8),
    ("ex.printer.example", "15.1.2507.55", 88, 6),
    ("mail.quarry.example", "8.3.517.0", 92, 12),
    ("ex01.railway.example", "15.2.1748.24", 96, 4),
    ("ex.tannery.example", "15.1.2507.44", 98, 6),
)
_CURED: Final = (
    # Name, build before, first day, day of the update, build after.
    ("mail.clinic.example", "15.2.1118.7", 0, 45, _NEW),
    ("ex01.college.example", "15.1.2507.35", 5, 38, _NEW),
    ("ex.insurance.example", "15.2.1544.11", 10, 71, _NEW),
    ("mail.theatre.example", "15.2.1258.34", 20, 60, "15.2.1748.53"),
    ("ex01.vineyard.example", "15.1.2507.44", 30, 97, _NEW),
    ("ex.workshop.example", "15.2.1748.39", 40, 90, _NEW),
)
_GOOD: Final = ("library", "savings-bank", "shipyard", "stadium", "tramway", "waterworks", "weaver", "zoo")


def _address(number: int) -> str:
    """One in a network of its own, every third of them IPv6 (RFC 3849; the others RFC 2544)."""
    return f"2001:db8:{number:x}::25" if number % 3 == 2 else f"198.18.{number}.25"


def _actors() -> tuple[Actor, ...]:
    stories: list[Actor] = []

    def add(story: str, *shows: tuple[int, str, str], every: int = 6, **more: object) -> None:
        address = _address(len(stories))
        stories.append(msgspec.structs.replace(Actor(story, address, shows, every), **more))

    for name, build, first, every in _TROUBLED:
        add("never patched", (first, name, build), every=every)
    for name, old, first, update, new in _CURED:
        add("patched", (first, name, old), (update, name, new))
    for number, place in enumerate(_GOOD):
        add("up to date", (number * 3, f"ex01.{place}.example", _NEW), every=2 + number)
    add("paused", (0, "ex.school.example", "15.0.1497.48"))
    add("exempt", (4, "ex01.hospital.example", "15.1.2507.27"), every=1)
    add("renamed", (0, "srv01.museum.example", "14.3.513.0"), (40, "srv02.museum.example", "14.3.513.0"))
    twins = ("15.2.1544.11", _NEW)
    add("mixed", *((day, "mail.twins.example", twins[day % 2]) for day in range(50, 400)))
    add("silent", (0, "old.surveyor.example", "14.3.496.0"), last=60)
    add("behind a relay", (0, "ex01.chemist.example", "15.1.2507.16"), relay="relay.chemist.example")
    add("behind a relay", (9, "ex.goldsmith.example", "15.0.1497.48"), relay="out.goldsmith.example")
    add("an internal name", (8, "EX01.corp.local", "15.1.2507.39"), client="mail.seafood.example")
    add("an internal name", (35, "SRV-EXCH.firm.lan", "15.2.1544.27"), client="gate.tailor.example")
    add("another software", (0, "mail.gazette.example", "4.94.2"), software="exim")
    add("another software", (0, "shell.institute.example", "4.99.5"), software="exim")
    add("another software", (0, "mx.academy.example", "8.15.2"), software="sendmail")
    for day, name, build in (
        (3, "ex01.physics.example", "15.1.2507.37"),
        (50, "ex.botany.example", "15.2.1748.24"),
        (1, "ex02.registry.example", _NEW),
    ):
        add("only reported", (day, name, build), tenant="university")
    return tuple(stories)


FLEET: Final = Cast(
    _actors(),
    msgspec.convert(
        {
            "mode": "enforce",
            "tenants": [{"name": "university", "domains": ["uni.example.org"], "mode": "report"}],
            "ladder_rules": [{"use": "urgent", "exploited": True, "products": ["Exchange Server 2010"]}],
        },
        Policy,
    ),
    pauses=(("ex.school.example", 75, 40, "summer holidays"), ("ex01.notary.example", 85, 7, "moving house")),
    exemptions=(("ex01.hospital.example", 30, "replaced before the end of the year"),),
    domains={"university": "uni.example.org"},
)
"""About sixty servers over a hundred days."""
