"""What may be set of the pages, but for where they listen."""

import ipaddress
import re
from typing import Annotated

from msgspec import Meta, Struct

from wehr.web.access.oidc.settings import Oidc


class WebSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """Whom the pages answer, and how long."""

    url: Annotated[
        str,
        Meta(description="Where operators reach the pages, for links to them; empty: the first address."),
    ] = ""
    allowed_hosts: Annotated[
        tuple[str, ...],
        Meta(
            description="Names by which the pages are reached, beside localhost, host_name, those in url and "
            "status_url, and any address."
        ),
    ] = ()
    trusted_proxies: Annotated[
        tuple[str, ...],
        Meta(
            description="Addresses or networks of one's own proxies: only their X-Forwarded-For and "
            "X-Forwarded-Proto count."
        ),
    ] = ()
    user_header: Annotated[
        str,
        Meta(
            description="Field in which a trusted proxy names the account that it has let in, such as "
            "X-Forwarded-User; empty: none."
        ),
    ] = ""
    session_hours: Annotated[
        int, Meta(ge=1, le=744, description="Hours after which a visitor has to log in again.")
    ] = 12
    idle_minutes: Annotated[
        int, Meta(ge=5, le=10_080, description="Minutes without a request after which a session ends.")
    ] = 60

    api_per_minute: Annotated[
        int, Meta(ge=1, le=1_000_000, description="Requests to the API that one token has in a minute.")
    ] = 600

    metrics_networks: Annotated[
        tuple[str, ...],
        Meta(description="Networks from which /metrics may be read, without logging in; empty: from none."),
    ] = ("127.0.0.0/8", "::1/128")

    oidc: Oidc = Oidc()

    def __post_init__(self) -> None:
        if self.url and not re.fullmatch(r"https?://[!-~]{1,200}", self.url):
            raise ValueError("url must be an http or https address without spaces")
        for network in (*self.trusted_proxies, *self.metrics_networks):
            ipaddress.ip_network(network, strict=False)
        if self.user_header and not self.trusted_proxies:
            raise ValueError("user_header needs trusted_proxies, or anybody could name themselves")
        if self.oidc.issuer and not self.url:
            raise ValueError("oidc needs url, for the provider sends visitors back there")
