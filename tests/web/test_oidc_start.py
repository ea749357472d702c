"""What is said at the start of a provider that cannot be used, and of settings that do not fit."""

import re
import subprocess
import sys
from pathlib import Path

import httpx2
import pytest
from ports import free_port
from running import receiver

from wehr.service.config import ConfigError, parse
from wehr.service.sign_on import provider_of
from wehr.service.state_folder import StartError
from wehr.web.access.oidc.settings import Oidc, is_secure
from wehr.web.settings import WebSettings

ISSUER = 'url = "https://wehr.example.org"\n[web.oidc]\nissuer = "https://id.example.org"\n'
SETTINGS = f'[web]\n{ISSUER}client_id = "wehr"\n'


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[web.oidc]\nissuer = "https://id.example.org"\nclient_id = "wehr"', "oidc needs url"),
        ('[web.oidc]\nissuer = "http://id.example.org"\nclient_id = "wehr"', "https"),
        ('[web.oidc]\nissuer = "https://id.example.org/?a=b"\nclient_id = "wehr"', "query"),
        (f"[web]\n{ISSUER}", "needs client_id"),
        (f"{SETTINGS}create = true", "create needs groups"),
        (f'{SETTINGS}scopes = ["open id"]', "scopes"),
        (f'{SETTINGS}groups = [{{ group = "a", role = "king" }}]', "role"),
        (f'{SETTINGS}groups = [{{ group = "a", role = "tenant-operator" }}]', "needs tenants"),
        (f'{SETTINGS}groups = [{{ group = "a", role = "viewer", tenants = ["x"] }}]', "needs tenants"),
        (f'{SETTINGS}secret = "x"', "unknown key"),
    ],
)
def test_settings_that_do_not_fit_are_named(text: str, said: str) -> None:
    """Before anything is started."""
    with pytest.raises(ConfigError, match=re.escape(said)):
        parse(text, "wehr.toml")


@pytest.mark.parametrize(
    ("url", "secure"),
    [
        ("https://id.example.org/realms/a", True),
        ("http://localhost:8080", True),
        ("http://127.9.9.9/", True),
        ("http://[::1]:80/", True),
        ("http://localhost.example.org", False),
        ("http://192.0.2.1", False),
        ("https://user:secret@id.example.org", False),
        ("https://id.example.org:99999999", False),
        ("https://[::1", False),
        ("https:///path", False),
        ("ftp://id.example.org", False),
        ("https://id.example.org/ a", False),
        ("https://id.example.org/\n", False),
        ("", False),
    ],
)
def test_an_address_is_trusted_if_nobody_on_the_way_can_change_what_is_said(url: str, secure: bool) -> None:
    """TLS, or this very machine."""
    assert is_secure(url) is secure


def test_the_secret_is_read_from_its_file(tmp_path: Path) -> None:
    """Without it, or with an empty one, one line says which."""
    oidc = Oidc(issuer="https://id.example.org", client_id="wehr", client_secret_file="secret")
    settings = WebSettings(url="https://wehr.example.org", oidc=oidc)
    with pytest.raises(StartError, match="cannot be read: No such file"):
        provider_of(settings, tmp_path)
    (tmp_path / "secret").write_bytes(b"\xff")
    with pytest.raises(StartError, match="not UTF-8"):
        provider_of(settings, tmp_path)
    (tmp_path / "secret").write_text("\n")
    with pytest.raises(StartError, match="is empty"):
        provider_of(settings, tmp_path)
    (tmp_path / "secret").write_text("s3cret\n")
    provider = provider_of(settings, tmp_path)
    assert provider
    assert provider.redirect_uri == "https://wehr.example.org/login/oidc/callback"
    assert provider.host == "id.example.org"


@pytest.mark.parametrize("workers", ["1", "2"])
def test_without_the_extra_one_line_says_so(workers: str, tmp_path: Path) -> None:
    """And exit code 2."""
    config = tmp_path / "wehr.toml"
    config.write_text(SETTINGS)
    run = subprocess.run(
        [
            *(sys.executable, "-m", "wehr", "serve", "--config", str(config), "--workers", workers),
            *("--state", str(tmp_path / "state"), "--listen", "127.0.0.1:0", "--socket", ""),
            *("--web", f"127.0.0.1:{free_port()}"),
        ],
        env={"PYTHONPATH": _hidden(tmp_path)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert run.returncode == 2, run.stderr
    said = [line for line in run.stderr.splitlines() if "oidc" in line]
    assert len(said) == 1, run.stderr
    assert "install Wehr with its extra 'oidc'" in said[0]


def _hidden(folder: Path) -> str:
    """A folder with a joserfc that cannot be imported, for the workers, which are started anew."""
    module = folder / "hidden" / "joserfc"
    module.mkdir(parents=True)
    (module / "__init__.py").write_text("raise ImportError('not installed')\n")
    return str(module.parent)


def test_a_provider_that_is_away_at_the_start_hinders_nothing(tmp_path: Path) -> None:
    """It is asked when somebody logs in; then the page says that it is away."""
    web = free_port()
    url = f"http://127.0.0.1:{web}"
    extra = (
        f'web.listen = ["127.0.0.1:{web}"]\nweb.url = "{url}"\n'
        f'web.oidc.issuer = "http://127.0.0.1:{free_port()}"\nweb.oidc.client_id = "wehr"'
    )
    with receiver(tmp_path / "state", 1_795_000_000.0, "report", extra):
        assert f'href="{url}/login/oidc"' in httpx2.get(f"{url}/login").text
        answer = httpx2.get(f"{url}/login/oidc")
        assert answer.status_code == 502
        assert "The provider does not answer" in answer.text
