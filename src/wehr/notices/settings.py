"""What may be set of the notices. By default nobody is written to."""

import ipaddress
from typing import Annotated, Final, Literal
from urllib.parse import urlsplit

from msgspec import Meta, Struct

from wehr.notices.address import canonical_address

Language = Literal["de", "en"]
LANGUAGES: Final[tuple[Language, ...]] = ("de", "en")

_Addresses = tuple[str, ...]


def _check(*addresses: str) -> None:
    for address in addresses:
        if address:
            canonical_address(address)


class Contact(Struct, frozen=True, forbid_unknown_fields=True):
    """Whom to write to about some servers: it goes before every other address."""

    to: Annotated[
        _Addresses, Meta(description="Addresses; none: these servers' administrators are not told.")
    ]
    domains: Annotated[
        tuple[str, ...], Meta(description="Registered domains of the servers' verified names.")
    ] = ()
    networks: Annotated[tuple[str, ...], Meta(description="Client addresses or networks.")] = ()
    name: Annotated[str, Meta(description="What the organisation is called; empty: by its domain.")] = ""
    languages: Annotated[
        tuple[Language, ...], Meta(description="de, en or both in order; empty: by the domain.")
    ] = ()

    def __post_init__(self) -> None:
        _check(*self.to)
        for network in self.networks:
            ipaddress.ip_network(network, strict=False)
        if not (self.domains or self.networks):
            raise ValueError("a contact names domains or networks")


class Submission(Struct, frozen=True, forbid_unknown_fields=True):
    """The mail system that takes what is written; it signs with DKIM, if anybody does."""

    host: Annotated[str, Meta(description="Its name; empty: no mail is sent, whatever else is set.")] = ""
    port: Annotated[int, Meta(ge=1, le=65535, description="587 for submission, 465 with tls, 25.")] = 587
    tls: Annotated[
        Literal["starttls", "tls", "none"],
        Meta(description="starttls: demanded, never only tried; tls: from the first byte on; none."),
    ] = "starttls"
    user: Annotated[str, Meta(description="Account to log in with; empty: none.")] = ""
    password_file: Annotated[
        str, Meta(description="File with its password; a relative path is inside the state folder.")
    ] = ""
    timeout: Annotated[int, Meta(ge=5, le=600, description="Seconds to wait for each answer.")] = 60

    def __post_init__(self) -> None:
        if bool(self.user) != bool(self.password_file):
            raise ValueError("user and password_file go together")
        if self.user and self.tls == "none":
            raise ValueError("a password is not sent without TLS; set tls to starttls or tls")


class Digest(Struct, frozen=True, forbid_unknown_fields=True):
    """What happened, for one's own administrators."""

    to: Annotated[_Addresses, Meta(description="Addresses of one's own; empty: no digest.")] = ()
    every: Annotated[Literal["day", "week"], Meta(description="Each day, or each Monday.")] = "day"
    hour: Annotated[int, Meta(ge=0, le=23, description="The hour (UTC) from which it is sent.")] = 6
    language: Annotated[Language, Meta(description="de or en.")] = "en"

    def __post_init__(self) -> None:
        _check(*self.to)


class Webhook(Struct, frozen=True, forbid_unknown_fields=True):
    """An address of one's own that hears of each event, signed (standardwebhooks.com), at least once."""

    url: Annotated[str, Meta(description="https, or http on loopback.")]
    secret_file: Annotated[
        str, Meta(description="File with the secret that signs; a relative path is inside the state folder.")
    ]
    events: Annotated[
        tuple[str, ...], Meta(description="Kinds of events, such as detected, stage, cured; empty: all.")
    ] = ()

    def __post_init__(self) -> None:
        where = urlsplit(self.url)
        loopback = where.hostname in ("localhost", "127.0.0.1", "::1")
        if where.scheme != "https" and not (where.scheme == "http" and loopback):
            raise ValueError("a webhook's url is https, or http on loopback")
        if where.username or where.password or where.fragment:
            raise ValueError("a webhook's url holds no user, password or fragment")


class Chat(Struct, frozen=True, forbid_unknown_fields=True):
    """A chat of one's own that hears of events in short texts, at least once. Needs the extra chat."""

    url_file: Annotated[
        str,
        Meta(
            min_length=1,
            description="File with the one Apprise URL of the chat, which holds its secrets; "
            "a relative path is inside the state folder.",
        ),
    ]
    events: Annotated[
        tuple[str, ...], Meta(description="Kinds of events; empty: those that the digest tells of.")
    ] = ()
    language: Annotated[Language, Meta(description="de or en.")] = "en"


class Notices(Struct, frozen=True, forbid_unknown_fields=True):
    """Mail to the administrators of out-of-date servers, and news for one's own. Off by default."""

    tenants: Annotated[
        tuple[str, ...],
        Meta(description="Tenants whose servers' administrators are written to; empty: nobody is."),
    ] = ()
    sender: Annotated[str, Meta(description="Address in the From field, such as postmaster@example.org.")] = (
        ""
    )
    bounces: Annotated[
        str,
        Meta(
            description="Envelope sender; what comes back there goes to 'wehr notices bounce'. "
            "Empty: the null sender, and nothing comes back."
        ),
    ] = ""
    reply_to: Annotated[str, Meta(description="Address that answers go to; empty: the sender.")] = ""
    operator: Annotated[str, Meta(description="What your organisation is called; empty: host_name.")] = ""
    contacts: Annotated[tuple[Contact, ...], Meta(description="Addresses that you know.")] = ()
    postmaster: Annotated[
        bool, Meta(description="Whether postmaster@ the server's domain is written to (RFC 2142).")
    ] = True
    security_txt: Annotated[
        str, Meta(description="Folder with security.txt files (RFC 9116) as DOMAIN.txt; empty: none.")
    ] = ""
    abuse_contacts: Annotated[
        str, Meta(description="CSV file: a network or domain and an address on each line; empty: none.")
    ] = ""
    languages: Annotated[
        tuple[Language, ...],
        Meta(min_length=1, description="Languages where the domain does not tell, in order."),
    ] = ("en", "de")
    templates: Annotated[
        str, Meta(description="Folder with templates of your own, in place of those of the same name.")
    ] = ""
    gather_hours: Annotated[
        int, Meta(ge=0, le=168, description="Hours from a detection to the first notice of it.")
    ] = 24
    per_hour: Annotated[int, Meta(ge=1, le=10_000, description="Notices in an hour, of the whole fleet.")] = (
        20
    )
    submission: Submission = Submission()
    digest: Digest = Digest()
    webhooks: Annotated[
        tuple[Webhook, ...], Meta(description="Addresses of one's own that hear of events.")
    ] = ()
    chats: Annotated[tuple[Chat, ...], Meta(description="Chats of one's own that hear of events.")] = ()

    def __post_init__(self) -> None:
        _check(self.sender, self.bounces, self.reply_to)
        if (self.tenants or self.digest.to) and not (self.sender and self.submission.host):
            raise ValueError("to write mail, sender and submission.host must be set")
