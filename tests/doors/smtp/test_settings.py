"""What the proxy's configuration may say, and what is refused before a client comes."""

from pathlib import Path

import pytest
from smtp_stand import certificates

from wehr.doors.smtp import NextTls, Tell
from wehr.evidence.own import Own
from wehr.service.clock import system_clock
from wehr.service.config import ConfigError, parse
from wehr.service.smtp import proxy
from wehr.service.state_folder import StartError

BASE = 'listen = ["127.0.0.1:2525"]\nnext_hop = "192.0.2.1:25"\n'


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ('listen = ["127.0.0.1:2525"]', "needs smtp.next_hop"),
        ('listen = ["127.0.0.1:2525"]\nnext_hop = "nowhere"', "is not HOST:PORT"),
        ('listen = ["127.0.0.1:2525"]\nnext_hop = "127.0.0.1:2525"', "another address"),
        (BASE + 'tell_client = "received"', "may let everybody relay: name smtp.domains"),
        (BASE + 'tell_client = "xforward"', "may let everybody relay: name smtp.domains"),
        (BASE + 'tell_client = "nothing"', "tell_client"),
        (BASE + 'domains = ["exa mple.örg"]', "is no domain"),
        (BASE + "tls_required = true", "need smtp.certificate"),
        ('next_hop = "/run/mx"\nnext_hop_tls = "verified"', "needs smtp.next_hop_name"),
    ],
)
def test_what_cannot_work_or_would_relay_is_an_error(text: str, error: str) -> None:
    """One line that says why."""
    with pytest.raises(ConfigError, match=error):
        parse(f"[smtp]\n{text}\n", "wehr.toml")


@pytest.mark.parametrize(
    ("listen", "next_hop", "itself"),
    [
        ("0.0.0.0:25", "127.0.0.1:25", True),
        ("0.0.0.0:25", "localhost:25", True),
        ("0.0.0.0:25", "127.0.0.7:25", True),
        ("[::]:25", "[::1]:25", True),
        ("127.0.0.1:25", "localhost:25", True),
        ("127.0.0.1:25", "0.0.0.0:25", True),
        ("LocalHost:25", "[::1]:25", True),
        ("MX.example.org:25", "mx.example.org:25", True),
        ("0.0.0.0:25", "127.0.0.1:10025", False),
        ("0.0.0.0:25", "192.0.2.1:25", False),
        ("0.0.0.0:25", "mx.example.org:25", False),
        ("127.0.0.1:25", "127.0.0.2:25", False),
        ("192.0.2.25:25", "127.0.0.1:25", False),
    ],
)
def test_the_next_hop_is_not_the_proxy_itself(listen: str, next_hop: str, itself: bool) -> None:
    """However either is written; another port, another machine and another loopback address are others."""
    text = f'[smtp]\nlisten = ["192.0.2.9:2525", "{listen}"]\nnext_hop = "{next_hop}"\n'
    if itself:
        with pytest.raises(ConfigError, match="must be another address"):
            parse(text, "wehr.toml")
    else:
        assert parse(text, "wehr.toml").smtp.next_hop == next_hop


def test_a_certificate_that_cannot_be_used_stops_the_start(tmp_path: Path) -> None:
    """Rather than that STARTTLS is silently missing."""
    (tmp_path / "broken.pem").write_text("broken")
    for name in ("missing.pem", "broken.pem"):
        config = parse(f'[smtp]\n{BASE}certificate = "{tmp_path / name}"\n', "wehr.toml")
        with pytest.raises(StartError, match="cannot be used"):
            proxy(config.smtp, str, Own, system_clock)


def test_everything_that_is_set_is_used() -> None:
    """Names, ways and files."""
    folder = certificates()
    config = parse(
        f"""
        host_name = "proxy.example.org"
        [smtp]
        {BASE}
        tell_client = "xforward"
        domains = ["example.org"]
        certificate = "{folder}/server.pem"
        key = "{folder}/server.key"
        client_ca = "{folder}/ca.pem"
        tls_required = true
        next_hop_tls = "verified"
        next_hop_ca = "{folder}/ca.pem"
        idle_timeout = 77
        """,
        "wehr.toml",
    )
    made = proxy(config.smtp, lambda: config.name, Own, system_clock)
    assert (made.host(), made.tell, made.domains) == ("proxy.example.org", Tell.XFORWARD, ("example.org",))
    assert made.certificate
    assert made.tls_required
    assert (made.next_tls, made.next_name) == (NextTls.VERIFIED, "192.0.2.1")
    assert made.next_context
    assert (made.timeouts.command, made.timeouts.content) == (77, 77)


def test_a_stranger_is_on_the_internet_and_not_known() -> None:
    """Neither in a private network nor in one's own, nor a trusted relay; a reload may change that."""
    own = [Own()]
    config = parse(f"[smtp]\n{BASE}max_per_network = 7\n", "wehr.toml")
    made = proxy(config.smtp, str, lambda: own[0], system_clock)
    assert made.per_network == 7
    known = ("203.0.113.9", "198.51.100.9", "2001:db8::9")
    assert all(made.stranger(address) for address in known)
    own[0] = Own(networks=("203.0.113.0/24", "2001:db8::/32"), relays=("198.51.100.9", "mx.example.net"))
    assert not any(made.stranger(address) for address in (*known, "10.1.2.3", "127.0.0.2", "fd00::1", ""))
    assert made.stranger("198.51.100.10")


def test_without_an_address_both_are_closed() -> None:
    """A new installation has neither."""
    config = parse("", "wehr.toml")
    assert (config.smtp.listen, config.sink.listen) == ((), ())
