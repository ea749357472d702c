"""Writing to the administrators of a server: what would be written, and having it written."""

from http import HTTPStatus
from typing import Final

from msgspec import Struct

from wehr.web.api.operation import Call, Nothing, Operation, Reason, problem
from wehr.web.api.servers import known_server
from wehr.web.letters import CannotWrite, Letter
from wehr.web.visit import Need, Visit
from wehr.web.writing import Desk, sit_down


class NoticeWanted(Struct, frozen=True, forbid_unknown_fields=True):
    """A notice that is to be sent."""

    why: Reason


async def _look(call: Call[Nothing, None]) -> Letter:
    try:
        desk = await _desk(call.visit, call.path("ref"))
        return await call.visit.house.ask(desk.look)
    except CannotWrite as error:
        raise problem(HTTPStatus.CONFLICT, str(error)) from None


async def _write(call: Call[Nothing, NoticeWanted]) -> Letter:
    visit, why = call.visit, call.body.why
    by, now = visit.visitor.name, visit.house.now()
    try:
        desk = await _desk(visit, call.path("ref"))
        return await visit.house.ask(lambda store: desk.write(store, why=why, by=by, now=now))
    except CannotWrite as error:
        raise problem(HTTPStatus.CONFLICT, str(error)) from None


async def _desk(visit: Visit, ref: str) -> Desk:
    return await sit_down(visit, await known_server(visit, ref))


_PATH: Final = "/servers/{ref}/notice"
OPERATIONS: Final = (
    Operation(
        "GET", _PATH, "get-notice", "The notice that would be sent to the server's administrators now.",
        "notices", Need.READ, _look, Letter, errors=(404, 409),
    ),
    Operation(
        "POST", _PATH, "send-notice", "Put that notice into the outbox; it is never sent twice.", "notices",
        Need.OPERATE, _write, Letter, body=NoticeWanted, status=202, errors=(404, 409),
    ),
)  # fmt: skip
