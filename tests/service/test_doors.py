"""The doors that are closed by default: opened by their tables, by one worker or several."""

import asyncio
import errno
import hashlib
import socket
from pathlib import Path

import http_asking
import pytest
from http_asking import post
from ports import free_port
from running import configuration, process, receiver, until

from wehr.doors.door import Door
from wehr.doors.line.client import ask
from wehr.service.config import ConfigError, parse
from wehr.service.doors import DOORS
from wehr.service.listeners import Listeners
from wehr.service.state_folder import StartError

QUESTION = b"request=message\nclient_address=203.0.113.10\nreceived=from a by b\n\n"


@pytest.mark.parametrize("workers", [1, 2])
def test_the_http_door_is_served_by_all_workers(tmp_path: Path, workers: int) -> None:
    """Over TCP and a unix socket, with a token."""
    port, path = free_port(), tmp_path / "http.sock"
    token = hashlib.sha256(b"secret").hexdigest()
    http = f'[http]\nlisten = ["127.0.0.1:{port}"]\nsocket = "{path}"\ntokens = ["{token}"]\n'
    asked = post("/v1/decide", {}, Authorization="Bearer secret", Connection="close")
    with process(tmp_path, f"workers = {workers}\n{http}"):
        for _ in range(10):
            with socket.create_connection(("127.0.0.1", port), 10) as tcp:
                assert http_asking.exchange(tcp, asked)[0].json["action"] == "accept"
            with socket.socket(socket.AF_UNIX) as unix:
                unix.connect(str(path))
                assert http_asking.exchange(unix, asked)[0].status == 200
    until(lambda: not path.exists())


@pytest.mark.parametrize("extra", ["", 'tokens = ["secret"]'])
def test_the_http_door_is_not_opened_to_all_without_a_token(extra: str) -> None:
    """Nor with one that is written out in place of its SHA-256."""
    with pytest.raises(ConfigError, match=r"http\.tokens"):
        parse(f'[http]\nlisten = ["127.0.0.1:1", "0.0.0.0:8896"]\n{extra}', "wehr.toml")


@pytest.mark.parametrize("workers", [1, 2])
def test_the_line_door_is_served_by_all_workers(tmp_path: Path, workers: int) -> None:
    """Over TCP and a unix socket, which is gone when Wehr is."""
    port, path = free_port(), tmp_path / "line.sock"
    config = f'workers = {workers}\n[line]\nlisten = ["127.0.0.1:{port}"]\nsocket = "{path}"\n'
    with process(tmp_path, config):
        for _ in range(10):
            assert ask(("127.0.0.1", port), QUESTION, 10) is None
            assert ask(str(path), QUESTION, 10) is None
    until(lambda: not path.exists())


def test_without_their_tables_only_the_milter_listens(tmp_path: Path) -> None:
    """The other doors are off."""
    with Listeners(configuration(free_port(), "report"), tmp_path) as listeners:
        assert {name: len(listeners.sockets[name]) for name in DOORS if listeners.sockets[name]} == {
            "milter": 2
        }


def test_all_doors_drain_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Wehr stops as soon as the slowest has: none waits with hanging up until another has."""
    opened = "\n".join(f'{name}.socket = "{name}.sock"' for name in ("line", "http", "policy_service"))
    together, drain = asyncio.Barrier(4), Door.close

    async def close(door: Door) -> None:
        async with asyncio.timeout(10):
            await together.wait()
        await drain(door)

    monkeypatch.setattr(Door, "close", close)
    with receiver(tmp_path, 1_791_000_000.0, "report", opened) as running:
        assert len(running.service.doors) == 4
    assert not list(tmp_path.glob("*.sock"))


def test_an_address_that_is_taken_names_its_key(tmp_path: Path) -> None:
    """And what was opened before is closed again."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        config = configuration(free_port(), "report", f'line.listen = ["127.0.0.1:{port}"]')
        with pytest.raises(StartError, match=r"is taken by another program; .* with line\.listen$"):
            Listeners(config, tmp_path)
    assert not (tmp_path / "milter.sock").exists()


