"""MSRC's CVRF documents, XML and JSON (ICASI CVRF 1.1; MSRC adds ``FixedBuild`` to each remediation).

The XML is read with expat directly: a document type declaration is refused, so there are no entities to
expand; depth is bounded here, size where the bytes are read.
"""

import re
from typing import Any
from xml.parsers import expat

from msgspec import Struct

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

_DEPTH = 64
_CVE = re.compile(r"CVE-\d{4}-\d{4,10}")
# MSRC's service writes the kind of remedy as a number.
_VENDOR_FIX = {"Vendor Fix", "2"}
# Names without case and underscores: MSRC's service and its split files differ in both.
SCHEMA = {
    "type": "object",
    "required": ["documenttracking", "producttree", "vulnerability"],
    "properties": {
        "documenttracking": {
            "type": "object",
            "required": ["identification"],
            "properties": {"identification": {"type": "object", "required": ["id"]}},
        },
        "producttree": {
            "type": "object",
            "required": ["fullproductname"],
            "properties": {
                "fullproductname": {
                    "type": ["array", "object"],
                    "maxItems": 50000,
                    "items": {"type": "object", "required": ["productid"]},
                }
            },
        },
        "vulnerability": {
            "type": ["array", "object"],
            "maxItems": 50000,
            "items": {"type": "object", "required": ["cve"], "properties": {"cve": {"type": "string"}}},
        },
    },
}


class _Remedy(Struct):
    kind: str
    build: str = ""
    products: list[str] = []


class _Hole(Struct):
    cve: str = ""
    affected: list[str] = []
    remedies: list[_Remedy] = []


class _Facts(Struct):
    document: str = ""
    initial: str = ""
    current: str = ""
    products: dict[str, str] = {}
    holes: list[_Hole] = []


def parse_xml(raw: bytes) -> Reading:
    """Read a CVRF document in XML.

    Raises:
        BadFeed: not XML, with a document type declaration, too deep, or not CVRF.
    """
    reader = _Reader()
    try:
        reader.parser.Parse(raw, True)
    except expat.ExpatError as error:
        raise BadFeed(f"not XML: {error}") from None
    if not reader.facts.document:
        raise BadFeed("XML, but no CVRF document: it has no tracking id")
    return _reading(reader.facts)


def parse_json(document: dict[str, Any]) -> Reading:
    """Read a CVRF document in MSRC's JSON.

    Raises:
        BadFeed: it breaks the schema.
    """
    plain = _plain(document)
    check(plain, SCHEMA, "CVRF document")
    tracking = plain["documenttracking"]
    return _reading(
        _Facts(
            document=_text(tracking["identification"]["id"]),
            initial=_text(tracking.get("initialreleasedate", "")),
            current=_text(tracking.get("currentreleasedate", "")),
            products={
                _text(one["productid"]): _text(one.get("text", one.get("value", "")))
                for one in _many(plain["producttree"]["fullproductname"])
            },
            holes=[
                _Hole(
                    cve=hole["cve"],
                    affected=[
                        key for status in _inside(hole, "productstatuses", "status") for key in _keys(status)
                    ],
                    remedies=[
                        _Remedy(_text(one.get("type", "")), _text(one.get("fixedbuild", "")), _keys(one))
                        for one in _inside(hole, "remediations", "remediation")
                    ],
                )
                for hole in _many(plain["vulnerability"])
            ],
        )
    )


