"""Scope: for whom a message comes in, by which connector, how far Wehr goes there, and who is left alone."""

import ipaddress
from collections.abc import Iterable, Sequence
from contextlib import suppress
from datetime import datetime
from functools import lru_cache
from typing import Annotated, Final

import idna
from msgspec import Meta, Struct

from wehr.evidence.lists import Names, Networks, entries_for
from wehr.evidence.types import Session
from wehr.policy.index import Index
from wehr.policy.types import Mode, Reason, ServerKey, Stop

DEFAULT_TENANT = "default"
"""The tenant of every recipient domain that no tenant names."""

_LONGEST_NAME = 253

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class Tenant(Struct, frozen=True, forbid_unknown_fields=True):
    """Some of the recipient domains, with their own mode."""

    name: Annotated[str, Meta(min_length=1, description="Its name, shown in reports.")]
    domains: Annotated[
        tuple[str, ...], Meta(description="Recipient domains; a leading dot covers all below.")
    ] = ()
    mode: Annotated[
        Mode | None, Meta(description="off, report, simulate or enforce; unset: the policy's.")
    ] = None

    def __post_init__(self) -> None:
        for domain in self.domains:
            spellings(domain)


def tenant_names(tenants: Iterable[Tenant]) -> tuple[str, ...]:
    """The tenants there are, each once: the default one first, for it is there unconfigured, too."""
    return tuple(dict.fromkeys((DEFAULT_TENANT, *(tenant.name for tenant in tenants))))


class Connector(Struct, frozen=True, forbid_unknown_fields=True):
    """A way in for known clients. It fits a client that meets each kind of condition that it names."""

    name: Annotated[str, Meta(min_length=1, description="Its name, shown in reports.")]
    tenant: Annotated[str, Meta(description="The tenant it belongs to; empty: by recipient domain.")] = ""
    mode: Annotated[
        Mode | None, Meta(description="off, report, simulate or enforce; unset: the tenant's.")
    ] = None
    networks: Annotated[tuple[str, ...], Meta(description="Client addresses or networks.")] = ()
    client_names: Annotated[
        tuple[str, ...], Meta(description="Verified client names; a leading dot covers all below.")
    ] = ()
    tls_names: Annotated[
        tuple[str, ...],
        Meta(description="Names in client certificates that the mail system itself has verified."),
    ] = ()
    listeners: Annotated[tuple[str, ...], Meta(description="Listener or daemon names.")] = ()

    def __post_init__(self) -> None:
        for text in self.networks:
            read_network(text)


class Exemption(Struct, frozen=True, forbid_unknown_fields=True):
    """A server, network or domain that is left alone for a time. All conditions that it names must fit.

    It lifts what is in force at once, and stops the clock of the servers it fits.
    """

    since: Annotated[datetime, Meta(tz=True, description="From when on, with time zone.")]
    reason: Annotated[str, Meta(min_length=1, description="Why; shown to operators.")]
    until: Annotated[
        Annotated[datetime, Meta(tz=True)] | None, Meta(description="Until when; unset: no end.")
    ] = None
    server: Annotated[str, Meta(description="The name that the server stamps.")] = ""
    network: Annotated[str, Meta(description="A client address or network.")] = ""
    domain: Annotated[str, Meta(description="A domain: servers whose stamped or verified name is in it.")] = (
        ""
    )
    tenant: Annotated[str, Meta(description="The tenant it is for; empty: all.")] = ""
    by: Annotated[str, Meta(description="Who asked for it.")] = ""

    def __post_init__(self) -> None:
        # msgspec holds to the limits of the types only what it reads: what is made here is read again later.
        if not self.reason:
            raise ValueError("an exemption has a reason")
        if not (self.server or self.network or self.domain):
            raise ValueError("an exemption names a server, a network or a domain")
        if self.domain and not self.domain.strip("."):
            raise ValueError(f"an exemption's domain is a name such as example.org, not {self.domain!r}")
        if self.network:
            read_network(self.network)
        if self.until and self.until <= self.since:
            raise ValueError("an exemption ends after it begins")


class Scope(Struct, frozen=True, gc=False):
    """What holds for one tenant's share of a message. ``skip``: why it is no case for Wehr at all."""

    tenant: str = DEFAULT_TENANT
    mode: Mode = Mode.REPORT
    connector: str = ""
    names_client: bool = False
    """The connector tells who the client is, so that what it stamps is confirmed."""
    skip: Reason | None = None


