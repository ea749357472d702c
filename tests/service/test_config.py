"""The configuration: defaults, and errors that name file, line, key, what was found and what is allowed."""

import os
from pathlib import Path

import pytest

from wehr.policy.types import Mode
from wehr.service.config import Config, ConfigError, find, load, parse
from wehr.service.door_settings import split_address


def test_an_empty_file_is_the_embedded_default() -> None:
    """Nothing needs to be set; a new installation reports only."""
    config = parse("", "wehr.toml")

    assert config == Config()
    assert config.policy.mode is Mode.REPORT
    assert config.milter.listen == ("127.0.0.1:8893",)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("host_name = 1\n", ["wehr.toml:1: host_name:", "found 1", "expected `str`"]),
        (
            "\n[policy]\nmode = 'enforced'\n",
            ["wehr.toml:3: policy.mode:", "'enforced'", "off, report", "enforce"],
        ),
        (
            "[milter]\nlissten = []\n",
            ["wehr.toml:2: milter.lissten:", "unknown key", "did you mean 'listen'?"],
        ),
        ("[milter]\nlisten = ['here']\n", ["wehr.toml:", "'here' is not HOST:PORT"]),
        ("[milter]\nmax_connections = 0\n", ["wehr.toml:2: milter.max_connections:", "found 0", ">= 1"]),
        ("[receiver]\nnetworks = ['10.0.0.0/99']\n", ["wehr.toml:", "10.0.0.0/99"]),
        ("[receiver]\nrelays = ['10.0.0.0/99']\n", ["wehr.toml:", "10.0.0.0/99"]),
        ("[receiver]\nrelays = ['*.example.org']\n", ["'*.example.org': a leading dot covers all"]),
        ("a = \n", ["wehr.toml:1: not TOML:"]),
        ("policy.mode = enforce\n", ["wehr.toml:1: not TOML:", "double quotes"]),
        ("[line]\n[http]\n[line]\n", ["wehr.toml:3: not TOML: [line] is in the file twice"]),
        ("[policy.texts]\n[policy.texts]\n", ["[policy.texts] is in the file twice"]),
        ("workers = 1\nworkers = 2\n", ["wehr.toml:2: not TOML: the key is in the file twice"]),
        ("[log]\nline.listen = []\n", ["log.line: unknown key", "'line' stands above the first [table]"]),
        (f"a = {'[' * 5000}", ["wehr.toml: nested too deep"]),
        ("status_url = 'ftp://x'\n", ["status_url must be an http"]),
    ],
)
def test_an_error_names_file_line_key_and_what_is_allowed(text: str, words: list[str]) -> None:
    """One line says everything that is needed to mend it."""
    with pytest.raises(ConfigError) as caught:
        parse(text, "wehr.toml")

    message = str(caught.value)
    assert "\n" not in message
    for word in words:
        assert word in message


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    """A configuration that was asked for must be there."""
    with pytest.raises(ConfigError, match=r"absent\.toml: cannot be read: No such file"):
        load(tmp_path / "absent.toml")


def test_a_folder_that_is_closed_to_this_user_is_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As root's own, from which an administrator has a command run as the user of the service."""
    (tmp_path / "wehr.toml").touch()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    assert find() == Path("wehr.toml")
    user = os.geteuid()
    tmp_path.chmod(0)
    try:
        if user == 0:
            os.seteuid(65534)  # nobody: root may look everywhere
        found = find()
    finally:
        os.seteuid(user)
        tmp_path.chmod(0o700)
    assert found in {None, Path("/etc/wehr/wehr.toml")}


def test_a_file_that_is_not_text_is_named(tmp_path: Path) -> None:
    """Bytes that are not UTF-8 are an error of the file, not a traceback."""
    (tmp_path / "wehr.toml").write_bytes(b"\xff\xfe\x00")

    with pytest.raises(ConfigError, match=r"wehr\.toml: cannot be read: not UTF-8"):
        load(tmp_path / "wehr.toml")


def test_addresses_take_ipv6_in_brackets() -> None:
    """``[::1]:8893`` is a host and a port like any other."""
    assert split_address("[::1]:8893") == ("::1", 8893)
    assert split_address("127.0.0.1:0") == ("127.0.0.1", 0)
