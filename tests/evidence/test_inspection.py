"""A whole trace: every hop, and in a stored message the hop in which the receiver took it from outside."""

# ruff: noqa: E501  (a stamp is one line)
import pytest

from wehr.evidence import Own, Relation, Session, inspect

DATE = "; Tue, 3 Nov 2026 10:00:00 +0000"


def trace(*hops: str) -> list[bytes]:
    """Fields out of hops."""
    return [f" {hop}{DATE}".encode() for hop in hops]


EXCHANGE = "from a (10.0.0.9) by ex1.example.org (10.0.0.2) with Microsoft SMTP Server id 15.1.2507.61"
BORDER = (
    "from mail.example.org (mail.example.org [198.51.100.7]) by mx.example.com (Postfix) with ESMTPS id A"
)
LMTP = "from mx.example.com ([127.0.0.1]) by mx.example.com with LMTP id 7"
AMAVIS = "from mx.example.com ([127.0.0.1]) by localhost (mx [127.0.0.1]) (amavisd-new) with ESMTP id 8"
HUB = "from mx.example.com (mx.example.com [203.0.113.4]) by hub.example.com (Postfix) with ESMTP id B"
FETCH = "from pop.example.net [203.0.113.9] by home.example.com with POP3 (fetchmail-6.3.26)"
STORE = "from A.namprd02.prod.outlook.com (::1) by B.namprd02.prod.outlook.com with HTTPS"
FRONT = "from C.namprd21.prod.outlook.com (2603:10b6:610:b1::93) by D.outlook.office365.com (2603:10b6:610::7) with Microsoft SMTP Server (TLS) id 15.20.1.2"
EDGE = "from mail.example.org (198.51.100.7) by C.mail.protection.outlook.com (10.167.244.116) with Microsoft SMTP Server (TLS) id 15.20.1.2 via Frontend Transport"
TENANT = "from X.outbound.protection.outlook.com (52.102.202.60) by C.mail.protection.outlook.com (10.167.244.116) with Microsoft SMTP Server (TLS) id 15.20.1.2"

OWN_SIDES = [
    [BORDER], [LMTP, BORDER], [HUB, BORDER], [LMTP, HUB, AMAVIS, LMTP, BORDER], ["(qmail 1 invoked by uid 89)", BORDER],
    [FETCH, BORDER], [STORE, FRONT, EDGE],
]  # fmt: skip


@pytest.mark.parametrize("own_side", OWN_SIDES)
def test_the_receivers_own_side_is_learned(own_side: list[str]) -> None:
    """Delivery, filters, hubs, fetching and Exchange Online's inner hops are the receiver's: the next hop speaks."""
    found = inspect(trace(*own_side, EXCHANGE))
    assert found.receiver == len(own_side) - 1
    assert (found.handover.relation, found.handover.index) == (Relation.DIRECT, len(own_side))
    assert found.handover.client_ip == "198.51.100.7"
    assert len(found.hops) == len(own_side) + 1


def test_mail_from_one_tenant_to_another_crosses_a_border() -> None:
    """Exchange Online's outbound hosts are another organisation's side."""
    found = inspect(trace(STORE, FRONT, TENANT, FRONT, STORE))
    assert (found.receiver, found.handover.software) == (2, "exchange-online")


def test_a_trace_without_a_border_tells_nobody() -> None:
    """Mail that never came from outside has no handover hop."""
    found = inspect(trace(LMTP, EXCHANGE))
    assert (found.receiver, found.handover.relation) == (None, Relation.NONE)


def test_a_known_client_decides_where_the_border_is() -> None:
    """With the client's address given, its hop is the border though the names say nothing."""
    found = inspect(trace(LMTP, EXCHANGE, EXCHANGE), session=Session(client_ip="10.0.0.9"))
    assert (found.receiver, found.handover.index) == (1, 2)


def test_handed_over_means_that_the_top_hop_speaks() -> None:
    """As a door sees a message, nothing is learned and the top hop is the handover hop."""
    found = inspect(
        trace(EXCHANGE, BORDER), stored=False, session=Session(client_ip="198.51.100.7"), own=Own()
    )
    assert (found.receiver, found.handover.index, found.handover.relation) == (None, 0, Relation.DIRECT)


def test_helo_does_not_make_a_stranger_ours() -> None:
    """Whoever says HELO with our name, but is looked up as somebody else, comes from outside."""
    forged = "from mx.example.com (dsl.example.net [203.0.113.77]) by mx.example.com (Postfix) with SMTP id A"
    assert inspect(trace(forged, EXCHANGE)).receiver == 0