def _reading(facts: _Facts) -> Reading:
    fixes: dict[FixClaim, None] = {}
    mentioned: dict[tuple[str, str], None] = {}
    complaints: list[Complaint] = []
    for hole in facts.holes:
        if not _CVE.fullmatch(hole.cve):
            continue
        spoken = {software_of("", facts.products.get(key, "")) for key in hole.affected}
        claims = []
        for remedy in hole.remedies:
            build = build_of(remedy.build)
            for key in remedy.products if remedy.kind in _VENDOR_FIX and build else ():
                product = facts.products.get(key, "")
                software = software_of("", product)
                spoken.add(software)
                if software and build:
                    claims.append(FixClaim(hole.cve, software, product, build))
        fixes.update(dict.fromkeys(claims))
        known = sorted(software for software in spoken if software)
        mentioned.update(dict.fromkeys((software, hole.cve) for software in known))
        if known and not claims:
            complaints.append(Complaint(hole.cve, "no fixed build in it"))
    published = day_of(facts.initial)
    return Reading(
        format="cvrf",
        document=facts.document,
        dated=day_of(facts.current) or published,
        fixes=tuple(fixes),
        mentioned=tuple(mentioned),
        published={cve: published for _, cve in mentioned} if published else {},
        complaints=tuple(complaints),
    )


class _Reader:
    """Takes from the stream of elements only what is needed; nothing else is kept."""

    def __init__(self) -> None:
        self.facts = _Facts()
        self.path: list[str] = []
        self.text: list[str] = []
        self.key = ""
        self.parser = expat.ParserCreate(namespace_separator="}")
        self.parser.StartDoctypeDeclHandler = self.doctype
        self.parser.StartElementHandler = self.start
        self.parser.EndElementHandler = self.end
        self.parser.CharacterDataHandler = self.text.append

    def doctype(self, *_: object) -> None:
        """Refused: entities live in it (billion laughs, external files)."""
        raise BadFeed("XML with a document type declaration; feeds have none")

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        name = tag.rpartition("}")[2]
        self.path.append(name)
        self.text.clear()
        if len(self.path) > _DEPTH:
            raise BadFeed("XML nested too deep")
        if name == "FullProductName":
            self.key = attributes.get("ProductID", "")
        elif name == "Vulnerability":
            self.facts.holes.append(_Hole())
        elif name == "Remediation" and self.facts.holes:
            self.facts.holes[-1].remedies.append(_Remedy(attributes.get("Type", "")))

    def end(self, _tag: str) -> None:
        text = "".join(self.text).strip()
        self.text.clear()
        name = self.path.pop()
        parent = self.path[-1] if self.path else ""
        match parent, name:
            case "Identification", "ID":
                self.facts.document = text
            case "DocumentTracking", "InitialReleaseDate":
                self.facts.initial = text
            case "DocumentTracking", "CurrentReleaseDate":
                self.facts.current = text
            case _, "FullProductName":
                self.facts.products[self.key] = text
            case _:
                self._of_hole(parent, name, text)

    def _of_hole(self, parent: str, name: str, text: str) -> None:
        hole = self.facts.holes[-1] if self.facts.holes else _Hole()
        match parent, name:
            case "Vulnerability", "CVE":
                hole.cve = text
            case "Status", "ProductID":
                hole.affected.append(text)
            case "Remediation", "ProductID" if hole.remedies:
                hole.remedies[-1].products.append(text)
            case "Remediation", "FixedBuild" if hole.remedies:
                hole.remedies[-1].build = text


def _plain(value: Any) -> Any:
    """The same with keys in one spelling."""
    if isinstance(value, dict):
        return {key.lower().replace("_", ""): _plain(one) for key, one in value.items()}
    return [_plain(one) for one in value] if isinstance(value, list) else value


def _many(value: Any) -> list[dict[str, Any]]:
    """JSON made from XML has a bare object where there is but one."""
    return [one for one in (value if isinstance(value, list) else [value]) if isinstance(one, dict)]


def _inside(hole: dict[str, Any], outer: str, inner: str) -> list[dict[str, Any]]:
    held = hole.get(outer) or []
    return _many(held.get(inner, []) if isinstance(held, dict) else held)


def _text(value: Any) -> str:
    return _text(value.get("value", "")) if isinstance(value, dict) else str(value).strip()


def _keys(entry: dict[str, Any]) -> list[str]:
    keys = entry.get("productid", [])
    return [_text(key) for key in (keys if isinstance(keys, list) else [keys])]
