"""What an import would do, worked out before anything is written. Pure."""

from collections.abc import Sequence
from datetime import date
from hashlib import sha256

from msgspec import Struct

from wehr.catalogue.catalogue import Catalogue
from wehr.catalogue.changes import Change, changes
from wehr.catalogue.document import Document, parse_document
from wehr.catalogue.facts import Provenance
from wehr.catalogue.importers.claims import Complaint, Reading
from wehr.catalogue.importers.overlay import render
from wehr.catalogue.importers.proposal import propose


class Plan(Struct, frozen=True):
    """The figures that would change, what was not taken as it stands, and the overlay files: name -> text."""

    changes: tuple[Change, ...]
    complaints: tuple[Complaint, ...]
    files: dict[str, str]


def plan(
    documents: Sequence[Document],
    readings: Sequence[Reading],
    provenance: Sequence[Provenance],
    today: date,
    complete_to: date | None = None,
) -> Plan:
    """What these readings add to these files.

    A document that adds nothing makes no file, so a repeated import changes nothing. ``complete_to`` is the
    day up to which somebody vouches that nothing is missing: the catalogue takes that date.

    Raises:
        CatalogueError: the result would contradict itself.
    """
    old = Catalogue.of(documents)
    proposal = propose(readings, old)
    families = {product.name: product.software for product in old.products}
    families |= {flaw.cve: flaw.software for flaw in old.flaws}
    families |= {fix.cve: fix.software for fix in proposal.fixes}
    vouched = complete_to if complete_to and complete_to > old.date else None
    texts = render(proposal, provenance, families, vouched)
    files = {
        f"{today:%Y%m%d}-{software}-{sha256(text.encode()).hexdigest()[:8]}.toml": text
        for software, text in texts.items()
    }
    added = [parse_document(text, name) for name, text in files.items()]
    return Plan(changes(old, Catalogue.of((*documents, *added))), proposal.complaints, files)
