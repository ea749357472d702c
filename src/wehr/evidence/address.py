"""Host names and addresses as headers and sessions show them: canonical forms, and whether two agree."""

from functools import cache, lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

from publicsuffixlist import PublicSuffixList

_CACHED = 8192

# RFC 5737 and RFC 3849: in examples and in anonymised mail these stand for public addresses.
_DOCUMENTATION = [
    ip_network(text) for text in ("192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24", "2001:db8::/32")
]


@lru_cache(maxsize=_CACHED)
def canonical(text: str) -> str:
    """The address as `ipaddress` prints it, IPv4-mapped as IPv4, bare of brackets and zone; "" if none."""
    address = parsed(text)
    return "" if address is None else str(address)


@lru_cache(maxsize=_CACHED)
def parsed(text: str) -> IPv4Address | IPv6Address | None:
    """The address, an IPv4-mapped one as IPv4; brackets and zone are passed over. None if it is none."""
    text = text.strip("[]")
    if text[:5].lower() == "ipv6:":
        text = text[5:]
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


@lru_cache(maxsize=_CACHED)
def is_public(ip: str) -> bool:
    """Whether a peer with this address is on the Internet, rather than inside somebody's network."""
    address = parsed(ip)
    if address is None or address.is_multicast:
        return False
    return address.is_global or any(address in network for network in _DOCUMENTATION)


@lru_cache(maxsize=_CACHED)
def is_loopback(ip: str) -> bool:
    """Whether this address is the host itself."""
    address = parsed(ip)
    return address is not None and address.is_loopback


@lru_cache(maxsize=_CACHED)
def names_a_host(ip: str) -> bool:
    """Whether an address tells hosts apart: loopback and link-local ones (every DAG has them) do not."""
    address = parsed(ip)
    return address is not None and not (
        address.is_loopback or address.is_link_local or address.is_unspecified
    )


@lru_cache(maxsize=_CACHED)
def client_network(ip: str) -> str:
    """The network that state is kept for: /24 of an IPv4 address, /48 of an IPv6 one; "" if it is neither."""
    address = parsed(ip)
    if address is None:
        return ""
    return str(ip_network((address, 24 if address.version == 4 else 48), strict=False))


@cache
def _suffixes() -> PublicSuffixList:
    # Loaded at the first question: it costs 50 ms, and `wehr --help` asks none. Private entries (such as
    # outlook.com's or amazonaws.com's) stay in, so that two tenants of one hoster are not one organisation.
    return PublicSuffixList(accept_unknown=False)


@lru_cache(maxsize=_CACHED)
def registered_domain(name: str) -> str:
    """The registered domain of a host name (lower-case): example.org of mx.example.org.

    "" for what nobody can register: addresses, single labels, internal names such as ``mx.corp.local``.
    """
    return _suffixes().privatesuffix(name.rstrip(".")) or "" if "." in name and not canonical(name) else ""


@lru_cache(maxsize=_CACHED)
def same_host(stamped: str, shown: str) -> bool:
    """Whether a stamped name and one shown by the client may well be the same organisation's host.

    Equal names and equal registered domains agree. Equal first labels agree only where the stamped name has
    none of its own (``EX01`` or ``ex01.corp.local`` for ``ex01.example.org``): two registered domains that
    differ contradict each other, however alike ``mail.example.org`` and ``mail.example.net`` look.
    """
    stamped, shown = stamped.lower().rstrip("."), shown.lower().rstrip(".")
    if not (stamped and shown) or canonical(shown) or canonical(stamped):
        return False
    if shown == "unknown" or shown.partition(".")[0] == "localhost":  # as every host calls itself
        return False
    if stamped == shown:
        return True
    domain = registered_domain(stamped)
    if domain:
        return domain == registered_domain(shown)
    return stamped.partition(".")[0] == shown.partition(".")[0]
