"""The policy in words and pictures, and what another one would change before it is in force."""

import time
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Final

from msgspec import Struct
from msgspec.structs import replace
from starlette.responses import Response

from wehr.ledger import Store
from wehr.ledger.listing import ServerQuery
from wehr.ledger.memory import reference
from wehr.ledger.planning import Touched, compare, planned_basis, touched
from wehr.ledger.report import Basis
from wehr.ledger.rows import ServerRow
from wehr.ledger.selecting import rows_of
from wehr.ledger.state import DAY
from wehr.policy import Mode, Policy
from wehr.policy.compliance import MICROSOFT_FLOORS, Floor
from wehr.policy.pauses import Pause
from wehr.policy.phrases import Phrase
from wehr.policy.selection import Wave
from wehr.web.holding import days_left, tenants_of
from wehr.web.languages import N_
from wehr.web.pages import deeds
from wehr.web.visit import Need, Page, Visit

_MOST: Final = 2000
"""Servers that are played through at most while somebody waits; `wehr announce` takes all."""
_SECONDS: Final = 5.0
"""So long somebody waits at most."""
_BREATH: Final = 0.0002
"""Seconds between two servers, in which messages are answered."""
_DAYS: Final = 120
_WEEK: Final = 7

RULES: Final[Mapping[str, str]] = {
    "supported": N_("The product and its branch get security updates."),
    "current": N_("No security update has been missing for longer than the days of grace."),
    "floor": N_("The build is at or above the least that is accepted of its branch."),
    "not-exploited": N_("It has no hole that is known to be exploited and has a fix."),
}
MODES: Final[Mapping[str, str]] = {
    Mode.OFF: N_("nothing is judged"),
    Mode.REPORT: N_("nothing is refused; what would be is recorded"),
    Mode.SIMULATE: N_("nothing is refused; what would be is recorded and logged"),
    Mode.ENFORCE: N_("mail is refused as the ladder says"),
}


class WhatIf(Struct, frozen=True):
    """What a plan would change."""

    found: Sequence[Touched]
    messages: int
    """Messages of the last seven days that came from these servers."""
    looked_at: int
    left_out: int


async def _policy(visit: Visit) -> Response:
    return await _show(visit)


async def _show(visit: Visit, error: str = "", result: WhatIf | None = None, status: int = 200) -> Response:
    present = visit.house.present
    policy = present.policy
    names = dict.fromkeys((policy.ladder, *(rule.use for rule in policy.ladder_rules)))
    floors = policy.compliance.floors
    if policy.compliance.preset == "exchange-online":
        floors = (*floors, *MICROSOFT_FLOORS)
    known, secret = await visit.house.ask(lambda store: (store.pauses(), store.secret))
    now = visit.house.now()
    return await visit.page(
        "policy.html",
        status,
        policy=policy,
        tenants=[it for it in policy.tenants if visit.visitor.sees(it.name)],
        connectors=[it for it in policy.connectors if visit.visitor.sees(it.tenant)],
        rules=RULES,
        modes=MODES,
        ladders=[policy.named_ladder(name) for name in names],
        floors=floors,
        products=[product.name for product in present.catalogue.products],
        given=visit.query,
        error=error,
        done=deeds.told(visit),
        pauses=_open(visit, known, secret, now),
        quota={name: days_left(visit, known, name) for name in tenants_of(visit)},
        now=now,
        result=result,
        days=_DAYS,
    )


def _open(visit: Visit, known: Sequence[Pause], secret: bytes, now: float) -> list[tuple[Pause, str]]:
    """The pauses that have not ended, each with its server's reference, or none."""
    return [
        (it, reference(it.server, secret) if it.server else "")
        for it in known
        if it.cancelled is None and it.end > now and visit.visitor.sees(it.tenant)
    ]


async def _what_if(visit: Visit) -> Response:
    policy = visit.house.present.policy
    try:
        planned = plan(policy, visit.query)
    except (ValueError, KeyError) as error:
        return await _show(visit, _wrong(error), status=400)
    if not compare(policy, planned):
        return await _show(visit, Phrase(N_("That is as it is now: change something.")), status=400)
    return await _show(visit, result=await play(visit, planned))


def _wrong(error: Exception) -> Phrase:
    """What is said of an error of `plan`."""
    told = error.args[0] if error.args else None
    if isinstance(told, Phrase):
        return told
    return Phrase(
        N_("A value cannot be. Builds are written as 15.2.1544.14, and days of grace are 0 to 3650.")
    )


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
    return WhatIf(found, messages, looked_at, len(refs) - looked_at)


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
    sums = store.sums(refs=[it.reference for it in found], since_day=int(now // DAY) - _WEEK)
    return sum(it.messages for it in sums)


def plan(policy: Policy, asked: Mapping[str, str]) -> Policy:
    """The policy with what was asked for in the form.

    Raises:
        ValueError: a value cannot be.
        KeyError: there is no such ladder.
    """
    given = {name: value.strip() for name, value in asked.items() if value.strip()}
    planned = policy
    if mode := given.get("mode"):
        planned = replace(planned, mode=Mode(mode))
    if ladder := given.get("ladder"):
        policy.named_ladder(ladder)
        planned = replace(planned, ladder=ladder)
    if grace := given.get("grace_days"):
        days = int(grace)
        if not 0 <= days <= 3650:
            raise ValueError("grace_days: 0 to 3650")
        planned = replace(planned, compliance=replace(planned.compliance, grace_days=days))
    if builds := given.get("floor_builds"):
        floor = Floor(builds, _day(given.get("floor_since", "")), given.get("floor_least", ""))
        rules = planned.compliance
        required = rules.require if "floor" in rules.require else (*rules.require, "floor")
        planned = replace(planned, compliance=replace(rules, floors=(*rules.floors, floor), require=required))
    if product := given.get("wave_product"):
        wave = Wave(products=(product,), since=_day(given.get("wave_since", "")))
        planned = replace(planned, waves=(*planned.waves, wave))
    return planned


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise ValueError(Phrase(N_("%(day)s is no day: write YYYY-MM-DD"), {"day": repr(text)})) from None


PAGES: Final = (
    Page("/policy", _policy, Need.READ, "policy", menu=N_("Policy")),
    Page("/policy/what-if", _what_if, Need.READ, "what_if"),
)
