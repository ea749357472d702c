"""Reloading: the new configuration from the next message on, or the old one and a word about it."""

import asyncio
import signal
import socket
import subprocess
import sys
from datetime import UTC, datetime
from functools import partial
from itertools import islice
from pathlib import Path
from threading import Event

import messages
import msgspec
import pytest
from msgspec.structs import replace
from ports import free_port
from running import configuration, process, receiver, until

from wehr.catalogue import Catalogue
from wehr.doors.milter import MilterClient
from wehr.evidence import Session
from wehr.policy import Mode
from wehr.service.config import Config

START = datetime(2026, 10, 12, 9, 0, tzinfo=UTC).timestamp()
CLIENT = Session(client_ip="203.0.113.10", helo="ex01.example.com", recipients=("example.org",))
HEADERS = [("Received", " " + messages.exchange("15.1.2507.16").partition(": ")[2].partition("\nFrom")[0])]


def test_enforcement_begins_with_the_next_message(tmp_path: Path) -> None:
    """The same connection, the same server: taken before, refused after."""
    with (
        receiver(tmp_path, START, mode="report") as wehr,
        MilterClient(("127.0.0.1", wehr.port), CLIENT) as client,
    ):
        for day in (0, 25, 50, 75, 95):
            wehr.clock.now = START + day * 86_400
            assert client.deliver(HEADERS) == "accept"

        assert wehr.reload(configuration(wehr.port, "enforce")) == ()

        assert client.deliver(HEADERS).startswith("550 5.7.230 ")


def test_what_needs_a_restart_is_named(tmp_path: Path) -> None:
    """The door stays where it is; the operator is told."""
    with receiver(tmp_path, START, mode="report") as wehr:
        assert wehr.reload(configuration(wehr.port, "enforce", "milter.idle_timeout = 60")) == ("milter",)
        assert wehr.service.config.policy.mode is Mode.ENFORCE


def test_what_needs_a_restart_is_named_as_long_as_it_does(tmp_path: Path) -> None:
    """By every reload, and not by the one that takes it back; there are as many workers as there were."""
    with receiver(tmp_path, START, mode="report") as wehr:
        before = configuration(wehr.port, "report")
        after = replace(before, workers=3, milter=replace(before.milter, idle_timeout=60))

        assert [wehr.reload(config) for config in (after, after)] == [("milter", "workers")] * 2
        assert wehr.service.config.workers == 1
        assert [wehr.reload(config) for config in (before, before)] == [(), ()]