@pytest.mark.parametrize(
    ("extra", "address", "taken", "remedy"),
    [
        (
            'line.listen = ["127.0.0.1:{port}"]',
            "127.0.0.1:{port}",
            "127.0.0.1:{port} of milter.listen or --listen",
            "choose another with line.listen",
        ),
        (
            'web.listen = ["localhost:{port}"]',
            "localhost:{port}",
            "127.0.0.1:{port} of milter.listen or --listen",
            "choose another with web.listen",
        ),
        (
            'http.listen = ["127.0.0.1:{other}", "127.0.0.1:{other}"]',
            "127.0.0.1:{other}",
            "127.0.0.1:{other} of http.listen",
            "take one of them away",
        ),
        (
            'smtp.next_hop = "127.0.0.1:2"\nsmtp.listen = ["127.0.0.1:{other}", "0.0.0.0:{other}"]',
            "0.0.0.0:{other}",
            "127.0.0.1:{other} of smtp.listen",
            "take one of them away",
        ),
        (
            'line.socket = "milter.sock"',
            "{folder}/milter.sock",
            "{folder}/milter.sock of milter.socket or --socket",
            "choose another with line.socket",
        ),
    ],
)
def test_an_address_that_is_named_twice_is_no_other_programs(
    tmp_path: Path, extra: str, address: str, taken: str, remedy: str
) -> None:
    """Both settings are named, and nothing is left behind."""
    port = free_port()
    names = {"port": port, "other": free_port(), "folder": tmp_path}
    config = configuration(port, "report", extra.format(**names))
    with pytest.raises(StartError) as caught:
        Listeners(config, tmp_path)
    said = f"{address} is taken by Wehr itself, with {taken}; {remedy}"
    assert str(caught.value) == said.format(**names)
    assert not (tmp_path / "milter.sock").exists()


def test_ports_that_the_system_chooses_and_both_loopbacks_do_not_meet(tmp_path: Path) -> None:
    """They are different addresses."""
    port = free_port()
    both = f'web.listen = ["127.0.0.1:{port}", "[::1]:{port}", "127.0.0.1:0", "127.0.0.1:0"]'
    with Listeners(configuration(free_port(), "report", both), tmp_path) as listeners:
        assert len(listeners.pages) == 4


def test_an_address_that_is_none_is_an_error_of_the_configuration() -> None:
    """With the key's name."""
    with pytest.raises(ConfigError, match=r"policy_service"):
        parse('[policy_service]\nlisten = ["nowhere"]\n', "wehr.toml")


def test_a_group_that_wehr_is_not_in_is_told_with_what_mends_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only a member may give a socket to a group."""

    def forbidden(*_: object, **__: object) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr("shutil.chown", forbidden)
    config = parse('web.listen = []\n[milter]\nlisten = []\nsocket_group = "postfix"', "test")
    with pytest.raises(StartError, match=r"must be in the group 'postfix' \(SupplementaryGroups= in"):
        Listeners(config, tmp_path)


def test_a_low_port_that_wehr_may_not_have_is_told_with_what_it_needs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As port 25 for the SMTP proxy, which Wehr's own user does not get."""

    def forbidden(*_: object, **__: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr("socket.create_server", forbidden)
    config = parse('web.listen = []\nmilter.listen = ["127.0.0.1:25"]', "test")
    with pytest.raises(StartError, match="cannot be listened on without the capability CAP_NET_BIND_SERVICE"):
        Listeners(config, tmp_path)
    config = parse('web.listen = []\nmilter.listen = ["127.0.0.1:8893"]', "test")
    with pytest.raises(StartError, match="cannot be listened on: Permission denied"):  # SELinux, say
        Listeners(config, tmp_path)
