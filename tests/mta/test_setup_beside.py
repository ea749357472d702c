"""``wehr setup`` and ``wehr doctor`` beside a real Sendmail, Exim and OpenSMTPD."""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import beside
import exim
import messages
import opensmtpd
import postfix
import pytest
import sendmail
from ports import free_port
from postfix import Peer, Server
from running import Receiver, receiver

from wehr.ledger import open_store
from wehr.service.config_text import render
from wehr.service.mta import Level
from wehr.service.probe_mail import Way, send

pytestmark = [pytest.mark.mta, pytest.mark.xdist_group("mta")]

OUTDATED = "15.1.2507.16"
PEER = Peer("mail.example.com")
AT_ONCE = 'policy.ladder = "at-once"\npolicy.ladders = { at-once = [{ block = 60 }] }\n'
"""An out-of-date server is refused now, for doctor makes its probes in the present."""
_USERS = {
    "sendmail-bin": ("smmta", "smmsp"),
    "exim4-daemon-light": ("Debian-exim",),
    "opensmtpd": ("opensmtpd", "opensmtpq"),
}
_NOTHING_TO_DO = "Nothing to do: it asks Wehr already.\n"


@contextmanager
def _wehr(folder: Path) -> Iterator[Receiver]:
    """Wehr in this process, with its configuration beside it for the commands."""
    extra = f'{AT_ONCE}line.listen = ["127.0.0.1:{free_port()}"]'
    with receiver(folder / "state", time.time(), mode="enforce", extra=extra) as running:
        (folder / "wehr.toml").write_text(render(running.service.config))
        yield running


def _commands(folder: Path) -> str:
    """Shell functions: this very Wehr's ``doctor`` and ``setup``, asked about the service's folder."""
    files = f"--config {folder}/wehr.toml --state {folder}/state"
    wehr = f"{sys.executable} -m wehr"
    return f'doctor() {{ {wehr} doctor --json "$@" {files}; }}\nsetup() {{ {wehr} setup "$@" {files}; }}\n'


def _in_view(folder: Path, package: str, script: str) -> list[str]:
    """What each line of the script says, run where the package is installed."""
    beside.require(package)
    lines = [line.strip() for line in script.strip().splitlines()]
    text = _commands(folder) + "exec 2>&1\n" + "\necho =====\n".join(lines)
    argv = beside.command(package, folder, _USERS[package], ["/bin/sh", "-c", text])
    run = subprocess.run(argv, check=False, capture_output=True, text=True, timeout=100)
    return run.stdout.split("=====\n")


def _open_to_all() -> str:
    """Shell: let every user run this Python, wherever it is installed; only the view changes."""
    python = Path(sys.executable)
    places = {*python.parents, *python.resolve().parents}
    return f"chmod o+x {' '.join(str(place) for place in places if place != Path('/'))}\n"


def _bad(out: str) -> list[str]:
    """What doctor found wrong or odd."""
    return [it["text"] for it in json.loads(out)["findings"] if it["level"] in {"wrong", "odd"}]


def _refused(mx: Server) -> bool:
    """Whether an out-of-date server is."""
    answer = postfix.send(mx, PEER, messages.exchange(OUTDATED), source="127.1.1.5")
    return answer.code == 550 and "5.7.230" in answer.text


def test_sendmail_is_wired(open_folder: Path) -> None:
    """Both its files; the real Sendmail refuses then, the probe of doctor too, and doctor is content."""
    etc = open_folder / "etc"
    cf = etc / "sendmail.cf"
    twice = r"s/^\(O InputMailFilters=.*\)/\1,other/;s/^Xwehr\(.*\)/Xwehr\1\nXother\1/"
    with _wehr(open_folder) as wehr:
        prepare = _commands(open_folder) + f"setup sendmail --config-dir {etc} --write > {open_folder}/said"
        with sendmail.running(open_folder, prepare=prepare) as mx:
            assert _refused(mx)
            with open_store(f"sqlite:///{wehr.folder / 'wehr.sqlite'}", create=False) as store:
                secret = store.secret
            probe = send(Way("postmaster@example.org", f"{mx.host}:{mx.port}"), secret, time.time())
            assert probe.level is Level.OK, probe.text
        again, after, elsewhere, tempfail, slow, double = _in_view(
            open_folder,
            "sendmail-bin",
            f"""
            setup sendmail --config-dir {etc} --write
            doctor --sendmail {etc}
            cp {cf} {cf}.good; sed -i 's/S=inet:{wehr.port}/S=inet:1/' {cf}; doctor --sendmail {etc}
            sed 's/^\\(Xwehr.*\\)/\\1, F=T/' {cf}.good > {cf}; doctor --sendmail {etc}
            sed 's/^\\(Xwehr.*\\), T=.*/\\1/' {cf}.good > {cf}; doctor --sendmail {etc}
            sed '{twice}' {cf}.good > {cf}; doctor --sendmail {etc}
            """,
        )

    assert "The mail system has checked it." in (open_folder / "said").read_text()
    assert len(list(etc.glob("sendmail.??.wehr-*"))) == 2
    assert again == _NOTHING_TO_DO
    assert _bad(after) == []
    (said,) = _bad(elsewhere)
    assert said.startswith("is not wired to Wehr: InputMailFilters names 127.0.0.1:1; ")
    assert said.endswith("sendmail.mc does, but sendmail.cf was not made anew")
    assert _bad(tempfail) == ["while Wehr is down, mail is answered 451: F=T"]
    assert _bad(slow) == ["a hung Wehr holds up each message: T= is not set"]
    assert _bad(double) == ["asks Wehr 2 times for each message: wehr and other"]


