"""What operators do: a page says what will happen and asks for the reason; confirming it there does it.

One way for all deeds. Asking (GET) changes nothing. Confirming (POST) plans the deed anew: what would not
happen as it was said is said again, not done; so a deed that is confirmed twice is done once.
"""

import re
import secrets
from collections.abc import Mapping
from typing import Final

from starlette.exceptions import HTTPException
from starlette.responses import RedirectResponse, Response

from wehr.web import holding, writing
from wehr.web.deed import Deed, Impossible, Plan
from wehr.web.languages import N_
from wehr.web.visit import Need, Page, Visit

_MOST: Final = 1000
_ONCE: Final = re.compile("[0-9a-f]{8}")

DEEDS: Final[Mapping[str, Deed]] = {
    "pause": Deed(holding.pause, N_("The pause is noted, and in force on every node within seconds.")),
    "extend": Deed(holding.extend, N_("The pause is longer now.")),
    "end-pause": Deed(holding.end_pause, N_("The pause has ended; every node knows within seconds.")),
    "exempt": Deed(holding.exempt, N_("The exemption is noted, and in force on every node within seconds.")),
    "end-exemption": Deed(
        holding.end_exemption, N_("The exemption has ended; every node knows within seconds.")
    ),
    "write": Deed(writing.write, N_("The message is in the outbox, and is sent from there.")),
}
"""By their names in addresses."""


def told(visit: Visit) -> str:
    """What to say on a page after a deed that led to it; empty if none did."""
    deed = DEEDS.get(visit.query.get("done", ""))
    return deed.done if deed else ""


async def _ask(visit: Visit) -> Response:
    deed, once = _deed_of(visit), secrets.token_hex(4)
    try:
        return await _page(visit, await deed.plan(visit, once), once=once)
    except Impossible as error:
        return await _refusal(visit, error)


async def _do(visit: Visit) -> Response:
    deed, form = _deed_of(visit), await visit.form()
    once, why = form.get("once", ""), form.get("why", "").strip()
    if not _ONCE.fullmatch(once):
        raise HTTPException(400)
    try:
        plan = await deed.plan(visit, once)
        if not why or len(why) > _MOST:
            wrong = N_("Give a reason, of 1000 characters at most.")
            return await _page(visit, plan, why=why[:_MOST], once=once, error=wrong, status=400)
        if form.get("seen") == plan.seen and await _is_done(visit, plan, why):
            return RedirectResponse(f"{plan.back}?done={visit.path['deed']}", 303)
        plan = await deed.plan(visit, once)
    except Impossible as error:
        return await _refusal(visit, error)
    wrong = N_("Something has changed meanwhile. Look again.")
    return await _page(visit, plan, why=why, once=once, error=wrong, status=409)


async def _is_done(visit: Visit, plan: Plan, why: str) -> bool:
    by, now = visit.visitor.name, visit.house.now()
    try:
        await visit.house.ask(lambda store: plan.do(store, why=why, by=by, now=now))
    except ValueError:  # somebody else was quicker
        return False
    return True


def _deed_of(visit: Visit) -> Deed:
    deed = DEEDS.get(visit.path["deed"])
    if deed is None:
        raise HTTPException(404)
    return deed


async def _page(
    visit: Visit, plan: Plan, *, once: str, why: str = "", error: str = "", status: int = 200
) -> Response:
    return await visit.page("deed.html", status, plan=plan, why=why, once=once, error=error)


async def _refusal(visit: Visit, error: Impossible) -> Response:
    return await visit.page("deed_refused.html", error.status, refusal=error.phrase)


PAGES: Final = (
    Page("/deeds/{deed}", _ask, Need.OPERATE, "deed"),
    Page("/deeds/{deed}", _do, Need.OPERATE, "do-deed", ("POST",)),
)
