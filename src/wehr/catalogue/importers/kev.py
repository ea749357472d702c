"""CISA's Known Exploited Vulnerabilities (schema: known_exploited_vulnerabilities_schema.json).

Chosen by CVE, not by product: CVE-2026-42897 stands there under the product "Microsoft". The due date is not
read, for CISA changes it.
"""

from typing import Any

from wehr.catalogue.importers.claims import BadFeed, ExploitClaim, Reading, check, day_of

_TEXT = {"type": "string", "maxLength": 65536}
SCHEMA = {
    "type": "object",
    "required": ["catalogVersion", "vulnerabilities"],
    "properties": {
        "catalogVersion": {"type": "string", "pattern": r"^[0-9]{4}\.[0-9]{2}\.[0-9]{2}$"},
        "vulnerabilities": {
            "type": "array",
            "maxItems": 100000,
            "items": {
                "type": "object",
                "required": ["cveID", "dateAdded"],
                "properties": {
                    "cveID": {"type": "string", "pattern": r"^CVE-[0-9]{4}-[0-9]{4,10}$"},
                    "dateAdded": {"type": "string", "pattern": r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$"},
                    "vulnerabilityName": _TEXT,
                    "knownRansomwareCampaignUse": _TEXT,
                },
            },
        },
    },
}


def parse(document: dict[str, Any]) -> Reading:
    """Read the catalogue.

    Raises:
        BadFeed: it breaks the schema.
    """
    check(document, SCHEMA, "KEV catalogue")
    version = document["catalogVersion"]
    claims = []
    for entry in document["vulnerabilities"]:
        listed = day_of(entry["dateAdded"])
        if listed is None:
            raise BadFeed(f"not a sound KEV catalogue: {entry['cveID']}: no such day: {entry['dateAdded']}")
        claims.append(
            ExploitClaim(
                cve=entry["cveID"],
                listed=listed,
                ransomware=entry.get("knownRansomwareCampaignUse") == "Known",
                product=entry.get("vulnerabilityName", ""),
            )
        )
    return Reading(
        format="kev",
        document=f"KEV {version}",
        dated=day_of(version.replace(".", "-")),
        exploits=tuple(claims),
    )
