"""Writing to the administrators of a server, as a deed of the pages and of the API."""

from msgspec.structs import replace
from starlette.exceptions import HTTPException

from wehr.ledger import ServerRow, Store
from wehr.ledger.report import Basis
from wehr.ledger.selecting import rows_of
from wehr.policy import Holds
from wehr.policy.phrases import Phrase
from wehr.web.deed import Impossible, Plan
from wehr.web.languages import N_
from wehr.web.letters import REASONS, CannotWrite, Letter, Letters
from wehr.web.visit import Visit


class Desk:
    """What writing about one server takes, as things stand now; `sit_down` gives one."""

    def __init__(self, letters: Letters, ref: str, rows: list[ServerRow], basis: Basis) -> None:
        self._letters = letters
        self._about = (rows, basis, ref)

    def look(self, store: Store) -> Letter:
        """What would be written.

        Raises:
            CannotWrite: nothing can be.
        """
        return self._letters.look(store, *self._about)

    def write(self, store: Store, *, why: str, by: str, now: float) -> Letter:
        """Have it sent.

        Raises:
            CannotWrite: nothing can be.
        """
        return self._letters.write(store, *self._about, why=why, by=by)


async def sit_down(visit: Visit, row: ServerRow) -> Desk:
    """Find the servers that one message would be about, and how they stand.

    Raises:
        CannotWrite: nobody is to be written to.
    """
    house = visit.house
    letters = house.letters
    if letters is None:
        raise CannotWrite("off")
    if doubt := house.present.doubt:
        raise CannotWrite("doubt", {"why": doubt})
    listing = await house.listing()
    refs = await house.work_long(lambda: letters.fellows(row, listing.lines))
    rows = await house.ask(lambda store: rows_of(store, refs))
    basis = house.basis(it.key for it in rows)

    def held(store: Store) -> Holds:
        return Holds.of(basis.policy, store.pauses(), tuple(store.exemptions().values()))

    return Desk(letters, row.ref, rows, replace(basis, holds=await house.ask(held)))


async def write(visit: Visit, _once: str) -> Plan:
    """Write to a server's administrators."""
    ref = visit.query.get("ref", "")
    row = await visit.house.ask(lambda store: store.server(ref)) if ref else None
    if row is None or row.ref != ref or not visit.visitor.sees(row.key.tenant):
        raise HTTPException(404)
    try:
        desk = await sit_down(visit, row)
        letter = await visit.house.ask(desk.look)
    except CannotWrite as error:
        raise Impossible(error.phrase.text, error.phrase.values, status=409) from None
    servers = ", ".join(letter.servers)
    return Plan(
        N_("Write to its administrators"),
        (
            Phrase(N_("A message goes to %(to)s."), {"to": ", ".join(letter.to)}),
            Phrase(REASONS[letter.reason]),
            Phrase(N_("It is about: %(servers)s."), {"servers": servers}),
            Phrase(N_("It is sent at once, or when the limit of messages in an hour lets it; never twice.")),
        ),
        desk.write,
        visit.url("server", ref=ref),
        letter=letter,
    )
