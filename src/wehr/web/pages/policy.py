"""The policy in words and pictures, and what another one would change before it is in force."""

from collections.abc import Mapping, Sequence
from typing import Final

from starlette.responses import Response

from wehr.ledger.memory import reference
from wehr.policy import Mode
from wehr.policy.compliance import MICROSOFT_FLOORS, Floor, Rules
from wehr.policy.pauses import Pause
from wehr.policy.scope import Connector, Tenant
from wehr.web.holding import days_left, tenants_of
from wehr.web.languages import N_
from wehr.web.pages import deeds
from wehr.web.plans import BadPlan, WhatIf, plan, play
from wehr.web.visit import Need, Page, Visit

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


def floors_of(rules: Rules) -> tuple[Floor, ...]:
    """The floors that the rule goes by: one's own, and those of the preset."""
    return (*rules.floors, *(MICROSOFT_FLOORS if rules.preset == "exchange-online" else ()))


def own_tenants(visit: Visit) -> list[Tenant]:
    """The configured tenants that the visitor may see."""
    return [it for it in visit.house.present.policy.tenants if visit.visitor.sees(it.name)]


def connectors_of(visit: Visit) -> list[Connector]:
    """The ways in that the visitor may see."""
    return [it for it in visit.house.present.policy.connectors if visit.visitor.sees(it.tenant)]


async def _policy(visit: Visit) -> Response:
    return await _show(visit)


async def _show(visit: Visit, error: str = "", result: WhatIf | None = None, status: int = 200) -> Response:
    present = visit.house.present
    policy = present.policy
    names = dict.fromkeys((policy.ladder, *(rule.use for rule in policy.ladder_rules)))
    known, secret = await visit.house.ask(lambda store: (store.pauses(), store.secret))
    now = visit.house.now()
    return await visit.page(
        "policy.html",
        status,
        policy=policy,
        tenants=own_tenants(visit),
        connectors=connectors_of(visit),
        rules=RULES,
        modes=MODES,
        ladders=[policy.named_ladder(name) for name in names],
        floors=floors_of(policy.compliance),
        products=[product.name for product in present.catalogue.products],
        given=visit.query,
        error=error,
        done=deeds.told(visit),
        pauses=_open(visit, known, secret, now),
        quota={name: days_left(visit, known, name) for name in tenants_of(visit)},
        now=now,
        result=result,
    )


def _open(visit: Visit, known: Sequence[Pause], secret: bytes, now: float) -> list[tuple[Pause, str]]:
    """The pauses that have not ended, each with its server's reference, or none."""
    return [
        (it, reference(it.server, secret) if it.server else "")
        for it in known
        if it.cancelled is None and it.end > now and visit.visitor.sees(it.tenant)
    ]


async def _what_if(visit: Visit) -> Response:
    present = visit.house.present
    try:
        planned = plan(present.policy, visit.query, present.catalogue.products)
    except BadPlan as error:
        return await _show(visit, error.told, status=400)
    return await _show(visit, result=await play(visit, planned))


PAGES: Final = (
    Page("/policy", _policy, Need.READ, "policy", menu=N_("Policy")),
    Page("/policy/what-if", _what_if, Need.READ, "what_if"),
)
