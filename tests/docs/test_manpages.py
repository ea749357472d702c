"""The manual pages hold every command, option and key, and the programs that show them find no fault."""

import importlib.util
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import click
import msgspec
import pytest
from msgspec import Struct

from wehr.service.config import Config

MAKER = Path(__file__).resolve().parent.parent.parent / "docs" / "manpages.py"


@pytest.fixture(name="pages", scope="module")
def _pages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("man")
    subprocess.run([sys.executable, str(MAKER), str(folder)], check=True, timeout=60)
    return folder


@pytest.fixture(name="maker", scope="module")
def _maker() -> ModuleType:
    spec = importlib.util.spec_from_file_location("manpages", MAKER)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _plain(page: Path) -> str:
    """The text of a page as it is read: escapes and fonts undone, blanks as one."""
    text = re.sub(r"\\f[BIR]", "", page.read_text("utf-8"))
    for escape, sign in (
        ("\\-", "-"),
        ("\\(aq", "'"),
        ("\\(dq", '"'),
        ("\\(ga", "`"),
        ("\\(ti", "~"),
        ("\\(ha", "^"),
        ("\\e", "\\"),
    ):
        text = text.replace(escape, sign)
    return " ".join(text.split())


def test_every_command_and_option_is_on_the_page(pages: Path, maker: ModuleType) -> None:
    """With its words of help."""
    text = _plain(pages / "wehr.1")
    seen = 0
    for name, command in maker.commands():
        assert f".SS {name}" in text, name
        for option in command.params:
            if isinstance(option, click.Option) and not option.hidden:
                seen += 1
                assert option.opts[0] in text, (name, option.name)
                assert " ".join((option.help or "").split()) in text, (name, option.name)
    assert seen > 50
    assert ".SS wehr store backup" in text
    assert "--inherited" not in text  # hidden, for workers only


def _keys(table: Struct) -> Iterator[str]:
    for field in msgspec.structs.fields(table):
        value = getattr(table, field.name)
        if isinstance(value, Struct):
            yield from _keys(value)
        else:
            yield field.encode_name


def test_every_key_is_on_the_page(pages: Path) -> None:
    """With its default."""
    text = _plain(pages / "wehr.toml.5")
    for key in _keys(Config()):
        assert f".TP {key}" in text, key
    assert ".SS [policy.compliance]" in text
    assert 'listen = ["127.0.0.1:8893"]' in text


@pytest.mark.parametrize("name", ["wehr.1", "wehr.toml.5"])
@pytest.mark.parametrize(
    "checker", [("groff", "-man", "-ww", "-Tutf8", "-z"), ("mandoc", "-T", "lint", "-W", "warning")]
)
def test_the_programs_that_show_pages_find_no_fault(pages: Path, name: str, checker: tuple[str, ...]) -> None:
    """Whichever of them is installed."""
    if not shutil.which(checker[0]):
        pytest.skip(f"{checker[0]} is not installed")
    run = subprocess.run(
        [*checker, str(pages / name)], check=False, capture_output=True, text=True, timeout=60
    )
    assert (run.returncode, run.stdout, run.stderr) == (0, "", "")


def test_what_looks_like_a_request_is_text(maker: ModuleType) -> None:
    """No word of ours is taken for roff."""
    assert maker.escaped(".SH it\n'x \\fB -a") == "\\&.SH it\n\\(aqx \\efB \\-a"