class Scoping:
    """Finds the scopes of a session; made once from the policy, for its networks are read beforehand.

    Raises:
        ValueError: a network cannot be read, or a connector names a tenant that does not exist.
    """

    def __init__(
        self, mode: Mode, tenants: Sequence[Tenant], connectors: Sequence[Connector], own: Sequence[str] = ()
    ) -> None:
        self._mode = mode
        self.tenants: Final = tenant_names(tenants)
        """Those there are, by name."""
        self._tenants = {tenant.name: tenant for tenant in tenants}
        self._domains = {
            spelling: tenant
            for tenant in tenants
            for domain in tenant.domains
            for spelling in spellings(domain)
        }
        self._connectors = Index(
            (_Entrance(item), () if item.networks else item.client_names or item.tls_names, item.networks)
            for item in connectors
        )
        self._own = Networks(own)
        for item in connectors:
            if item.tenant and item.tenant not in self.tenants:
                raise ValueError(
                    f"connector {item.name!r} names the tenant {item.tenant!r}, which does not exist"
                )

    def resolve(self, session: Session) -> tuple[Scope, ...]:
        """The scopes of a session, one for each tenant among the recipients, never none.

        The first connector that fits counts; its mode goes before its tenant's, that before the policy's.
        """
        skip = Reason.AUTHENTICATED if session.authenticated else None
        if skip is None and session.client_ip in self._own:
            skip = Reason.OWN_NETWORK
        connector = None
        for item in self._connectors.find(session.client_ip, session.client_name, session.tls_name):
            if item.fits(session):
                connector = item.connector
                break
        if not self._tenants and connector is None:  # the usual installation
            return (Scope(mode=self._mode, skip=skip or (Reason.OFF if self._mode is Mode.OFF else None)),)
        return tuple(self._scope(tenant, connector, skip) for tenant in self._tenants_of(session, connector))

    def _tenants_of(self, session: Session, connector: Connector | None) -> list[str]:
        if connector and connector.tenant:
            return [connector.tenant]
        return sorted({self._tenant_of(domain) for domain in session.recipients} or {DEFAULT_TENANT})

    def _tenant_of(self, domain: str) -> str:
        found = (self._domains[entry].name for entry in entries_for(domain) if entry in self._domains)
        return next(found, DEFAULT_TENANT)

    def _scope(self, name: str, connector: Connector | None, skip: Reason | None) -> Scope:
        tenant = self._tenants.get(name)
        mode = (connector and connector.mode) or (tenant and tenant.mode) or self._mode
        if skip is None and mode is Mode.OFF:
            skip = Reason.OFF
        if connector is None:
            return Scope(name, mode, skip=skip)
        known = bool(connector.networks or connector.client_names or connector.tls_names)
        return Scope(name, mode, connector.name, known, skip)


class _Entrance:
    """A connector with its lists ready for look-up."""

    def __init__(self, connector: Connector) -> None:
        self.connector = connector
        self._networks = Networks(connector.networks)
        self._client_names = Names(connector.client_names)
        self._tls_names = Names(connector.tls_names)

    def fits(self, session: Session) -> bool:
        """Whether the client meets every condition that the connector names."""
        named = self.connector
        return (
            (not named.networks or session.client_ip in self._networks)
            and (not named.client_names or session.client_name in self._client_names)
            and (not named.tls_names or session.tls_name in self._tls_names)
            and (not named.listeners or session.listener in named.listeners)
        )


def exemption_stops(
    exemptions: Iterable[Exemption], server: ServerKey, client_ip: str = "", client_name: str = ""
) -> tuple[Stop, ...]:
    """The stops that exemptions put on a server's clock; they excuse the messages of the clients they fit.

    An exemption narrower than the server's network stops the clock of every server there that fits otherwise,
    for a server may use several addresses; but it excuses only messages from the addresses it names.
    """
    stops = []
    for item in exemptions:
        if (item.tenant and item.tenant != server.tenant) or (
            item.server and item.server.lower().rstrip(".") != server.name
        ):
            continue
        if item.domain:
            domain = item.domain.strip(".")
            inside = Names((domain, f".{domain}"))
            if server.name not in inside and client_name not in inside:
                continue
        excused = True
        if item.network:
            wide, network = read_network(item.network), read_network(server.network)
            if wide.version != network.version or not wide.overlaps(network):
                continue
            excused = wide.prefixlen <= network.prefixlen or client_ip in Networks([item.network])
        until = item.until.timestamp() if item.until else None
        stops.append(Stop(item.since.timestamp(), until, Reason.EXEMPT if excused else None))
    return tuple(stops)


def a_labels(name: str) -> str:
    """A name, or the beginning of one, as it stands in envelopes and HELO: in A-labels (RFC 5890).

    As it is, if its letters are none of a domain's, or too many.
    """
    with suppress(idna.IDNAError):
        if not name.isascii() and len(name) <= _LONGEST_NAME:
            return idna.encode(name, uts46=True).decode()
    return name


def spellings(domain: str) -> frozenset[str]:
    """How a recipient domain stands in envelopes: in U-labels (RFC 6531) and in A-labels (RFC 5890).

    Raises:
        ValueError: its letters are none of a domain's (RFC 5892).
    """
    name = domain.lower().rstrip(".")
    dot, name = ("." if name.startswith(".") else ""), name.removeprefix(".")
    try:
        ascii_only = name if name.isascii() else idna.encode(name, uts46=True).decode()
    except idna.IDNAError as error:
        raise ValueError(f"{domain!r} is no domain: {error}") from None
    found = {dot + ascii_only}
    if "xn--" in ascii_only:
        with suppress(idna.IDNAError):  # A-labels from before IDNA 2008 have no other form
            found.add(dot + idna.decode(ascii_only))
    return frozenset(found)


@lru_cache(maxsize=4096)
def read_network(text: str) -> Network:
    """A network from its CIDR form, or from a single address.

    Raises:
        ValueError: it is neither.
    """
    return ipaddress.ip_network(text, strict=False)
