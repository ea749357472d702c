"""MSRC's CSAF 2.0 advisories (OASIS CSAF 2.0; MSRC: one file per CVE, ``msrc_cve-YYYY-N.json``).

The fixed build stands in ``remediations[].details`` (``build:Security Update:url``) and as a
``product_version`` that ``product_status.fixed`` names. MSRC's documents fall short of the full schema
(incomplete ``cvss_v3``), so they are held against the part of it that is read here.
"""

from collections.abc import Iterator
from typing import Any

from wehr.catalogue.importers.claims import (
    Complaint,
    FixClaim,
    Reading,
    build_of,
    check,
    day_of,
    software_of,
)

_TEXT = {"type": "string", "maxLength": 65536}
_IDS = {"type": "array", "maxItems": 20000, "items": {"type": "string", "maxLength": 200}}
SCHEMA = {
    "type": "object",
    "required": ["document", "vulnerabilities"],
    "properties": {
        "document": {
            "type": "object",
            "required": ["csaf_version", "tracking"],
            "properties": {
                "csaf_version": {"const": "2.0"},
                "tracking": {
                    "type": "object",
                    "required": ["id", "current_release_date", "initial_release_date"],
                    "properties": {
                        "id": {"type": "string", "minLength": 1, "maxLength": 200},
                        "current_release_date": _TEXT,
                        "initial_release_date": _TEXT,
                    },
                },
            },
        },
        "product_tree": {
            "type": "object",
            "properties": {"branches": {"$ref": "#/$defs/branches"}},
        },
        "vulnerabilities": {
            "type": "array",
            "maxItems": 5000,
            "items": {
                "type": "object",
                "properties": {
                    "cve": {"type": "string", "pattern": r"^CVE-[0-9]{4}-[0-9]{4,10}$"},
                    "product_status": {
                        "type": "object",
                        "properties": {"fixed": _IDS, "known_affected": _IDS},
                    },
                    "remediations": {
                        "type": "array",
                        "maxItems": 20000,
                        "items": {
                            "type": "object",
                            "required": ["category", "details"],
                            "properties": {"category": _TEXT, "details": _TEXT, "product_ids": _IDS},
                        },
                    },
                },
            },
        },
    },
    "$defs": {
        "branches": {
            "type": "array",
            "maxItems": 20000,
            "items": {
                "type": "object",
                "required": ["category", "name"],
                "properties": {
                    "category": _TEXT,
                    "name": _TEXT,
                    "branches": {"$ref": "#/$defs/branches"},
                    "product": {
                        "type": "object",
                        "required": ["name", "product_id"],
                        "properties": {"name": _TEXT, "product_id": _TEXT},
                    },
                },
            },
        }
    },
}


def parse(document: dict[str, Any]) -> Reading:
    """Read one advisory.

    Raises:
        BadFeed: it breaks the schema.
    """
    check(document, SCHEMA, "CSAF 2.0 advisory")
    leaves = dict(_leaves(document.get("product_tree", {}).get("branches", []), ""))
    tracking = document["document"]["tracking"]
    published = day_of(tracking["initial_release_date"])
    fixes: dict[FixClaim, None] = {}
    mentioned: dict[tuple[str, str], None] = {}
    complaints: list[Complaint] = []
    for hole in document["vulnerabilities"]:
        cve = hole.get("cve")
        if cve is None:
            continue
        spoken = {
            software
            for key in (*_status(hole, "known_affected"), *_status(hole, "fixed"))
            if (software := software_of("", leaves.get(key, ("", ""))[0]))
        }
        mentioned.update(dict.fromkeys((software, cve) for software in sorted(spoken)))
        claims = list(_claims(cve, hole, leaves))
        fixes.update(dict.fromkeys(claims))
        if spoken and not claims:
            complaints.append(Complaint(cve, "no fixed build in it"))
    return Reading(
        format="csaf",
        document=tracking["id"],
        dated=day_of(tracking["current_release_date"]),
        fixes=tuple(fixes),
        mentioned=tuple(mentioned),
        published={cve: published for _, cve in mentioned} if published else {},
        complaints=tuple(complaints),
    )


def _claims(cve: str, hole: dict[str, Any], leaves: dict[str, tuple[str, str]]) -> Iterator[FixClaim]:
    for key in _status(hole, "fixed"):
        product, version = leaves.get(key, ("", ""))
        software, build = software_of("", product), build_of(version)
        if software and build:
            yield FixClaim(cve, software, product, build)
    for remedy in hole.get("remediations", ()):
        build = build_of(remedy["details"].split(":", 1)[0])
        if remedy["category"] != "vendor_fix" or build is None:
            continue
        for key in remedy.get("product_ids", ()):
            product = leaves.get(key, ("", ""))[0]
            if software := software_of("", product):
                yield FixClaim(cve, software, product, build)


def _status(hole: dict[str, Any], name: str) -> list[str]:
    found: list[str] = hole.get("product_status", {}).get(name, [])
    return found


def _leaves(branches: list[dict[str, Any]], product: str) -> Iterator[tuple[str, tuple[str, str]]]:
    """Product id -> (product name, version), from the tree."""
    for branch in branches:
        name = branch["name"] if branch["category"] == "product_name" else product
        yield from _leaves(branch.get("branches", []), name)
        if leaf := branch.get("product"):
            yield leaf["product_id"], (name or leaf["name"], branch["name"])
