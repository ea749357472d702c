"""``wehr setup postfix`` and ``wehr doctor`` beside a real Postfix: wired, asked, broken, named, mended."""

import json
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import messages
import postfix
import pytest
from ports import free_port
from postfix import Peer, Postfix
from running import AGELESS, Receiver, receiver

from wehr.doors.probe import trace
from wehr.service.config_text import render
from wehr.service.mta.postfix import find

pytestmark = [pytest.mark.mta, pytest.mark.xdist_group("mta")]

OUTDATED = "15.1.2507.16"
PEER = Peer("mail.example.com")
AT_ONCE = 'policy.ladder = "at-once"\npolicy.ladders = { at-once = [{ block = 60 }] }\n'
"""An out-of-date server is refused now, for doctor makes its probes in the present."""


@pytest.fixture(name="wehr")
def _wehr(open_folder: Path) -> Iterator[Receiver]:
    extra = f'{AT_ONCE}policy_service.socket = "policy.sock"'
    with receiver(open_folder / "state", time.time(), mode="enforce", extra=extra) as running:
        (open_folder / "wehr.toml").write_text(render(running.service.config))
        yield running


@pytest.fixture(name="mx")
def _mx(open_folder: Path, wehr: Receiver) -> Iterator[Postfix]:
    with postfix.running(open_folder / "postfix", "") as server:
        yield server


def _wehr_says(wehr: Receiver, *arguments: str) -> subprocess.CompletedProcess[str]:
    files = ["--config", str(wehr.folder.parent / "wehr.toml"), "--state", str(wehr.folder)]
    return subprocess.run(
        [sys.executable, "-m", "wehr", *arguments, *files],
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )


def _setup(wehr: Receiver, mx: Postfix, *options: str) -> subprocess.CompletedProcess[str]:
    return _wehr_says(wehr, "setup", "postfix", "--config-dir", str(mx.folder / "etc"), *options)


def _doctor(wehr: Receiver, mx: Postfix, *options: str) -> tuple[int, list[dict[str, str]]]:
    """The exit code, and what it found wrong or odd."""
    run = _wehr_says(wehr, "doctor", "--json", "--postfix", str(mx.folder / "etc"), *options)
    findings = json.loads(run.stdout)["findings"]
    return run.returncode, [it for it in findings if it["level"] in {"wrong", "odd"}]


def _postconf(mx: Postfix, *settings: str) -> None:
    subprocess.run(["postconf", "-c", str(mx.folder / "etc"), *settings], check=True)


def _reload(mx: Postfix) -> None:
    subprocess.run(["postfix", "-c", str(mx.folder / "etc"), "reload"], check=True, capture_output=True)


def _refused(mx: Postfix) -> bool:
    """Whether an out-of-date server is."""
    answer = postfix.send(mx, PEER, messages.exchange(OUTDATED))
    return answer.code == 550 and "out-of-date" in answer.text


def test_a_fresh_postfix_is_wired(mx: Postfix, wehr: Receiver) -> None:
    """Printed, nothing is touched; written and reloaded, Wehr refuses, and doctor says that all is well."""
    main = mx.folder / "etc" / "main.cf"
    main.chmod(0o640)
    before = main.read_text()
    assert [it["text"] for it in _doctor(wehr, mx)[1]] == ["is not wired to Wehr: smtpd_milters names nobody"]

    shown = _setup(wehr, mx)
    assert shown.returncode == 0, shown.stderr
    assert f"+smtpd_milters = {{ inet:127.0.0.1:{wehr.port}, default_action=accept, " in shown.stdout
    assert main.read_text() == before

    written = _setup(wehr, mx, "--write", "--reload")

    assert written.returncode == 0, written.stderr
    assert main.stat().st_mode & 0o777 == 0o640
    (backup,) = main.parent.glob("main.cf.wehr-*")
    assert backup.read_text() == before
    assert f"mv {backup} {main}" in written.stdout
    assert _refused(mx)
    assert _doctor(wehr, mx) == (0, [])


def test_a_second_run_has_nothing_to_do(mx: Postfix, wehr: Receiver) -> None:
    """And makes no further backup."""
    _setup(wehr, mx, "--write")
    again = _setup(wehr, mx, "--write")

    assert again.returncode == 0
    assert again.stdout == "Nothing to do: it asks Wehr already.\n"
    assert len(list((mx.folder / "etc").glob("*.wehr-*"))) == 1


