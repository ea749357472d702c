"""Figures for Prometheus. No name of a server is in them."""

import ipaddress
from collections import Counter
from typing import Final

from starlette.exceptions import HTTPException
from starlette.responses import Response

from wehr.ledger import LedgerError
from wehr.ledger.listing import Listing, ServerQuery
from wehr.web.measures import Family, exposition
from wehr.web.stores import Busy
from wehr.web.visit import Need, Page, Visit

_KIND: Final = "text/plain; version=0.0.4; charset=utf-8"


async def _metrics(visit: Visit) -> Response:
    if not _may_read(visit):
        raise HTTPException(403)
    families = [*visit.house.source.measures()]
    try:
        listing = await visit.house.listing()
        families += await visit.house.work(lambda: listing.once(servers))
    except (LedgerError, Busy):
        pass  # that the store is away is one of the figures
    return Response(exposition(families), headers={"Content-Type": _KIND})


def _may_read(visit: Visit) -> bool:
    client = visit.request.client
    try:
        address = ipaddress.ip_address(client.host if client else "")
    except ValueError:
        return False
    address = getattr(address, "ipv4_mapped", None) or address
    networks = visit.house.present.facts.metrics_networks
    return any(address in ipaddress.ip_network(network, strict=False) for network in networks)


def servers(listing: Listing) -> list[Family]:
    """The servers by what they count as; silent ones are left out."""
    seen = [line for line in listing.lines if not line.silent]
    states = Counter((line.state, str(line.out_of_date).lower()) for line in seen)
    stages = Counter(str(line.stage) for line in seen if line.out_of_date)
    exploited = len(listing.find(ServerQuery(out_of_date=True, exploited=True, silent=False)))
    return [
        Family(
            "wehr_servers", "Servers by state.", False, ("state", "out_of_date"),
            tuple((labels, float(count)) for labels, count in sorted(states.items())),
        ),
        Family(
            "wehr_servers_out_of_date", "Out-of-date servers by stage.", False, ("stage",),
            tuple(((stage,), float(count)) for stage, count in sorted(stages.items())),
        ),
        Family(
            "wehr_servers_exploited", "Out-of-date servers with a hole that attackers use.", False, (),
            (((), float(exploited)),),
        ),
    ]  # fmt: skip


PAGES: Final = (Page("/metrics", _metrics, Need.NOTHING, "metrics"),)
