"""What the SMTP doors need on the disk: what cannot be used is named, with its setting and what is wrong."""

import shutil
import subprocess
from pathlib import Path

import pytest
from smtp_stand import certificates

from wehr.evidence.own import Own
from wehr.service.clock import system_clock
from wehr.service.config import parse
from wehr.service.smtp import drain, proxy
from wehr.service.state_folder import StartError

BASE = 'listen = ["127.0.0.1:2525"]\nnext_hop = "192.0.2.1:25"\nnext_hop_tls = "verified"\n'


@pytest.fixture(name="folder")
def _folder(tmp_path: Path) -> Path:
    """Files that can be used, and such that cannot."""
    shutil.copytree(certificates(), tmp_path, dirs_exist_ok=True)
    certificate = (tmp_path / "server.pem").read_text().splitlines()
    (tmp_path / "damaged.pem").write_text("\n".join([certificate[0], *certificate[2:]]))
    key = (tmp_path / "server.key").read_text()
    (tmp_path / "damaged.key").write_text(key.replace("\n", "\nAAAA", 1))
    (tmp_path / "both.pem").write_text(key + "\n".join(certificate))
    lock = [
        "openssl",
        "pkey",
        "-in",
        "server.key",
        "-aes256",
        "-passout",
        "pass:secret",
        "-out",
        "locked.key",
    ]
    subprocess.run(lock, cwd=tmp_path, check=True, timeout=60)
    return tmp_path


def start(folder: Path, files: dict[str, str]) -> None:
    """What the service does with the proxy's table before it listens."""
    named = "\n".join(f'{key} = "{folder / file}"' for key, file in files.items())
    proxy(parse(f"[smtp]\n{BASE}{named}\n", "wehr.toml").smtp, str, Own, system_clock)


@pytest.mark.parametrize(
    ("files", "named", "why"),
    [
        ({"certificate": "none.pem"}, "smtp.certificate none.pem", "No such file or directory"),
        ({"certificate": "server.key"}, "smtp.certificate server.key", "it holds no certificate in PEM"),
        ({"certificate": "damaged.pem"}, "smtp.certificate damaged.pem", "it holds a damaged certificate"),
        (
            {"certificate": "server.pem"},
            "smtp.certificate server.pem",
            "it holds no private key in PEM; name the file that holds it with smtp.key",
        ),
        ({"certificate": "server.pem", "key": "none.key"}, "smtp.key none.key", "No such file or directory"),
        ({"certificate": "server.pem", "key": "ca.pem"}, "smtp.key ca.pem", "it holds no private key in PEM"),
        (
            {"certificate": "server.pem", "key": "damaged.key"},
            "smtp.key damaged.key",
            "its private key is damaged",
        ),
        (
            {"certificate": "server.pem", "key": "locked.key"},
            "smtp.key locked.key",
            "its private key has a passphrase; take it off, with 'openssl pkey', say",
        ),
        (
            {"certificate": "server.pem", "key": "client.key"},
            "smtp.key client.key",
            "its private key is not that of the first certificate in {folder}/server.pem",
        ),
        (
            {"certificate": "both.pem", "client_ca": "none.pem"},
            "smtp.client_ca none.pem",
            "No such file or directory",
        ),
        ({"next_hop_ca": "none.pem"}, "smtp.next_hop_ca none.pem", "No such file or directory"),
        ({"next_hop_ca": "server.key"}, "smtp.next_hop_ca server.key", "it holds no certificate in PEM"),
    ],
)
def test_a_file_that_cannot_be_used_is_named_with_its_setting(
    folder: Path, files: dict[str, str], named: str, why: str
) -> None:
    """OpenSSL says of most of them no more than "PEM lib", and of none which file it is."""
    setting, _, name = named.partition(" ")
    with pytest.raises(StartError) as caught:
        start(folder, files)

    assert str(caught.value) == f"{setting} {folder / name} cannot be used: {why.format(folder=folder)}"


def test_one_that_may_not_be_read_says_who_has_to(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As Let's Encrypt's, which are root's alone."""

    def closed(*_: object) -> bytes:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "read_bytes", closed)
    with pytest.raises(StartError, match=r"Permission denied; let the user that Wehr runs as read it$"):
        start(folder, {"certificate": "both.pem"})


def test_a_certificate_with_its_key_in_one_file_or_two_is_used(folder: Path) -> None:
    """In any order."""
    start(folder, {"certificate": "both.pem", "client_ca": "ca.pem"})
    start(folder, {"certificate": "server.pem", "key": "server.key", "next_hop_ca": "ca.pem"})


def test_a_maildir_that_cannot_be_made_is_named_with_its_setting(tmp_path: Path) -> None:
    """A relative one where it is sought."""
    table = parse('sink.maildir = "none/mail"', "wehr.toml").sink
    with pytest.raises(StartError) as caught:
        drain(table, str, system_clock, tmp_path)

    assert str(caught.value) == f"sink.maildir {tmp_path}/none/mail cannot be made: No such file or directory"
