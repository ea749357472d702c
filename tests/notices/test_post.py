"""The running service writes by itself, and nothing that goes wrong there holds up a message."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2
import messages
import pytest
from notice_stories import DAY, START, Mailbox, carry, hook, mailbox, seen
from ports import free_port
from running import Receiver, receiver, until

from wehr.doors.milter import MilterClient
from wehr.evidence import Session
from wehr.ledger import open_store
from wehr.ledger.outbox import Kind, Outbox, State
from wehr.service import post
from wehr.service.metrics import Metrics
from wehr.web.access.tokens import Scope, Tokens


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(post, "_LOOK", 0.05)


def settings(port: int, extra: str = "") -> str:
    """The configuration of a service that writes."""
    return f"""
        status_url = "https://wehr.receiver.test"
        [notices]
        tenants = ["default"]
        sender = "postmaster@receiver.test"
        submission = {{ host = "127.0.0.1", port = {port}, tls = "none", timeout = 5 }}
        digest = {{ to = ["admins@receiver.test"] }}
        {extra}
        """


def remembered(folder: Path) -> str:
    """A state folder that knows one server; gives its store's URL."""
    folder.mkdir(mode=0o700)
    url = f"sqlite:///{folder}/wehr.sqlite"
    with open_store(url) as store:
        carry(store, [seen()])
    return url


def answer(wehr: Receiver) -> tuple[str, float]:
    """A message's answer, and the seconds that it took."""
    begun = time.monotonic()
    session = Session(client_ip="203.0.113.10", helo="ex01.example.com", recipients=("example.org",))
    header = messages.exchange("15.1.2507.16").partition(": ")[2].partition("\nFrom")[0]
    with MilterClient(("127.0.0.1", wehr.port), session, timeout=5) as client:
        found = client.deliver([("Received", f" {header}")])
    return found[:3], time.monotonic() - begun


def items(url: str, kind: Kind = Kind.NOTICE) -> list[State]:
    """The states of what is in the outbox."""
    with open_store(url, create=False) as store:
        return [item.state for item in Outbox(store).items(kind=kind)]


def test_it_writes_once_whoever_else_runs(tmp_path: Path) -> None:
    """Notice and digest go out; a second start sends nothing again."""
    url = remembered(tmp_path / "state")
    with mailbox() as box:
        for _ in range(2):
            with receiver(tmp_path / "state", START + 2 * DAY, "enforce", settings(box.port)) as wehr:
                until(lambda: items(url) == items(url, Kind.DIGEST) == [State.SENT])
                wehr.clock.now += 60
                time.sleep(0.3)  # nothing more comes

        assert sorted(envelope.rcpt_tos[0] for envelope in box.envelopes) == [
            "admins@receiver.test",
            "postmaster@example.org",
        ]
        (notice,) = [it for it in box.messages if it["To"] == "postmaster@example.org"]
        assert "https://wehr.receiver.test/s/" in notice.as_string()
    assert items(url) == [State.SENT]


def test_a_reload_switches_it_on(tmp_path: Path) -> None:
    """No restart is needed, and a service without notices writes none."""
    from running import configuration

    remembered(tmp_path / "state")
    with mailbox() as box, receiver(tmp_path / "state", START + 2 * DAY, "enforce") as wehr:
        time.sleep(0.3)
        assert box.envelopes == []
        wehr.reload(configuration(wehr.port, "enforce", settings(box.port)))
        until(lambda: len(box.envelopes) == 2)


def test_what_a_person_wants_written_is_sent_within_seconds(tmp_path: Path) -> None:
    """By the API, an hour after the detection; the service itself finds nothing more to say afterwards."""
    url, web = remembered(tmp_path / "state"), free_port()
    with open_store(url) as store:
        ref = store.servers()[0].ref
        secret = Tokens(store).create("desk", Scope.OPERATE, (), days=9, by="eve", now=START)[1]
    listen = f'web.listen = ["127.0.0.1:{web}"]\n'
    with mailbox() as box:
        with receiver(tmp_path / "state", START + DAY / 24, "enforce", listen + settings(box.port)) as wehr:
            asked = (f"http://127.0.0.1:{web}/api/v1/servers/{ref}/notice",)
            bearer = {"Authorization": f"Bearer {secret}"}
            answers = [httpx2.post(*asked, json={"why": "they called"}, headers=bearer) for _ in range(2)]
            until(lambda: "postmaster@example.org" in recipients(box))
            wehr.clock.now += 2 * DAY
            until(lambda: recipients(box).count("admins@receiver.test") == 2)  # it has planned anew

        assert [answer.status_code for answer in answers] == [202, 409]
        assert recipients(box).count("postmaster@example.org") == 1
    with open_store(url, create=False) as store:
        (event,) = store.events(ref=ref, kinds=("notice-planned",))
        assert (event.actor, event.detail["why"]) == ("token desk", "they called")


