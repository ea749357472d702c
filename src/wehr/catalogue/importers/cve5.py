"""CVE records, JSON 5 (CVEProject/cvelistV5; schema: CVEProject/cve-schema, CVE_Record_Format 5.x).

An Exchange record's ranges begin at 15.02.0 or even 15.0.0 and so overlap (CVE-2022-41040): only the end of a
range is read, as "this build has the fix", and the build itself tells the branch.
"""

from collections.abc import Iterator
from typing import Any

from wehr.catalogue.importers.claims import (
    BadFeed,
    Complaint,
    FixClaim,
    Reading,
    build_of,
    check,
    day_of,
    software_of,
)

_TEXT = {"type": "string", "maxLength": 4096}
SCHEMA = {
    "type": "object",
    "required": ["cveMetadata", "containers"],
    "properties": {
        "cveMetadata": {
            "type": "object",
            "required": ["cveId", "state"],
            "properties": {
                "cveId": {"type": "string", "pattern": r"^CVE-[0-9]{4}-[0-9]{4,10}$"},
                "state": {"enum": ["PUBLISHED", "REJECTED"]},
                "datePublished": _TEXT,
                "dateUpdated": _TEXT,
            },
        },
        "containers": {
            "type": "object",
            "required": ["cna"],
            "properties": {
                "cna": {
                    "type": "object",
                    "properties": {
                        "affected": {
                            "type": "array",
                            "maxItems": 5000,
                            "items": {
                                "type": "object",
                                "properties": {
                                    "vendor": _TEXT,
                                    "product": _TEXT,
                                    "versions": {
                                        "type": "array",
                                        "maxItems": 5000,
                                        "items": {
                                            "type": "object",
                                            "required": ["version", "status"],
                                            "properties": {
                                                "version": _TEXT,
                                                "lessThan": _TEXT,
                                                "status": {"enum": ["affected", "unaffected", "unknown"]},
                                            },
                                        },
                                    },
                                },
                            },
                        }
                    },
                }
            },
        },
    },
}


def parse(document: dict[str, Any]) -> Reading:
    """Read one CVE record.

    Raises:
        BadFeed: it breaks the schema.
    """
    check(document, SCHEMA, "CVE record")
    about = document["cveMetadata"]
    cve = about["cveId"]
    if about["state"] != "PUBLISHED":
        raise BadFeed(f"{cve} is {about['state'].lower()}, so it says nothing")
    fixes: dict[FixClaim, None] = {}
    without: list[str] = []
    mentioned: dict[tuple[str, str], None] = {}
    for entry in document["containers"]["cna"].get("affected", ()):
        product = entry.get("product", "")
        software = software_of(entry.get("vendor", ""), product)
        if software is None:
            continue
        mentioned[software, cve] = None
        claims = list(_claims(cve, software, product, entry.get("versions", ())))
        fixes.update(dict.fromkeys(claims))
        if not claims:
            without.append(product)
    complaints: tuple[Complaint, ...] = ()
    if without:
        others = f" and {len(without) - 1} more" if len(without) > 1 else ""
        complaints = (Complaint(cve, f"no fixed build for {without[0]}{others}"),)
    published = day_of(about.get("datePublished"))
    return Reading(
        format="cve",
        document=cve,
        dated=day_of(about.get("dateUpdated")) or published,
        fixes=tuple(fixes),
        mentioned=tuple(mentioned),
        published={cve: published} if published else {},
        complaints=complaints,
    )


def _claims(cve: str, software: str, product: str, versions: list[dict[str, Any]]) -> Iterator[FixClaim]:
    for version in versions:
        build = build_of(version.get("lessThan", ""))
        if version["status"] != "affected" or build is None:
            continue
        start = None if software == "exchange" else build_of(version["version"])
        yield FixClaim(cve, software, product, build, start)
