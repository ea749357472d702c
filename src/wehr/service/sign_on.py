"""The OpenID provider that the pages let people log in with, made ready at the start."""

from pathlib import Path
from typing import TYPE_CHECKING

from wehr.service.state_folder import StartError
from wehr.web.settings import WebSettings

if TYPE_CHECKING:
    from wehr.web.access.oidc.provider import Provider


def provider_of(settings: WebSettings, folder: Path) -> "Provider | None":
    """The provider that is configured; it is asked when somebody logs in, and not before.

    Args:
        settings: of the pages.
        folder: the state folder.

    Raises:
        StartError: the extra is not installed, or the secret cannot be read.
    """
    oidc = settings.oidc
    if not oidc.issuer:
        return None
    try:
        from wehr.web.access.oidc.provider import Provider
    except ImportError:
        raise StartError(
            "web.oidc needs the library joserfc: install Wehr with its extra 'oidc', "
            "or take web.oidc.issuer away"
        ) from None
    secret = ""
    if oidc.client_secret_file:
        file = folder / oidc.client_secret_file
        try:
            secret = file.read_text("utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            why = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
            raise StartError(f"web.oidc.client_secret_file {file} cannot be read: {why}") from None
        if not secret:
            raise StartError(f"web.oidc.client_secret_file {file} is empty")
    return Provider(oidc, secret, settings.url)