def test_a_sendmail_cf_that_was_changed_by_hand_is_left_alone(open_folder: Path) -> None:
    """Made anew it would lose what sendmail.mc does not know; setup says what to do instead."""
    etc = open_folder / "etc"
    with _wehr(open_folder):
        with sendmail.running(open_folder):
            pass
        with (etc / "sendmail.cf").open("a") as file:
            file.write("DZmine\n")
        before = (etc / "sendmail.cf").read_bytes()
        (said,) = _in_view(open_folder, "sendmail-bin", f"setup sendmail --config-dir {etc} --write")

    assert "is not what sendmail.mc makes" in said
    assert "INPUT_MAIL_FILTER(`wehr'" in said
    assert (etc / "sendmail.cf").read_bytes() == before


def test_a_sendmail_without_a_source_is_wired_in_its_sendmail_cf(open_folder: Path) -> None:
    """And the real Sendmail refuses by it."""
    etc = open_folder / "etc"
    with _wehr(open_folder):
        commands = _commands(open_folder)
        prepare = (
            f"{commands}rm {etc}/sendmail.mc; setup sendmail --config-dir {etc} --write > {open_folder}/said"
        )
        with sendmail.running(open_folder, prepare=prepare) as mx:
            assert _refused(mx)


def test_exim_is_wired(open_folder: Path) -> None:
    """The ACL after DATA; the real Exim refuses then, and doctor is content."""
    file = open_folder / "exim.conf"
    with _wehr(open_folder) as wehr:
        prepare = _commands(open_folder) + f"setup exim --config-file {file} --write > {open_folder}/said"
        with exim.running(open_folder, prepare=prepare) as mx:
            assert _refused(mx)
        (port,) = (it.rpartition(":")[2] for it in wehr.service.config.line.listen)
        again, after, elsewhere, deferring, decoding, unused = _in_view(
            open_folder,
            "exim4-daemon-light",
            f"""
            setup exim --config-file {file} --write
            doctor --exim {file}
            cp {file} {file}.good; sed -i 's/:{port}}}/:1}}/' {file}; doctor --exim {file}
            sed 's/}}{{3s}}{{}}{{action=accept}}}}/}}{{3s}}}}/' {file}.good > {file}; doctor --exim {file}
            sed 's/lh_Received:/h_Received:/' {file}.good > {file}; doctor --exim {file}
            sed 's/^acl_smtp_data.*//' {file}.good > {file}; doctor --exim {file}
            """,
        )

    assert "The mail system has checked it." in (open_folder / "said").read_text()
    assert again == _NOTHING_TO_DO
    assert _bad(after) == []
    assert _bad(elsewhere) == ["asks 127.0.0.1:1, where Wehr is not"]
    assert _bad(decoding) == [
        "shows Wehr the trace decoded, in which words of strangers may pass for a server's"
    ]
    assert _bad(deferring) == ["while Wehr is down, mail is deferred: readsocket has no answer of its own"]
    assert _bad(unused) == [
        "does not ask Wehr after DATA: the lines stand in acl_check_data, and acl_smtp_data names none"
    ]


