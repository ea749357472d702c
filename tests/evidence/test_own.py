"""The receiver's own hops and its trusted relays: stepped over, and believed only as far as they are known."""

# ruff: noqa: E501  (a stamp is one line)
import pytest

from wehr.evidence import Own, Relation, Session, handover

DATE = b"; Tue, 3 Nov 2026 10:00:00 +0000"
RELAY = (
    b"from out.example.org (ex1.example.org [198.51.100.7]) by relay.example.net (Postfix) with ESMTPS id A"
    + DATE
)
EXCHANGE = (
    b"from a (10.0.0.9) by ex1.example.org (10.0.0.2) with Microsoft SMTP Server id 15.1.2507.61" + DATE
)
OWN_MTA = (
    b"from relay.example.net ([192.0.2.5]) by mx.example.com with esmtps (Exim 4.96) id 1abcde-000123-4F"
    + DATE
)
FILTER = (
    b"from relay.example.net ([127.0.0.1]) by localhost (relay [127.0.0.1]) (amavisd-new) with ESMTP id B"
    + DATE
)
LOOP = b"from localhost (localhost [127.0.0.1]) by relay.example.net (Postfix) with ESMTP id C" + DATE
CLIENT = Session(client_ip="192.0.2.5", client_name="relay.example.net", helo="relay.example.net")


@pytest.mark.parametrize(
    "relays", [("192.0.2.0/24",), ("192.0.2.5",), ("relay.example.net",), (".example.net",)]
)
def test_the_hop_before_a_trusted_relay_is_judged(relays: tuple[str, ...]) -> None:
    """Behind a relay that is trusted, by network or verified name, the peer is the one that the relay saw."""
    found = handover([RELAY, EXCHANGE], CLIENT, Own(relays=relays))
    assert (found.relation, found.index, found.software) == (Relation.DIRECT, 1, "exchange")
    assert (found.client_ip, found.client_name) == ("198.51.100.7", "ex1.example.org")


def test_an_unknown_relay_is_not_stepped_over() -> None:
    """Without configuration the Exchange is behind a relay."""
    found = handover([RELAY, EXCHANGE], CLIENT, Own(names=("mx.example.com",), relays=("192.0.2.99",)))
    assert (found.relation, found.client_ip) == (Relation.BEHIND_RELAY, "192.0.2.5")


def test_the_mtas_own_line_is_passed_over() -> None:
    """Exim, OpenSMTPD and Haraka show their own line first: the next one is the client's."""
    found = handover([OWN_MTA, EXCHANGE], CLIENT, Own(names=("mx.example.com",)))
    assert (found.relation, found.index, found.client_ip) == (Relation.DIRECT, 1, "192.0.2.5")


def test_own_line_and_trusted_relay_together() -> None:
    """Own line, then the relay's: the peer of the relay is judged."""
    found = handover(
        [OWN_MTA, RELAY, EXCHANGE], CLIENT, Own(names=("mx.example.com",), relays=("192.0.2.5",))
    )
    assert (found.index, found.client_ip) == (2, "198.51.100.7")


def test_a_filter_inside_the_relay_belongs_to_it() -> None:
    """A content filter on the relay's localhost is part of the relay."""
    found = handover([LOOP, FILTER, RELAY, EXCHANGE], CLIENT, Own(relays=("192.0.2.5",)))
    assert (found.relation, found.index, found.client_ip) == (Relation.DIRECT, 3, "198.51.100.7")


@pytest.mark.parametrize("own", [Own(names=("mx.example.com",)), Own(relays=("mx.example.com",))])
def test_a_forged_line_of_ours_shifts_no_blame(own: Own) -> None:
    """A line that claims one of our names, on top of a stranger's message, moves nothing to another address."""
    forged = (
        b"from victim.example (victim.example [198.51.100.66]) by mx.example.com (Postfix) with ESMTP id A"
        + DATE
    )
    found = handover([forged, EXCHANGE], Session(client_ip="203.0.113.9", client_name="evil.example"), own)
    assert (found.client_ip, found.client_name) == ("203.0.113.9", "evil.example")


def test_a_forged_line_of_ours_shifts_no_blame_behind_a_relay_either() -> None:
    """The relay is believed in whom it took the message from; what that host says of others is not."""
    forged = (
        b"from victim.example (victim.example [198.51.100.66]) by mx.example.com (Postfix) with ESMTP id A"
        + DATE
    )
    own = Own(names=("mx.example.com",), relays=("192.0.2.5",))
    found = handover([OWN_MTA, RELAY, forged, EXCHANGE], CLIENT, own)
    assert (found.index, found.client_ip, found.client_name) == (3, "198.51.100.7", "ex1.example.org")


def test_a_filter_of_ours_that_tells_no_address_breaks_no_chain() -> None:
    """What our own host says below it is still our own word."""
    silent = b"from filter by mx.example.com (amavisd-new) with ESMTP id B" + DATE
    border = b"from y (ex1.example.org [198.51.100.7]) by mx.example.com (Postfix) with ESMTP id A" + DATE
    own = Own(names=("mx.example.com",))
    found = handover([silent, border, EXCHANGE], Session(client_ip="127.0.0.1"), own)
    assert (found.index, found.client_ip) == (2, "198.51.100.7")


def test_our_own_hosts_are_believed_by_their_verified_names() -> None:
    """Where one of our hosts took it from another, by the name that it looked up, networks need not be told."""
    inner = b"from x (mx2.example.com [203.0.113.5]) by mx1.example.com (Postfix) with ESMTP id B; d"
    border = b"from y (ex1.example.org [198.51.100.7]) by mx2.example.com (Postfix) with ESMTP id A; d"
    found = handover([inner, border, EXCHANGE], Session(client_ip="127.0.0.1"), Own(names=(".example.com",)))
    assert (found.index, found.client_ip) == (2, "198.51.100.7")


def test_a_client_of_our_own_network_is_believed() -> None:
    """From our own border server the from-clause is our own word: the peer is the one that it saw."""
    border = (
        b"from ex1.example.org (ex1.example.org [198.51.100.7]) by mx1.example.com (Postfix) with ESMTP id A"
        + DATE
    )
    own = Own(names=(".example.com",), networks=("203.0.113.0/24",))
    found = handover([border, EXCHANGE], Session(client_ip="203.0.113.5", client_name="mx1.example.com"), own)
    assert (found.index, found.client_ip, found.client_name) == (1, "198.51.100.7", "ex1.example.org")


def test_a_relay_that_is_the_source_leaves_nothing() -> None:
    """A message of the relay's own ends the trace: nothing is known of anybody else."""
    assert handover([LOOP], CLIENT, Own(relays=("192.0.2.5",))).relation is Relation.NONE


def test_a_wrong_network_is_refused() -> None:
    """A typing error in the configuration is an error, and says which entry."""
    with pytest.raises(ValueError, match=r"192\.0\.2\.0/240"):
        Own(networks=("192.0.2.0/240",))


def test_a_relay_that_is_a_mistyped_network_is_refused() -> None:
    """Taken for a name, it would never fit, and nobody would notice."""
    with pytest.raises(ValueError, match=r"192\.0\.2\.0/33"):
        Own(relays=("mx.example.net", "192.0.2.0/33"))
