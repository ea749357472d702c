"""Whose a server is and whom to write to: never by what a message says."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wehr.notices.address import canonical_address, readable_domain
from wehr.notices.contacts import Book, read_book
from wehr.notices.settings import Contact, Notices

NOW = datetime(2026, 5, 20, tzinfo=UTC)
NETWORK = "192.0.2.0/24"
IP = "192.0.2.25"


@pytest.mark.parametrize(
    ("stamped", "verified", "to"),
    [
        ("mail.example.org", "mail.example.org", ("postmaster@example.org",)),
        ("ex01.corp.local", "mail.example.org", ("postmaster@example.org",)),
        ("EX01", "a.b.example.co.uk", ("postmaster@example.co.uk",)),
        ("mail.example.org", "", ()),
        ("mail.example.org", "static.25.hoster.example.net", ()),
        ("mail.example.org", "unknown", ()),
        ("mail.xn--mller-kva.de", "mail.xn--mller-kva.de", ("postmaster@xn--mller-kva.de",)),
    ],
)
def test_a_domain_is_written_to_only_if_the_mail_system_verified_it(
    stamped: str, verified: str, to: tuple[str, ...]
) -> None:
    """A stamp or HELO alone, or one that contradicts the DNS, leads to nobody."""
    book = Book()

    assert book.addresses(book.whom(stamped, verified, IP, NETWORK), [IP]) == to


def test_the_operators_word_goes_before_all_and_can_be_silence() -> None:
    """An entry by network or domain replaces every other address; one without addresses means nobody."""
    contact = Contact(to=("Admin@Müller.example",), networks=(NETWORK,), name="Müller", languages=("de",))
    silent = Contact(to=(), domains=("example.net",))
    book = Book((contact, silent), security={"example.org": "security@example.org"})

    whom = book.whom("mail.example.org", "mail.example.org", IP, NETWORK)
    assert (whom.organisation, book.addresses(whom, [IP])) == ("Müller", ("Admin@xn--mller-kva.example",))
    assert book.language(whom) == ("de",)
    other = book.whom("mail.example.net", "mail.example.net", "198.51.100.1", "198.51.100.0/24")
    assert book.addresses(other, []) == ()


def test_published_contacts_come_after_postmaster(tmp_path: Path) -> None:
    """From files that the operator configures; what has expired or cannot be read counts for nothing."""
    (tmp_path / "security").mkdir()
    for domain, text in (
        (
            "example.org",
            "Contact: mailto:sec@example.org\nContact: mailto:b@c.de\nExpires: 2027-01-01T00:00:00Z",
        ),
        ("example.net", "Contact: mailto:sec@example.net\nExpires: 2026-01-01T00:00:00Z"),
        ("example.com", "Contact: https://example.com/report\nExpires: 2027-01-01T00:00:00Z"),
        ("example.info", "Contact: mailto:sec@example.info\nExpires: soon"),
    ):
        (tmp_path / "security" / f"{domain}.txt").write_text(text)
    (tmp_path / "abuse.csv").write_text(
        "# network, address\n192.0.0.0/16,abuse@wide.example\n192.0.2.0/24,abuse@narrow.example\n"
        "example.com,abuse@example.com\nnonsense\nexample.org,no address\n"
    )
    book = read_book(Notices(security_txt="security", abuse_contacts="abuse.csv"), tmp_path, NOW)

    def to(domain: str) -> tuple[str, ...]:
        return book.addresses(book.whom(f"mx.{domain}", f"mx.{domain}", IP, NETWORK), [IP])

    assert to("example.org") == ("postmaster@example.org", "sec@example.org", "abuse@narrow.example")
    assert to("example.net") == ("postmaster@example.net", "abuse@narrow.example")
    assert to("example.com") == ("postmaster@example.com", "abuse@example.com", "abuse@narrow.example")
    assert to("example.info") == ("postmaster@example.info", "abuse@narrow.example")


def test_an_address_that_mail_came_back_from_is_left_out() -> None:
    """Whatever its case."""
    book = Book()
    whom = book.whom("mail.example.org", "mail.example.org", IP, NETWORK)

    assert book.addresses(whom, [IP], ["POSTMASTER@example.org"]) == ()


@pytest.mark.parametrize(
    ("domain", "languages"),
    [
        ("example.de", ("de",)),
        ("example.at", ("de",)),
        ("example.li", ("de",)),
        ("example.ch", ("de", "en")),
        ("example.fr", ("en",)),
        ("example.co.uk", ("en",)),
        ("example.org", ("en", "de")),
        ("", ("en", "de")),
    ],
)
def test_the_language_goes_by_the_domain(domain: str, languages: tuple[str, ...]) -> None:
    """German, English, or both where nothing tells."""
    book = Book()
    name = f"mx.{domain}" if domain else ""

    assert book.language(book.whom(name, name, IP, NETWORK)) == languages


@given(
    stamped=st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=40),
    verified=st.sampled_from(["", "unknown", "mail.example.org", "a.example.de"]),
)
def test_whatever_is_stamped_no_address_comes_from_it(stamped: str, verified: str) -> None:
    """All addresses are at the domain that was verified."""
    book = Book()

    for address in book.addresses(book.whom(stamped, verified, IP, NETWORK), [IP]):
        assert verified.endswith(address.rpartition("@")[2])


@pytest.mark.parametrize(
    "text",
    [
        "",
        "postmaster",
        "a@b@c",
        "a b@example.org",
        "a@example.org\r\nBcc: x@y",
        '"a"@example.org',
        "a%b@c%d",
        ".a@b.c",
        "a@-b.c",
        "a@b..c",
        "@a:b@c",
        "ä@example.org",
    ],
)
def test_what_is_no_plain_address_is_refused(text: str) -> None:
    """Nothing that a mail system might read otherwise gets into an envelope."""
    with pytest.raises(ValueError, match=r"address|domain"):
        canonical_address(text)


@given(st.text(max_size=60))
def test_readable_domains_never_throw(text: str) -> None:
    """And what is not a domain stays as it is."""
    assert readable_domain(text) or not text


def test_a_domain_is_readable_where_that_is_sure() -> None:
    """Punycode that leads back to itself."""
    assert readable_domain("xn--mller-kva.example") == "müller.example"
    assert readable_domain("xn--zzzzzz.example") == "xn--zzzzzz.example"