def test_each_of_several_workers_names_what_needs_a_restart(tmp_path: Path) -> None:
    """As long as it does; how many workers there are as well, though each is started by a number."""
    file = tmp_path / "wehr.toml"
    serve = [sys.executable, "-m", "wehr", "serve", "--config", str(file), "--state", str(tmp_path / "state")]
    file.write_text("workers = 2\n")
    with subprocess.Popen(
        [*serve, "--listen", "127.0.0.1:0", "--socket", "", "--web", ""],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as wehr:
        assert wehr.stdout
        assert wehr.stderr
        log = map(msgspec.json.decode, wehr.stderr)

        def reload(text: str, event: str = "some changes need a restart") -> list[str]:
            file.write_text(text)
            wehr.send_signal(signal.SIGHUP)
            both = islice((line for line in log if line["event"] == event), 2)
            return [line.get("tables", "") for line in both]

        try:
            assert any(line.startswith("Ready") for line in wehr.stdout)
            assert reload("workers = 3\nline.idle_timeout = 60\n") == ["line, workers"] * 2
            assert reload("workers = 3\nline.idle_timeout = 60\n") == ["line, workers"] * 2
            reload("workers = 2\n", "configuration reloaded")
            assert reload("workers = 2\nhttp.idle_timeout = 90\n") == ["http"] * 2
        finally:
            wehr.terminate()


def test_a_broken_file_keeps_the_old_configuration_and_says_so(tmp_path: Path) -> None:
    """``wehr reload`` refuses it; a hangup signal is survived."""
    config = "[policy]\nmode = 'report'\n"
    with process(tmp_path, config) as wehr:
        file = tmp_path / "wehr.toml"
        reload = [
            sys.executable,
            "-m",
            "wehr",
            "reload",
            "--config",
            str(file),
            "--state",
            str(tmp_path / "state"),
        ]

        good = subprocess.run(reload, capture_output=True, text=True, timeout=30, check=False)
        assert good.returncode == 0, good.stderr
        assert f"Process {wehr.popen.pid} was told to reload; mode: report" in good.stdout

        file.write_text("[policy]\nmode = 'strict'\n")
        bad = subprocess.run(reload, capture_output=True, text=True, timeout=30, check=False)
        assert bad.returncode == 2
        assert f"{file}:2: policy.mode: found 'strict'" in bad.stderr

        wehr.signal(1)
        with MilterClient(("127.0.0.1", wehr.port), CLIENT) as client:
            assert client.deliver(HEADERS) == "accept"
        assert wehr.popen.poll() is None


def test_reload_without_a_service_says_where_it_looked(tmp_path: Path) -> None:
    """Exit code 2."""
    run = subprocess.run(
        [sys.executable, "-m", "wehr", "reload", "--state", str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )

    assert run.returncode == 2
    assert f"no Wehr serves {tmp_path}" in run.stderr


def test_the_machine_is_asked_for_its_name_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The DNS may be slow to tell it: neither a reload nor another change of the rules waits for it."""
    with receiver(tmp_path, START, mode="report") as wehr:
        unnamed = replace(configuration(wehr.port, "enforce"), host_name="")
        wehr.reload(unnamed)
        name = wehr.service.gate.setting.host
        monkeypatch.setattr(socket, "getfqdn", lambda: "asked.again.example")
        wehr.reload(unnamed)

        assert name
        assert wehr.service.gate.setting.host == name


def test_the_smtp_doors_call_themselves_by_the_new_name(tmp_path: Path) -> None:
    """The sink in its greeting, the proxy where its next hop is away; from the next client on."""
    sink, smtp = free_port(), free_port()
    extra = (
        f'sink.listen = ["127.0.0.1:{sink}"]\nsmtp.listen = ["127.0.0.1:{smtp}"]\n'
        f'smtp.next_hop = "127.0.0.1:{free_port()}"'
    )

    def greetings() -> list[str]:
        lines = []
        for port in (sink, smtp):
            with socket.create_connection(("127.0.0.1", port), 20) as client:
                lines.append(client.makefile("rb").readline().decode())
        return lines

    with receiver(tmp_path, START, "report", extra) as wehr:
        assert [" mx.example.org " in line for line in greetings()] == [True, True]
        renamed = replace(configuration(wehr.port, "report", extra), host_name="mx2.example.org")
        assert wehr.reload(renamed) == ()
        assert [" mx2.example.org " in line for line in greetings()] == [True, True]


def test_the_last_of_two_reloads_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Though the first takes longer."""
    with receiver(tmp_path, START, mode="report") as wehr:
        service, slow = wehr.service, configuration(wehr.port, "simulate")
        load, begun, go_on = service._load_catalogue, Event(), Event()

        def loaded(config: Config) -> Catalogue:
            if config is slow:
                begun.set()
                go_on.wait(20)
            return load(config)

        monkeypatch.setattr(service, "_load_catalogue", loaded)
        run = partial(asyncio.run_coroutine_threadsafe, loop=wehr.loop)
        first = run(service.reload(slow))
        begun.wait(20)
        second = run(service.reload(configuration(wehr.port, "enforce")))
        until(lambda: second.done() or service._reloading._waiters)
        go_on.set()
        first.result(20)
        second.result(20)

        assert service.config.policy.mode is Mode.ENFORCE
        assert service.gate.setting.policy.mode is Mode.ENFORCE