@pytest.mark.parametrize("split", ["true", "false"])
def test_debians_exim_is_wired_through_its_hook(open_folder: Path, split: str) -> None:
    """With the configuration in one file or in many: the generated one asks Wehr, and asks once.

    What names the file with the ACL is to be undone first, for Exim ends over a file that is missing.
    """
    told = f"dc_eximconfig_configtype='internet'\\ndc_use_split_config='{split}'\\n"
    with _wehr(open_folder):
        _, _, before, written, again, after, broken = _in_view(
            open_folder,
            "exim4-daemon-light",
            f"""
            printf "{told}" > /etc/exim4/update-exim4.conf.conf
            mkdir -p /var/lib/exim4 /var/log/exim4; chown Debian-exim /var/log/exim4; update-exim4.conf
            doctor
            setup exim --write
            setup exim --write
            doctor
            rm /etc/exim4/wehr_check_data; doctor
            """,
        )

    assert "does not ask Wehr after DATA" in _bad(before)
    assert written.index("localmacros is new") < written.index("wehr_check_data is new")
    assert again == _NOTHING_TO_DO
    assert _bad(after) == []
    (said,) = _bad(broken)
    assert said.startswith("Exim cannot read its configuration")
    assert said.endswith("failed to open included configuration file /etc/exim4/wehr_check_data")


def test_what_exim_does_not_take_is_put_back(open_folder: Path) -> None:
    """The file is as it was, with its mode, and no backup is left."""
    file = open_folder / "exim.conf"
    with _wehr(open_folder):
        with exim.running(open_folder):
            pass
        file.chmod(0o640)
        before = file.read_text()
        script = (
            "mv /usr/sbin/exim4 /usr/sbin/real; cp {folder}/exim4 /usr/sbin/exim4; "
            "setup exim --config-file {file} --write"
        )
        program = open_folder / "exim4"
        program.write_text('#!/bin/sh\ncase $* in *-bV) echo no; exit 1;; esac\nexec /usr/sbin/real "$@"\n')
        program.chmod(0o755)
        (said,) = _in_view(open_folder, "exim4-daemon-light", script.format(folder=open_folder, file=file))

    assert "so nothing is changed: no" in said
    assert file.read_text() == before
    assert file.stat().st_mode & 0o777 == 0o640
    assert not list(open_folder.glob("exim.conf.wehr-*"))


def test_opensmtpd_is_wired(open_folder: Path) -> None:
    """The filter on its listener; the real smtpd refuses then, and doctor is content."""
    file = open_folder / "smtpd.conf"
    with _wehr(open_folder):
        prepare = _commands(open_folder) + _open_to_all()
        prepare += f"setup opensmtpd --config-file {file} --write > {open_folder}/said"
        with opensmtpd.running(open_folder, prepare=prepare) as mx:
            assert _refused(mx)
        _, again, after, _, elsewhere, unused, unread = _in_view(
            open_folder,
            "opensmtpd",
            f"""
            {_open_to_all().strip()}
            setup opensmtpd --config-file {file} --write
            doctor --opensmtpd {file}
            cp {file} {file}.good
            sed -i 's/--ask [0-9.:]*/--ask 127.0.0.1:1/' {file}; doctor --opensmtpd {file}
            sed '/^listen/s/ filter.*//' {file}.good > {file}; doctor --opensmtpd {file}
            sed 's/listen on [0-9.]*/listen on all/' {file}.good > {file}; doctor --opensmtpd {file}
            """,
        )

    listener = f"listen on 127.0.0.1 port {mx.port}"
    assert "The mail system has checked it." in (open_folder / "said").read_text()
    assert again == _NOTHING_TO_DO
    assert _bad(after) == []
    assert _bad(elsewhere) == [f"{listener}: asks 127.0.0.1:1, where Wehr is not"]
    assert _bad(unused) == [f"{listener}: is not wired to Wehr"]
    assert _bad(unread) == ["smtpd cannot read it: smtpd: invalid virtual ip or interface: all"]


def test_a_filter_that_smtpd_cannot_start_is_not_set_up(open_folder: Path) -> None:
    """With its filter smtpd ends: so the file stays as it was, and the text says what is in the way."""
    file = open_folder / "smtpd.conf"
    with _wehr(open_folder):
        file.write_text("listen on lo\n")
        closed = f"chmod o-x {Path(sys.executable).resolve().parent}"
        (said,) = _in_view(
            open_folder, "opensmtpd", f"{closed}; setup opensmtpd --config-file {file} --write"
        )

    assert "the filter cannot be started" in said
    assert "is not to be passed by opensmtpd" in said
    assert file.read_text() == "listen on lo\n"


def test_what_opensmtpd_does_not_take_is_put_back(open_folder: Path) -> None:
    """Its own check refuses the outcome: the file is as it was."""
    file = open_folder / "smtpd.conf"
    with _wehr(open_folder):
        text = 'filter "own" proc-exec "/bin/true"\nlisten on lo filter "own"\nno such line\n'
        file.write_text(text)
        (said,) = _in_view(
            open_folder,
            "opensmtpd",
            f"{_open_to_all().strip()}; setup opensmtpd --config-file {file} --write",
        )

    assert "the mail system does not take it, so nothing is changed" in said
    assert file.read_text() == text
    assert not list(open_folder.glob("smtpd.conf.wehr-*"))
