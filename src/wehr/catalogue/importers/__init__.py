"""Readers of public feeds: bytes in, claims and complaints out. What becomes of the claims: ``proposal``."""

from collections.abc import Callable

from wehr.catalogue.importers import csaf, cve5, cvrf, kev
from wehr.catalogue.importers.claims import BadFeed, Complaint, Reading, decode

__all__ = ["BadFeed", "Complaint", "Reading", "read"]

# The key that tells one JSON feed from another.
_JSON: dict[str, Callable[[dict[str, object]], Reading]] = {
    "containers": cve5.parse,
    "document": csaf.parse,
    "documenttracking": cvrf.parse_json,  # MSRC's split files
    "DocumentTracking": cvrf.parse_json,  # MSRC's service
    "catalogVersion": kev.parse,
}


def read(raw: bytes) -> Reading:
    """Tell the format by its content and read it. Pure.

    Raises:
        BadFeed: none of the formats, or a document that breaks the schema of its own.
    """
    if raw.removeprefix(b"\xef\xbb\xbf").lstrip()[:1] == b"<":
        return cvrf.parse_xml(raw)
    document = decode(raw)
    try:
        for key, parse in _JSON.items():
            if key in document:
                return parse(document)
    except RecursionError:
        raise BadFeed("nested too deep") from None
    raise BadFeed("no CVE record, CSAF advisory, CVRF document or KEV catalogue")
