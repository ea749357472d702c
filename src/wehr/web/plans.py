"""What another policy would change, before it is in force."""

import time
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from wehr.catalogue.facts import Product
from wehr.ledger import Store
from wehr.ledger.listing import ServerQuery
from wehr.ledger.planning import Touched, compare, counted, planned_basis, touched
from wehr.ledger.report import Basis
from wehr.ledger.rows import ServerRow
from wehr.ledger.selecting import rows_of
from wehr.ledger.state import DAY
from wehr.policy import Mode, Policy
from wehr.policy.compliance import Floor
from wehr.policy.phrases import Phrase
from wehr.policy.selection import Wave
from wehr.web.languages import N_
from wehr.web.visit import Visit

_MOST: Final = 2000
"""Servers that are played through at most while somebody waits; `wehr announce` takes all."""
_SECONDS: Final = 5.0
"""So long somebody waits at most."""
_BREATH: Final = 0.0002
"""Seconds between two servers, in which messages are answered."""
_DAYS: Final = 120
_WEEK: Final = 7
_LONGEST_GRACE: Final = 3650
_MODES: Final = tuple(Mode)


class BadPlan(ValueError):
    """A plan that cannot be: the text says what to write, and of which field.

    Args:
        field: its name in the form; empty if it is all of them together.
        told: marked for translation.
    """

    def __init__(self, field: str, told: Phrase) -> None:
        super().__init__(told)
        self.field = field
        self.told = told


class WhatIf(Struct, frozen=True):
    """What a plan would change within the days that are looked ahead."""

    found: Sequence[Touched]
    harsher: int
    milder: int
    days: int
    messages: int
    """Messages that came from these servers on the last seven UTC days, today among them."""
    looked_at: int
    left_out: int


async def play(visit: Visit, planned: Policy) -> WhatIf:
    """What a plan would change for the servers that the visitor may see."""
    listing = await visit.house.listing()
    asked = ServerQuery(tenants=visit.visitor.tenants, silent=False)
    lines = await visit.house.work(lambda: listing.find(asked))
    refs = [line.ref for line in lines if line.direct and line.build]
    rows = await visit.house.ask(lambda store: rows_of(store, refs[:_MOST]))
    basis = visit.house.basis([row.key for row in rows])
    found, looked_at = await visit.house.work_long(lambda: _played(rows, basis, planned))
    messages = await visit.house.ask(lambda store: _lately(store, found, basis.now))
    harsher, milder = counted(found)
    return WhatIf(found, harsher, milder, _DAYS, messages, looked_at, len(refs) - looked_at)


def _played(rows: Sequence[ServerRow], basis: Basis, planned: Policy) -> tuple[list[Touched], int]:
    """The servers that it touches, and how many were looked at in the time there is."""
    then, end = planned_basis(basis, planned), time.monotonic() + _SECONDS
    found: list[Touched] = []
    looked_at = 0
    for row in rows:
        found += touched([row], basis, then, _DAYS)
        looked_at += 1
        if time.monotonic() > end:
            break
        time.sleep(_BREATH)
    return sorted(found, key=lambda it: (it.first_day, it.server)), looked_at


def _lately(store: Store, found: Sequence[Touched], now: float) -> int:
    sums = store.sums(refs=[it.reference for it in found], since_day=int(now // DAY) - _WEEK + 1)
    return sum(it.messages for it in sums)


def plan(policy: Policy, asked: Mapping[str, str], products: Sequence[Product]) -> Policy:
    """The policy with what was asked for in the form; ``products`` are those there are.

    Raises:
        BadPlan: a value cannot be, one is missing, or all is as it is now.
    """
    given = {name: value.strip() for name, value in asked.items() if value.strip()}
    rules = policy.compliance
    if (grace := given.get("grace_days")) is not None:
        rules = replace(rules, grace_days=_grace(grace))
    if floor := _floor(given):
        required = rules.require if "floor" in rules.require else (*rules.require, "floor")
        rules = replace(rules, floors=(*rules.floors, floor), require=required)
    planned = replace(
        policy,
        mode=_mode(given.get("mode", policy.mode)),
        ladder=_ladder(given.get("ladder", policy.ladder), policy.ladder_names),
        compliance=rules,
        waves=(*policy.waves, *_waves(given, products)),
    )
    if not compare(policy, planned):
        raise BadPlan("", Phrase(N_("That is as it is now: change something.")))
    return planned


def _mode(name: str) -> Mode:
    if name not in _MODES:
        raise _none_of("mode", N_("There is no mode %(name)s; write one of: %(names)s."), name, _MODES)
    return Mode(name)


def _ladder(name: str, names: Sequence[str]) -> str:
    if name not in names:
        raise _none_of("ladder", N_("There is no ladder %(name)s; write one of: %(names)s."), name, names)
    return name


def _none_of(field: str, text: str, name: str, names: Iterable[str]) -> BadPlan:
    return BadPlan(field, Phrase(text, {"name": name[:100], "names": ", ".join(names)}))


def _grace(days: str) -> int:
    if not (days.isascii() and days.isdecimal() and len(days) <= 4 and int(days) <= _LONGEST_GRACE):
        raise BadPlan("grace_days", Phrase(N_("Days of grace: write a whole number from 0 to 3650.")))
    return int(days)


def _floor(given: Mapping[str, str]) -> Floor | None:
    builds, least, since = (given.get(f"floor_{name}", "") for name in ("builds", "least", "since"))
    if not (builds or least or since):
        return None
    try:
        Floor(builds, date.max)
    except ValueError:
        text = N_("Builds of a floor: write the first numbers of a build, such as 15.2.1544.")
        raise BadPlan("floor_builds", Phrase(text)) from None
    day = _day("floor_since", since, N_("Day of a floor: write from when it is in force, as 2026-12-31."))
    try:
        return Floor(builds, day, least)
    except ValueError:
        text = N_("Least accepted: write a whole build, such as 15.2.1544.14, or nothing if none is.")
        raise BadPlan("floor_least", Phrase(text)) from None


def _waves(given: Mapping[str, str], products: Sequence[Product]) -> tuple[Wave, ...]:
    name, since = given.get("wave_product", ""), given.get("wave_since", "")
    if not (name or since):
        return ()
    if not name:
        text = N_("Product of a wave: write which comes into scope.")
        raise BadPlan("wave_product", Phrase(text))
    product = next((it for it in products if it.name == name), None)
    if product is None:
        text = N_("There is no product %(name)s; write one of: %(names)s.")
        raise _none_of("wave_product", text, name, (it.name for it in products))
    text = N_("Day of a wave: write from when the product is in scope, as 2026-12-31.")
    return (Wave(product.software, (name,), since=_day("wave_since", since, text)),)


def _day(field: str, text: str, otherwise: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise BadPlan(field, Phrase(otherwise)) from None
