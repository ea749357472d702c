"""One visit: who asks, what for, and the ways to answer; and routes, which say what a visitor needs."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from enum import IntEnum, StrEnum
from typing import Final
from urllib.parse import quote, urlencode

from msgspec import Struct
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from wehr.web.house import House
from wehr.web.render import Renderer


class Need(IntEnum):
    """What a visitor must be allowed, least first; who may do a thing may do all before it."""

    NOTHING = 0
    """Open to everybody, unknown ones too."""
    READ = 1
    OPERATE = 2
    """Pause, exempt, cancel, write to administrators."""
    ADMIN = 3
    """Accounts and tokens."""


class Role(StrEnum):
    """What an account is."""

    VIEWER = "viewer"
    OPERATOR = "operator"
    TENANT_OPERATOR = "tenant-operator"
    """An operator who sees and touches her own tenants only."""
    ADMINISTRATOR = "administrator"


MAY: Final[Mapping[Role, Need]] = {
    Role.VIEWER: Need.READ,
    Role.TENANT_OPERATOR: Need.OPERATE,
    Role.OPERATOR: Need.OPERATE,
    Role.ADMINISTRATOR: Need.ADMIN,
}


class Visitor(Struct, frozen=True):
    """Who asks."""

    name: str = ""
    """As the audit names them; empty if unknown."""
    may: Need = Need.NOTHING
    tenants: frozenset[str] | None = None
    """The tenants whose servers they see and touch; None: all."""
    csrf: str = ""
    """What a form must send back as ``csrf``."""
    session: str = ""
    """The session's id, as the store knows it; empty for tokens and trusted proxies."""
    fresh: str = ""
    """A new secret that tells this browser apart from now on; empty if it has one."""
    token: str = ""
    """The id of the API token that they show."""

    def sees(self, tenant: str) -> bool:
        """Whether a tenant's servers are theirs to see; the empty tenant stands for all of them."""
        return self.tenants is None or tenant in self.tenants


class Visit:
    """A request, who makes it, and what answers need. Endpoints get one of these and give a response."""

    def __init__(
        self,
        request: Request,
        house: House,
        visitor: Visitor,
        renderer: Renderer,
        paths: Mapping[str, str],
    ) -> None:
        self.request = request
        self.house = house
        self.visitor = visitor
        self._renderer = renderer
        self._paths = paths

    @property
    def query(self) -> Mapping[str, str]:
        """The parameters after the question mark; of one that is there twice, the last."""
        return self.request.query_params

    @property
    def path(self) -> Mapping[str, str]:
        """The parameters in the path."""
        found: Mapping[str, str] = self.request.path_params
        return found

    @property
    def language(self) -> str:
        """The language to answer in."""
        return self._renderer.language

    def translate(self, text: str) -> str:
        """A marked text in the visitor's language."""
        return self._renderer.translate(text)

    async def form(self) -> Mapping[str, str]:
        """What a form sent; its token has been checked before the endpoint is called."""
        form = await self.request.form()
        return {name: value.replace("\0", "") for name, value in form.items() if isinstance(value, str)}

    async def chosen(self, name: str) -> tuple[str, ...]:
        """What a form sent of a field of which several values may be chosen."""
        form = await self.request.form()
        return tuple(value.replace("\0", "") for value in form.getlist(name) if isinstance(value, str))

    def url(self, name: str, **parts: str) -> str:
        """The path of a route by its name.

        Raises:
            KeyError: there is no such route, or a part of its path is missing.
        """
        quoted = {part: quote(value, safe="") for part, value in parts.items()}
        return self._paths[name].format_map(quoted)

    def here(self, **changes: str) -> str:
        """This page with some parameters after the question mark set to others."""
        return f"?{urlencode({**self.query, **changes})}"

    def redirect(self, name: str, **parts: str) -> Response:
        """After something was done: see another page (303)."""
        return RedirectResponse(self.url(name, **parts), 303)

    async def page(self, template: str, /, status: int = 200, **values: object) -> Response:
        """A page made of a template, rendered in a thread."""
        return HTMLResponse(await self.house.work(lambda: self.text(template, **values)), status)

    def text(self, template: str, /, **values: object) -> str:
        """What a template makes of values."""
        given = {"visit": self, "visitor": self.visitor, "url": self.url, **values}
        return self._renderer.render(template, given)


Endpoint = Callable[[Visit], Awaitable[Response]]


class Page(Struct, frozen=True):
    """A route. ``menu`` is its marked text in the navigation; empty: not in it."""

    path: str
    endpoint: Endpoint
    needs: Need
    name: str
    methods: Sequence[str] = ("GET",)
    menu: str = ""
    token: bool = False
    """Whether it is of the API: opened by a token, and by nothing else."""
    form: bool = False
    """Whether it shows a form to strangers, who are then told apart by a cookie."""
