"""When Wehr is stopped, hung or killed, mail flows (``default_action=accept``)."""

import signal
import smtplib
from pathlib import Path

import messages
import postfix
import pytest
from ports import free_port
from postfix import Peer
from running import process

pytestmark = [pytest.mark.mta, pytest.mark.xdist_group("mta"), pytest.mark.timeout(240)]

PEER = Peer("mail.example.com", "203.0.113.10")
MESSAGE = messages.exchange("15.1.2507.16")


def _begin(server: postfix.Postfix) -> smtplib.SMTP:
    """A session up to the point where the message is due."""
    client = smtplib.SMTP(server.host, server.port, local_hostname=PEER.helo, timeout=30)
    client.ehlo()
    for command in ("MAIL FROM:<probe@example.com>", "RCPT TO:<postmaster@example.org>"):
        assert client.docmd(command)[0] == 250
    return client


def _finish(client: smtplib.SMTP) -> int:
    code, _ = client.data(MESSAGE.encode() + b"\r\ntext\r\n")
    client.close()
    return code


@pytest.mark.parametrize(
    "fate", [signal.SIGKILL, signal.SIGTERM, signal.SIGSTOP], ids=["killed", "stopped", "hung"]
)
def test_mail_flows_when_wehr_goes_in_the_middle_of_a_session(
    open_folder: Path, fate: signal.Signals
) -> None:
    """The message under way is taken, and so are those after it."""
    with process(open_folder / "wehr") as wehr, postfix.running(open_folder / "postfix", wehr.milter) as mx:
        assert postfix.send(mx, PEER, MESSAGE).code == 250
        client = _begin(mx)

        wehr.signal(fate)

        assert _finish(client) == 250
        assert postfix.send(mx, PEER, MESSAGE).code == 250


def test_mail_flows_when_wehr_was_never_started(open_folder: Path) -> None:
    """Nobody listens on the milter's port."""
    with postfix.running(open_folder / "postfix", f"inet:127.0.0.1:{free_port()}") as mx:
        assert postfix.send(mx, PEER, MESSAGE).code == 250