def recipients(box: Mailbox) -> list[str]:
    """Whom mail has come for."""
    return [envelope.rcpt_tos[0] for envelope in box.envelopes]


def test_how_the_outbox_stands_is_among_the_figures(tmp_path: Path) -> None:
    """What waits, what needs a person, and the kill switch: by state alone."""
    url = remembered(tmp_path / "state")
    with receiver(tmp_path / "state", START + 2 * DAY, "enforce", settings(free_port())) as wehr:

        def figures() -> dict[str, dict[tuple[str, ...], float]]:
            return {it.name: dict(it.samples) for it in Metrics(wehr.service, 1).families()}

        until(lambda: figures()["wehr_outbox"].get(("1", "waiting")) == 2)
        assert figures()["wehr_notices_stopped"] == {("1",): 0}
        with open_store(url, create=False) as store:
            (item,) = Outbox(store).items(kind=Kind.NOTICE)
            Outbox(store).finish(item, State.DOUBTFUL, START + 2 * DAY)
            Outbox(store).stop(START + 2 * DAY, "eve", "")
        until(lambda: figures()["wehr_notices_stopped"] == {("1",): 1})
        found = figures()["wehr_outbox"]

    names = ("waiting", "handing-over", "doubtful", "refused", "unaddressed")
    assert found == {("1", name): {"waiting": 1, "doubtful": 1}.get(name, 0) for name in names}


@contextmanager
def silent() -> Iterator[int]:
    """A submission host that takes connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        kept: list[socket.socket] = []
        ended = threading.Event()

        def take() -> None:
            listener.settimeout(0.05)
            while not ended.is_set():
                try:
                    kept.append(listener.accept()[0])
                except TimeoutError:
                    continue

        thread = threading.Thread(target=take)
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            ended.set()
            thread.join()
            for connection in kept:
                connection.close()


def test_a_submission_host_that_hangs_holds_up_no_message_and_no_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Mail is answered at once, the service ends soon, and the notice is still there."""
    monkeypatch.setattr(post, "_PATIENCE", 2)
    url = remembered(tmp_path / "state")
    with silent() as port:
        with receiver(tmp_path / "state", START + 2 * DAY, "enforce", settings(port)) as wehr:
            until(lambda: items(url))
            found = [answer(wehr) for _ in range(10)]
            begun = time.monotonic()
        ended = time.monotonic() - begun

    assert {code for code, _ in found} <= {"250", "450", "550", "acc"}, found
    assert max(seconds for _, seconds in found) < 2
    assert ended < 10
    assert items(url) == [State.WAITING]


def test_a_template_that_is_wrong_stops_only_itself(tmp_path: Path) -> None:
    """The service goes on, and so do webhooks."""
    url = remembered(tmp_path / "state")
    (tmp_path / "state" / "templates" / "en").mkdir(parents=True)
    (tmp_path / "state" / "templates" / "en" / "words.j2").write_text("{% broken")
    (tmp_path / "state" / "secret").write_text("a secret of some length")
    with hook() as box, mailbox() as letters:
        extra = f'templates = "templates"\nwebhooks = [{{ url = "{box.url}", secret_file = "secret" }}]'
        with receiver(tmp_path / "state", START + 2 * DAY, "enforce", settings(letters.port, extra)) as wehr:
            assert answer(wehr)[0]
            time.sleep(0.5)
            assert items(url) == []
            (tmp_path / "state" / "templates" / "en" / "words.j2").unlink()
            wehr.clock.now += 601
            until(lambda: letters.envelopes)
            wehr.clock.now += 61
            until(lambda: box.requests)