def test_other_milters_stay_behind_wehr(mx: Postfix, wehr: Receiver) -> None:
    """Those named by a parameter of one's own too, as they are written."""
    _postconf(
        mx,
        "-e",
        "dkim = inet:127.0.0.1:8891",
        "smtpd_milters = $dkim, { unix:/run/x.sock, connect_timeout=1s }",
    )

    _setup(wehr, mx, "--write")

    found = subprocess.run(
        ["postconf", "-c", str(mx.folder / "etc"), "-h", "smtpd_milters"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert found == (
        f"{{ inet:127.0.0.1:{wehr.port}, default_action=accept, connect_timeout=3s, command_timeout=3s, "
        "content_timeout=10s }, $dkim, { unix:/run/x.sock, connect_timeout=1s }\n"
    )
    assert _doctor(wehr, mx) == (0, [])


def test_an_override_for_strangers_in_master_cf_is_wired_too(mx: Postfix, wehr: Receiver) -> None:
    """One for users, or for a content filter, is left alone."""
    master = mx.folder / "etc" / "master.cf"
    text = master.read_text()
    service = f"{mx.host}:{mx.port} inet n - n - - smtpd\n"
    assert service in text
    more = (
        f"0.0.0.0:{free_port()} inet n - n - - smtpd\n  -o smtpd_milters=inet:127.0.0.1:8891\n"
        "submission inet n - n - - smtpd\n  -o smtpd_milters=inet:127.0.0.1:8891\n"
        f"127.0.0.1:{free_port()} inet n - n - - smtpd\n  -o smtpd_milters=\n"
    )
    master.write_text(text.replace(service, service + more))
    assert len(_doctor(wehr, mx)[1]) == 2  # main.cf's list, and that of 0.0.0.0

    written = _setup(wehr, mx, "--write")

    assert written.returncode == 0, written.stderr
    assert _doctor(wehr, mx) == (0, [])
    assert master.read_text().count(f"inet:127.0.0.1:{wehr.port}") == 1
    assert "submission inet n - n - - smtpd\n  -o smtpd_milters=inet:127.0.0.1:8891\n" in master.read_text()


def _broken(wehr: Receiver) -> Sequence[tuple[str, str, str]]:
    """A list of milters, what doctor says, and how bad it is."""
    good = f"inet:127.0.0.1:{wehr.port}"
    quick = "connect_timeout=3s,command_timeout=3s,content_timeout=10s"
    return (
        (
            f"{{ {good}, default_action=tempfail, {quick} }}",
            "while Wehr is down, mail is not accepted",
            "wrong",
        ),
        (f"{{ {good}, default_action=accept }}", "a hung Wehr holds up each message", "odd"),
        (f"{good}, {{ {wehr.milter_socket}, default_action=accept }}", "asks Wehr 2 times", "wrong"),
        (
            f"inet:127.0.0.1:{free_port()}",
            "is not wired to Wehr: smtpd_milters names 127.0.0.1:",
            "wrong",
        ),
        (f"{{ {good}, default_acton=accept }}", "Postfix cannot read smtpd_milters", "wrong"),
        (f"{good}, default_action=accept", "Postfix cannot read smtpd_milters", "wrong"),
    )


@pytest.mark.parametrize("case", range(6))
def test_doctor_names_what_is_wrong_and_setup_mends_it(mx: Postfix, wehr: Receiver, case: int) -> None:
    """Fail mode, timeouts, twice, elsewhere, slips; the remedy is the very line that setup writes."""
    value, said, level = _broken(wehr)[case]
    timeouts = [f"milter_{step}_timeout = 300s" for step in ("connect", "command", "content")]
    _postconf(mx, "-e", f"smtpd_milters = {value}", *timeouts)

    code, (finding, *_) = _doctor(wehr, mx)

    assert said in finding["text"]
    assert finding["level"] == level
    assert code == (1 if level == "wrong" else 0)
    remedy = finding["remedy"].removeprefix("main.cf: ")
    assert remedy in _setup(wehr, mx).stdout
    _setup(wehr, mx, "--write")
    assert _doctor(wehr, mx) == (0, [])


def test_the_default_fail_mode_of_postfix_is_named(mx: Postfix, wehr: Receiver) -> None:
    """Without a word in main.cf, milter_default_action is tempfail."""
    _postconf(mx, "-e", f"smtpd_milters = inet:127.0.0.1:{wehr.port}")
    _postconf(mx, "-X", "milter_default_action")

    _, (finding, *_) = _doctor(wehr, mx)

    assert finding["text"] == "while Wehr is down, mail is not accepted: milter_default_action is 'tempfail'"


def test_a_socket_out_of_reach_of_a_chroot_is_named(mx: Postfix, wehr: Receiver) -> None:
    """With the address that is in reach."""
    master = mx.folder / "etc" / "master.cf"
    master.write_text(master.read_text().replace("inet n - n - - smtpd", "inet n - y - - smtpd"))
    _postconf(mx, "-e", f"smtpd_milters = {{ {wehr.milter_socket}, default_action=accept }}")

    code, (finding,) = _doctor(wehr, mx)

    assert code == 1
    assert "runs in a chroot and cannot see" in finding["text"]
    assert f"inet:127.0.0.1:{wehr.port}" in finding["remedy"]


def test_a_socket_that_postfix_may_not_use_is_named(mx: Postfix, wehr: Receiver) -> None:
    """By its mode, or by that of a folder on the way."""
    _postconf(mx, "-e", f"smtpd_milters = {{ {wehr.milter_socket}, default_action=accept }}")
    (wehr.folder / "milter.sock").chmod(0o600)
    socket = _doctor(wehr, mx)[1]
    (wehr.folder / "milter.sock").chmod(0o666)
    wehr.folder.chmod(0o700)
    folder = _doctor(wehr, mx)[1]

    assert "milter.sock (mode 0600) is not writable for postfix" in socket[0]["text"]
    assert "state (mode 0700) is not to be passed by postfix" in folder[0]["text"]
    assert "socket_mode" in socket[0]["remedy"]


def test_a_socket_below_the_queue_directory_is_looked_at_too(
    mx: Postfix, wehr: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There an smtpd looks for a relative path, and in a chroot for any."""
    inside = mx.folder / "queue" / "wehr"
    inside.symlink_to(wehr.folder)
    monkeypatch.chdir("/")
    quick = "connect_timeout=3s, command_timeout=3s, content_timeout=10s"
    _postconf(mx, "-e", f"smtpd_milters = {{ unix:wehr/milter.sock, default_action=accept, {quick} }}")
    assert _doctor(wehr, mx) == (0, [])

    (wehr.folder / "milter.sock").chmod(0o600)

    code, (finding,) = _doctor(wehr, mx)
    assert code == 1
    assert "milter.sock (mode 0600) is not writable for postfix" in finding["text"]


def test_an_smtpd_behind_the_smtp_proxy_need_not_ask(mx: Postfix, wehr: Receiver) -> None:
    """Its mail is judged already; one that strangers reach as well has to."""
    config = wehr.folder.parent / "wehr.toml"
    text = config.read_text()
    open_proxy = text.replace("[smtp]\nlisten = []", f'[smtp]\nlisten = ["127.0.0.1:{free_port()}"]')
    config.write_text(open_proxy.replace('next_hop = ""', f'next_hop = "127.0.0.1:{mx.port}"'))
    about = f"127.0.0.1:{mx.port}/inet takes mail from Wehr's SMTP proxy"

    run = _wehr_says(wehr, "doctor", "--json", "--postfix", str(mx.folder / "etc"))
    found = {it["text"]: it["level"] for it in json.loads(run.stdout)["findings"] if "Postfix" in it["about"]}
    assert found[about] == "ok"
    assert "wrong" not in found.values()

    master = mx.folder / "etc" / "master.cf"
    master.write_text(f"{master.read_text()}127.0.0.1:{free_port()} inet n - n - - smtpd\n")
    assert any("is not wired to Wehr" in it["text"] for it in _doctor(wehr, mx)[1])


def test_a_policy_service_that_defers_without_wehr_is_named(mx: Postfix, wehr: Receiver) -> None:
    """With Postfix's default the client gets 451 while Wehr is down."""
    _setup(wehr, mx, "--write")
    place = f"unix:{wehr.folder / 'policy.sock'}"
    _postconf(mx, "-e", f"smtpd_recipient_restrictions = check_policy_service {place}")
    code, (finding,) = _doctor(wehr, mx)
    _postconf(mx, "-e", f"smtpd_recipient_restrictions = {finding['remedy'].partition('= ... ')[2]}")

    assert code == 1
    assert "while Wehr is down, smtpd_recipient_restrictions answers '451" in finding["text"]
    assert _doctor(wehr, mx) == (0, [])


def test_a_policy_service_that_a_chroot_hides_is_named(mx: Postfix, wehr: Receiver) -> None:
    """Postfix tries twice and goes on, so that mail only gets slow."""
    _setup(wehr, mx, "--write")
    master = mx.folder / "etc" / "master.cf"
    master.write_text(master.read_text().replace("inet n - n - - smtpd", "inet n - y - - smtpd"))
    ask = f"check_policy_service {{ unix:{wehr.folder / 'policy.sock'}, timeout=3s, default_action=DUNNO }}"
    _postconf(mx, "-e", f"smtpd_recipient_restrictions = reject_unauth_destination, {ask}")

    code, (finding,) = _doctor(wehr, mx)

    assert code == 1
    assert "smtpd runs in a chroot and cannot see" in finding["text"]
    assert "[policy_service] listen" in finding["remedy"]


def test_what_postfix_does_not_take_is_put_back(mx: Postfix, wehr: Receiver) -> None:
    """The files are as they were, and no backup is left."""
    main = mx.folder / "etc" / "main.cf"
    _postconf(mx, "-e", "queue_directory = /nonexistent/queue")
    before = main.read_bytes()

    run = _setup(wehr, mx, "--write")

    assert run.returncode == 2
    assert "so nothing is changed" in run.stderr
    assert main.read_bytes() == before
    assert not list(main.parent.glob("*.wehr-*"))


def test_a_probe_goes_through_postfix_and_is_refused_there(mx: Postfix, wehr: Receiver) -> None:
    """The refusal is the proof; nothing is delivered, and nothing is remembered of it."""
    via = ("--send", "postmaster@example.org", "--via", f"{mx.host}:{mx.port}")
    _setup(wehr, mx, "--write")
    _reload(mx)
    assert _doctor(wehr, mx, *via) == (0, [])
    assert "relay=none" not in mx.log
    assert "status=sent" not in mx.log
    assert not list(wehr.service.memory.ledger)


def test_a_probe_that_wehr_did_not_see_is_named(mx: Postfix, wehr: Receiver) -> None:
    """Postfix was not told: it takes the probe, and delivers it."""
    via = ("--send", "postmaster@example.org", "--via", f"{mx.host}:{mx.port}")
    code, found = _doctor(wehr, mx, *via)

    assert code == 1
    assert found[-1]["text"].startswith("was taken, and is delivered to postmaster@example.org")


def test_a_stranger_cannot_have_his_copy_of_the_probe_refused(mx: Postfix, wehr: Receiver) -> None:
    """Brought from one's own side, and on top, as by a relay that adds no field; or one from hours ago."""
    _setup(wehr, mx, "--write")
    _reload(mx)
    now, secret = time.time(), wehr.service.memory.secret
    guessed, old, true = trace(b"a stranger's guess", now), trace(secret, now - 3 * 3600), trace(secret, now)

    def answer(stamp: str, address: str) -> int:
        return postfix.send(mx, Peer("x.example", address), f"Received: {stamp}\nSubject: Hello\n").code

    assert [answer(it, "127.0.0.1") for it in (guessed, old, true)] == [250, 250, 550]
    assert answer(true, "203.0.113.10") == 250


def test_further_instances_are_found(open_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the first one's multi_instance_directories (postmulti(1))."""
    postfix.require_postfix()
    (open_folder / "main.cf").write_text("multi_instance_directories = /etc/postfix-out, /etc/postfix-in\n")
    (open_folder / "master.cf").write_text("")
    monkeypatch.setenv("MAIL_CONFIG", str(open_folder))

    found = [str(folder) for folder in find()]

    assert found == [str(open_folder), "/etc/postfix-out", "/etc/postfix-in"]


def test_what_setup_has_no_change_for_is_said(mx: Postfix, wehr: Receiver) -> None:
    """A service for strangers that is told to ask no milter is never called well."""
    _setup(wehr, mx, "--write")
    master = mx.folder / "etc" / "master.cf"
    service = f"{mx.host}:{mx.port} inet n - n - - smtpd\n"
    public = f"0.0.0.0:{free_port()} inet n - n - - smtpd\n  -o receive_override_options=no_milters\n"
    master.write_text(master.read_text().replace(service, service + public))

    code, (finding,) = _doctor(wehr, mx)
    run = _setup(wehr, mx, "--write")

    assert (code, finding["level"]) == (1, "wrong")
    assert "asks no milter at all" in finding["text"]
    assert run.returncode == 2
    assert "take no_milters out of receive_override_options" in run.stderr


def test_a_chroot_with_nothing_but_a_socket_needs_an_address(mx: Postfix, wehr: Receiver) -> None:
    """Doctor and setup say which line opens one."""
    master = mx.folder / "etc" / "master.cf"
    master.write_text(master.read_text().replace("inet n - n - - smtpd", "inet n - y - - smtpd"))
    _postconf(mx, "-e", f"smtpd_milters = {{ {wehr.milter_socket}, default_action=accept }}")
    config = wehr.folder.parent / "wehr.toml"
    config.write_text(AGELESS + 'milter.listen = []\nmilter.socket = "milter.sock"\n')

    _, (finding, *_) = _doctor(wehr, mx)
    run = _setup(wehr, mx)

    assert finding["remedy"].startswith('wehr.toml: [milter] listen = ["127.0.0.1:8893"]')
    assert run.returncode == 2
    assert "open a TCP address beside it" in run.stderr
