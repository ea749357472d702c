"""``smtpd_milter_maps`` of a real Postfix: who passes unseen, who does not, and what happens without Wehr."""

import re
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import messages
import postfix
import pytest
from ports import free_port
from postfix import Peer, Postfix
from running import Receiver, receiver

pytestmark = [pytest.mark.mta, pytest.mark.xdist_group("mta")]

START = datetime(2026, 10, 12, 9, 0, tzinfo=UTC).timestamp()
DAY = 86_400
PROVIDER = Peer("mail.example.com", "192.0.2.77", "mail.example.com")
PAGE = Path(__file__).resolve().parent.parent.parent / "docs" / "milter-maps.md"
FEW = "socketmap.days = 2\nsocketmap.daily = 3\nsocketmap.one_in = 5"


def _blocks() -> list[str]:
    """What the page tells administrators to write: the table's file, and the line for main.cf."""
    return re.findall(r"(?ms)^```\n((?:memcache|smtpd_).*?)^```$", PAGE.read_text("ascii"))


def _line(folder: Path, address: str, kind: str = "memcache") -> dict[str, str]:
    """The line that the page tells administrators to write, with another address; its file in the folder."""
    if kind == "socketmap":
        (line,) = re.findall(r"`smtpd_milter_maps = (socketmap:\S+)`", PAGE.read_text("ascii"))
        return {"smtpd_milter_maps": line.replace("inet:127.0.0.1:8897", address)}
    table, setting = _blocks()
    file = folder / "wehr-clients.cf"
    file.write_text(table.replace("inet:127.0.0.1:8897", address))
    file.chmod(0o644)
    name, _, value = setting.partition(" = ")
    return {name: value.strip().replace("/etc/postfix/wehr-clients.cf", str(file))}


@contextmanager
def _stand(
    folder: Path, way: str = "tcp", more: str = "", kind: str = "memcache"
) -> Iterator[tuple[Receiver, Postfix]]:
    port = free_port()
    where = f'socketmap.listen = ["127.0.0.1:{port}"]\nsocketmap.socket = "clients.sock"\n{FEW}\n{more}'
    with receiver(folder / "state", START, mode="enforce", extra=where) as wehr:
        address = f"inet:127.0.0.1:{port}" if way == "tcp" else f"unix:{wehr.folder / 'clients.sock'}"
        settings = {**_line(folder, address, kind), "inet_protocols": "all"}
        with postfix.running(folder / "postfix", wehr.milter, settings=settings) as mx:
            yield wehr, mx


def _weeks(wehr: Receiver, mx: Postfix, peer: Peer = PROVIDER) -> None:
    """What makes a client well known here: two days of three messages."""
    for day in range(2):
        wehr.clock.now = START + day * DAY
        for _ in range(3):
            assert postfix.send(mx, peer, messages.postfix()).code == 250


@pytest.mark.parametrize("kind", ["memcache", "socketmap"])
@pytest.mark.parametrize("way", ["tcp", "unix"])
def test_a_provider_passes_but_for_a_share_and_a_turncoat_is_noticed(
    open_folder: Path, way: str, kind: str
) -> None:
    """Of ten sessions two are watched; when it relays for an Exchange, each is from the first of these on."""
    with _stand(open_folder, way, kind=kind) as (wehr, mx):
        milter = wehr.service.doors["milter"].counters
        _weeks(wehr, mx)
        before = milter.messages
        for second in range(10):
            wehr.clock.now += second
            assert postfix.send(mx, PROVIDER, messages.postfix()).code == 250
        assert milter.messages - before == 2

        before = milter.messages
        sent = 0
        while milter.messages == before:
            assert postfix.send(mx, PROVIDER, messages.exchange("15.1.2507.16")).code == 250
            sent += 1
        assert sent <= 2 * 5 - 1
        for _ in range(5):
            postfix.send(mx, PROVIDER, messages.exchange("15.1.2507.16"))
        assert milter.messages - before == 1 + 5


def test_other_milters_can_be_named_and_go_on_being_asked(open_folder: Path) -> None:
    """``DISABLE`` would turn them off too."""
    other = free_port()
    with _stand(open_folder, more=f'socketmap.milters = "inet:127.0.0.1:{other}"') as (wehr, mx):
        _weeks(wehr, mx)
        for _ in range(5):
            assert postfix.send(mx, PROVIDER, messages.postfix()).code == 250
        assert f"connect to Milter service inet:127.0.0.1:{other}: Connection refused" in mx.log


def test_ipv6_clients_are_looked_up_as_well(open_folder: Path) -> None:
    """Postfix gives the bare address."""
    peer = Peer("mail.example.com", "IPV6:2001:db8::25", "mail.example.com")
    with _stand(open_folder) as (wehr, mx):
        _weeks(wehr, mx, peer)
        assert "2001:db8::25" in dict(wehr.service.gate.clients.known())
        before = wehr.service.doors["milter"].counters.messages
        for _ in range(5):
            assert postfix.send(mx, peer, messages.postfix()).code == 250
        assert wehr.service.doors["milter"].counters.messages - before == 1


def test_without_the_map_every_client_is_shown_to_the_milter(open_folder: Path) -> None:
    """Postfix logs a warning and goes by ``smtpd_milters``; no mail is refused or delayed."""
    where = _line(open_folder, f"inet:127.0.0.1:{free_port()}")
    with (
        receiver(open_folder / "state", START, mode="enforce") as wehr,
        postfix.running(open_folder / "postfix", wehr.milter, settings=where) as mx,
    ):
        for _ in range(3):
            assert postfix.send(mx, PROVIDER, messages.postfix()).code == 250
        assert wehr.service.doors["milter"].counters.messages == 3
        assert "lookup error" in mx.log


def test_without_wehr_mail_flows(open_folder: Path) -> None:
    """Neither map nor milter is there."""
    where = _line(open_folder, f"inet:127.0.0.1:{free_port()}")
    with postfix.running(open_folder, f"inet:127.0.0.1:{free_port()}", settings=where) as mx:
        assert postfix.send(mx, PROVIDER, messages.exchange("15.1.2507.16")).code == 250


def test_a_map_that_hangs_holds_the_banner_no_longer_than_the_page_says(open_folder: Path) -> None:
    """Two seconds for each session, not a socketmap's hundred; then Postfix goes by ``smtpd_milters``."""
    with (
        socket.create_server(("127.0.0.1", 0)) as hung,
        receiver(open_folder / "state", START, mode="enforce") as wehr,
    ):
        where = _line(open_folder, f"inet:127.0.0.1:{hung.getsockname()[1]}")
        with postfix.running(open_folder / "postfix", wehr.milter, settings=where) as mx:
            began = time.monotonic()
            assert postfix.send(mx, PROVIDER, messages.postfix()).code == 250
            assert 2 <= time.monotonic() - began < 30
            assert wehr.service.doors["milter"].counters.messages == 1
