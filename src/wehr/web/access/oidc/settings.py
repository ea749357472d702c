"""What may be set of logging in with an OpenID provider. Read at every start, so it imports nothing heavy."""

import ipaddress
import re
from typing import Annotated, Literal
from urllib.parse import urlsplit

from msgspec import Meta, Struct

CALLBACK = "/login/oidc/callback"
"""Where the provider sends visitors back to, below ``web.url``."""


class Group(Struct, frozen=True, forbid_unknown_fields=True):
    """What those are here who are in a group there."""

    group: Annotated[str, Meta(min_length=1, description="As the provider calls it.")]
    role: Literal["viewer", "operator", "tenant-operator", "administrator"]
    tenants: Annotated[tuple[str, ...], Meta(description="Those that a tenant operator sees.")] = ()

    def __post_init__(self) -> None:
        if bool(self.tenants) != (self.role == "tenant-operator"):
            raise ValueError("a tenant operator needs tenants, and nobody else has any")


class Oidc(Struct, frozen=True, forbid_unknown_fields=True):
    """Logging in with an OpenID provider; needs the extra oidc, and web.url."""

    issuer: Annotated[
        str,
        Meta(description="The provider's issuer, an https address exactly as it says it; empty: none."),
    ] = ""
    client_id: Annotated[str, Meta(description="What Wehr is called there.")] = ""
    client_secret_file: Annotated[
        str,
        Meta(
            description="File with its secret there; a relative path is inside the state folder; empty: a "
            "public client."
        ),
    ] = ""
    scopes: Annotated[
        tuple[Annotated[str, Meta(pattern=r"^[!#-\[\]-~]{1,100}$")], ...],
        Meta(description="What is asked for, beside openid."),
    ] = ("profile", "email")
    claim: Annotated[
        str,
        Meta(
            min_length=1,
            description="Claim that names the account; preferred_username or email only where people cannot "
            "choose theirs.",
        ),
    ] = "sub"
    groups_claim: Annotated[
        str, Meta(min_length=1, description="Claim that lists the groups that somebody is in.")
    ] = "groups"
    groups: Annotated[
        tuple[Group, ...],
        Meta(
            description="Groups with the role (and tenants) they give, the first that fits counts: who is in "
            "none is not let in; empty: roles are given here."
        ),
    ] = ()
    create: Annotated[
        bool, Meta(description="Make accounts for those in a group who have none; else they are refused.")
    ] = False

    def __post_init__(self) -> None:
        if not self.issuer:
            return
        if not is_secure(self.issuer) or "?" in self.issuer or "#" in self.issuer:
            raise ValueError("issuer must be an https address (on loopback http will do) without a query")
        if not self.client_id:
            raise ValueError("an issuer needs client_id")
        if self.create and not self.groups:
            raise ValueError("create needs groups, for nobody would know the role of a new account")


def is_secure(url: str) -> bool:
    """Whether nobody on the way can change what is said there: https, or http on this very machine."""
    if not re.fullmatch(r"https?://[!-~]{1,1000}", url):
        return False
    try:
        where = urlsplit(url)
        host, _ = where.hostname or "", where.port
    except ValueError:
        return False
    if where.username is not None or not host:
        return False
    return where.scheme == "https" or host == "localhost" or _is_loopback(host)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
