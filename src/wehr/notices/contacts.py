"""Whose a server is, whom to write to, and in which language. Never by what a message says.

The stamped name and the HELO are the sender's own words. So a domain is written to only if the mail system
has found it in the DNS itself, in both directions, for the very address that the server sends from.
"""

import csv
import io
import ipaddress
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import Final

from msgspec import Struct

from wehr.evidence.address import registered_domain
from wehr.notices.address import canonical_address, canonical_domain
from wehr.notices.settings import LANGUAGES, Contact, Language, Notices
from wehr.policy.scope import read_network

_MOST_BYTES: Final = 64 * 2**10
"""Of a security.txt."""
_MOST_ABUSE_BYTES: Final = 64 * 2**20
_GERMAN: Final = frozenset(
    ("de", "at", "li", "berlin", "hamburg", "koeln", "bayern", "nrw", "saarland", "wien", "tirol", "gmbh")
)
_BOTH: Final = frozenset(("ch", "lu", "be", "eu", "swiss", "zuerich"))

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class Whom(Struct, frozen=True):
    """Whose a server is."""

    organisation: str
    """The operator's name for it, its registered domain, or else the client network."""
    domain: str = ""
    """The registered domain of the client's verified name; "" where nothing verified tells one."""
    contact: Contact | None = None
    """The operator's word."""


class Book(Struct, frozen=True):
    """All addresses that are known. Read once, by `read_book`."""

    contacts: tuple[Contact, ...] = ()
    security: Mapping[str, str] = {}
    """The first mail address in a domain's security.txt."""
    abuse_domains: Mapping[str, str] = {}
    abuse_networks: tuple[tuple[str, str], ...] = ()
    """Networks with their address, the narrowest first."""
    postmaster: bool = True
    languages: tuple[Language, ...] = ("en", "de")

    def whom(self, name: str, client_name: str, client_ip: str, network: str) -> Whom:
        """Whose a server is.

        Args:
            name: what it stamps, which may contradict the verified name: then no domain is written to.
            client_name: what the mail system has verified, "" if nothing.
            client_ip: the address it sends from.
            network: the network of that.
        """
        domain = registered_domain(client_name.lower()) if client_name else ""
        stamped = registered_domain(name.lower())
        if stamped and stamped != domain:
            domain = ""
        for contact in self.contacts:
            if domain in _domains(contact) or _inside(client_ip, contact.networks):
                return Whom(contact.name or domain or network, domain, contact)
        return Whom(domain or network, domain)

    def addresses(self, whom: Whom, ips: Iterable[str], stopped: Iterable[str] = ()) -> tuple[str, ...]:
        """Whom to write to, without those that mail came back from; the operator's word goes before all."""
        if whom.contact is not None:
            found = [canonical_address(address) for address in whom.contact.to]
        else:
            found = [f"postmaster@{whom.domain}"] if self.postmaster and whom.domain else []
            found += self._published(whom.domain, ips)
        refused = {address.lower() for address in stopped}
        return tuple(dict.fromkeys(address for address in found if address.lower() not in refused))

    def _published(self, domain: str, ips: Iterable[str]) -> list[str]:
        found: list[str | None] = []
        if domain:
            found += [self.security.get(domain), self.abuse_domains.get(domain)]
        found += [
            next((to for network, to in self.abuse_networks if _inside(ip, (network,))), None) for ip in ips
        ]
        return [address for address in found if address]

    def language(self, whom: Whom) -> tuple[Language, ...]:
        """The languages to write in, in order."""
        if whom.contact and whom.contact.languages:
            return whom.contact.languages
        top = whom.domain.rpartition(".")[2]
        if top in _GERMAN:
            return ("de",)
        if top in _BOTH:
            return LANGUAGES
        if len(top) == 2 or top in ("gov", "mil", "edu"):
            return ("en",)
        return self.languages


def read_book(settings: Notices, folder: Path, now: datetime) -> Book:
    """Read the addresses that are configured; files that cannot be read are taken as empty.

    Args:
        settings: what is configured.
        folder: what relative paths are inside of.
        now: a security.txt that has expired (RFC 9116 section 2.5.5) counts for nothing.
    """
    security = {}
    if settings.security_txt:
        for file in sorted((folder / settings.security_txt).glob("*.txt")):
            if address := _security_contact(_read(file, _MOST_BYTES), now):
                security[file.stem.lower()] = address
    abuse = settings.abuse_contacts
    text = _read(folder / abuse, _MOST_ABUSE_BYTES) if abuse else ""
    domains, networks = _abuse(text)
    return Book(settings.contacts, security, domains, networks, settings.postmaster, settings.languages)


def _security_contact(text: str, now: datetime) -> str | None:
    """The first mail address of a security.txt that has not expired."""
    contacts = re.findall(r"(?im)^contact:[ \t]*mailto:([^\s?]+)", text)
    expires = re.search(r"(?im)^expires:[ \t]*(\S+)", text)
    try:
        if expires is None or datetime.fromisoformat(expires[1]) <= now:
            return None
        return canonical_address(contacts[0]) if contacts else None
    except (ValueError, TypeError):
        return None


def _abuse(text: str) -> tuple[dict[str, str], tuple[tuple[str, str], ...]]:
    """The lines of an abuse contact file; those that cannot be read are passed over."""
    domains: dict[str, str] = {}
    networks: list[tuple[Network, str]] = []
    for row in csv.reader(io.StringIO(text)):
        if len(row) < 2 or row[0].lstrip().startswith("#"):
            continue
        try:
            address = canonical_address(row[1])
        except ValueError:
            continue
        try:
            networks.append((ipaddress.ip_network(row[0].strip(), strict=False), address))
        except ValueError:
            try:
                domains[canonical_domain(row[0])] = address
            except ValueError:
                continue
    networks.sort(key=lambda pair: -pair[0].prefixlen)
    return domains, tuple((str(network), address) for network, address in networks)


def _read(file: Path, most: int) -> str:
    try:
        with file.open("rb") as opened:
            return opened.read(most).decode("utf-8", "replace")
    except OSError:
        return ""


@lru_cache(maxsize=1024)
def _domains(contact: Contact) -> frozenset[str]:
    return frozenset(map(canonical_domain, contact.domains))


def _inside(ip: str, networks: Sequence[str]) -> bool:
    address = _address(ip) if networks else None
    return address is not None and any(address in read_network(network) for network in networks)


@lru_cache(maxsize=64)
def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None
