"""The sink: anybody's mail is taken and judged, a 450 is to be seen at once, and nothing is left of it."""

import os
import shlex
import signal
import smtplib
import subprocess
import sys
from mailbox import Maildir
from pathlib import Path

import messages
import pytest
from ports import free_port
from running import process, receiver

from wehr.service.clock import system_clock

OUTDATED, PATCHED = "15.1.2507.16", "15.2.2562.53"


def send(port: int, headers: str) -> tuple[int, str]:
    """One message from this machine, and the answer that decided on it."""
    with smtplib.SMTP("127.0.0.1", port, timeout=30) as client:
        client.ehlo("laptop.example.com")
        client.mail("a@example.com")
        client.rcpt("b@anywhere.example")
        code, text = client.data(headers + "\nHello\n")
        return code, text.decode()


def test_out_of_date_servers_are_refused_at_once_and_the_rest_is_dropped(tmp_path: Path) -> None:
    """With a policy that only reports; nothing of it is remembered."""
    port = free_port()
    with receiver(tmp_path, system_clock(), "report", f'sink.listen = ["127.0.0.1:{port}"]') as wehr:
        for _ in range(3):
            code, text = send(port, messages.exchange(OUTDATED))
            assert code == 450
            assert text.startswith("4.7.230 Connecting Exchange server version is out-of-date; ")
            assert text.endswith("This is the sink, for trials: nothing is recorded")
        assert send(port, messages.exchange(PATCHED, "ex02.example.com"))[0] == 250
        assert send(port, messages.postfix())[0] == 250
        assert len(wehr.service.memory.ledger) == 0
        assert not wehr.service.gate.counts
        assert not (tmp_path / "sink").exists()


def test_what_is_enforced_at_the_sink_is_enforced_nowhere_else(tmp_path: Path) -> None:
    """Before and after: the gate of all other doors is asked the same, and accepts."""
    port = free_port()
    with receiver(tmp_path, system_clock(), "report", f'sink.listen = ["127.0.0.1:{port}"]') as wehr:
        assert send(port, messages.exchange(OUTDATED))[0] == 450
        assert wehr.service.trial.setting.policy.mode == "enforce"
        assert wehr.service.gate.setting.policy.mode == "report"
        wehr.reload(wehr.service.config)
        assert send(port, messages.exchange(OUTDATED))[0] == 450
        assert wehr.service.gate.setting.policy.mode == "report"


def test_it_keeps_mail_in_a_maildir_if_told_to(tmp_path: Path) -> None:
    """Inside the state folder, and only what is not refused."""
    port = free_port()
    extra = f'sink.listen = ["127.0.0.1:{port}"]\n        sink.maildir = "sink"'
    with receiver(tmp_path, system_clock(), mode="report", extra=extra):
        assert send(port, messages.exchange(OUTDATED))[0] == 450
        assert send(port, messages.postfix())[0] == 250
    (message,) = Maildir(tmp_path / "sink", create=False)
    assert message["Subject"] == "a message of the tests"


@pytest.mark.parametrize("workers", [1, 2])
def test_what_is_printed_at_the_start_shows_a_450(tmp_path: Path, workers: int) -> None:
    """The very line, as a shell takes it, though this machine is a network of one's own; again and again."""
    port = free_port()
    (tmp_path / "wehr.toml").write_text('[milter]\nlisten = []\n[log]\nlevel = "error"\n')
    serve = subprocess.Popen(
        [
            *(sys.executable, "-m", "wehr", "serve", "--config", str(tmp_path / "wehr.toml")),
            *("--state", str(tmp_path / "state"), "--web", "", "--workers", str(workers)),
            *("--sink", f"127.0.0.1:{port}"),
        ],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert serve.stdout is not None
    try:
        lines = []
        for line in serve.stdout:
            lines.append(line.strip())
            if line.startswith("Ready"):
                break
        (command,) = (line for line in lines if line.startswith("python3 "))
        for _ in range(4):
            shown = subprocess.run(
                ["/bin/sh", "-c", command],
                check=True,
                capture_output=True,
                text=True,
                timeout=60,
                env={"PATH": os.environ["PATH"]},
            )
            assert shown.stdout.startswith(
                "(450, b'4.7.230 Connecting Exchange server version is out-of-date; "
            )
        (swaks,) = (shlex.split(line.removeprefix("or: ")) for line in lines if line.startswith("or: "))
        assert swaks[:3] == ["swaks", "--server", f"127.0.0.1:{port}"]
    finally:
        serve.send_signal(signal.SIGTERM)
        assert serve.wait(30) == 0
        serve.stdout.close()


def test_the_proxy_is_served_by_all_workers(tmp_path: Path) -> None:
    """Here in front of the sink of the same Wehr, with the address told to nobody."""
    smtp, sink = free_port(), free_port()
    config = (
        f'workers = 2\n[sink]\nlisten = ["127.0.0.1:{sink}"]\n[smtp]\nlisten = ["127.0.0.1:{smtp}"]\n'
        f'next_hop = "127.0.0.1:{sink}"\ntell_client = "received"\ndomains = ["anywhere.example"]\n'
    )
    with process(tmp_path, config):
        for _ in range(6):
            assert send(smtp, messages.postfix())[0] == 250
