"""The cookies that there are: none of them is for scripts, and none follows from foreign forms or frames."""

from typing import Final

from starlette.requests import Request
from starlette.responses import Response

SESSION: Final = "wehr_session"
"""The secret of a session."""
VISIT: Final = "wehr_visit"
"""A secret that only tells strangers apart, for the forms that they are shown."""
OIDC: Final = "wehr_oidc"
"""A log-in that is under way at the OpenID provider."""
LANGUAGE: Final = "wehr_language"


def set_cookie(
    request: Request, response: Response, name: str, value: str, max_age: int | None = None
) -> None:
    """Set one for the whole site; without ``max_age`` it goes when the browser is closed."""
    response.set_cookie(
        name,
        value,
        max_age=max_age,
        httponly=True,
        samesite="lax",
        secure=request.url.scheme == "https",
    )


def drop_cookie(request: Request, response: Response, name: str) -> None:
    """Have the browser forget one."""
    response.delete_cookie(name, httponly=True, samesite="lax", secure=request.url.scheme == "https")
