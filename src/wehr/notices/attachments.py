"""The same for machines: one XARF v4 report for each server, and the table that national CERTs send."""

import base64
import csv
import hashlib
import io
import re
import uuid
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from wehr.notices.address import canonical_domain
from wehr.notices.servers import Server

XARF_VERSION: Final = "4.2.0"
_MOST_CVES: Final = 10
"""The schema's bound."""
_CVE: Final = re.compile(r"CVE-[0-9]{4}-[0-9]+")

# The names that CERT-Bund's and Shadowserver's tables share, as far as Wehr knows them.
COLUMNS: Final = (
    "timestamp",
    "ip",
    "port",
    "protocol",
    "hostname",
    "tag",
    "severity",
    "product",
    "version",
    "servername",
    "cve",
    "status",
)


def table(servers: Iterable[Server]) -> bytes:
    """The servers as CSV (RFC 4180, UTF-8), a line for each; times are UTC."""
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(COLUMNS)
    for server in servers:
        row = (
            f"{datetime.fromtimestamp(server.seen_at, UTC):%Y-%m-%d %H:%M:%S}",
            server.client_ip,
            25,
            "tcp",
            server.client_name,
            f"{server.software};outdated",
            "critical" if server.holes else "high",
            server.product,
            server.build,
            server.name,
            ";".join(hole.cve for hole in server.holes),
            "vulnerable" if server.holes else "outdated",
        )
        writer.writerow([harmless(cell) for cell in row])
    return out.getvalue().encode()


def harmless(value: object) -> str:
    """A cell that no spreadsheet takes for a formula: names are a stranger's words."""
    cell = str(value)
    return f"'{cell}" if cell[:1] in ("=", "+", "-", "@", "\t", "\r") else cell


def xarf(server: Server, *, operator: str, contact: str, domain: str) -> bytes | None:
    """A report of kind vulnerability/cve on one server; None if no exploited CVE of it is known for certain.

    None, too, if the library finds fault with it: a notice without its report is better than none, and what
    one server stamps must not hold up the notices of all.

    Args:
        server: what it is about.
        operator: who reports.
        contact: where to ask.
        domain: the reporter's own.
    """
    # An overlay may name holes that have no CVE; the table has them.
    cves = [hole.cve for hole in server.holes if _CVE.fullmatch(hole.cve)]
    if not cves:
        return None
    from xarf import parse  # slow to import, and seldom wanted

    who = {"org": operator[:200], "contact": contact, "domain": canonical_domain(domain)}
    line = f"Received: {server.line}".encode()
    report: dict[str, Any] = {
        "xarf_version": XARF_VERSION,
        "report_id": _identity(server),
        "timestamp": f"{datetime.fromtimestamp(server.seen_at, UTC):%Y-%m-%dT%H:%M:%SZ}",
        "reporter": who,
        "sender": who,
        "source_identifier": server.client_ip,
        "category": "vulnerability",
        "type": "cve",
        "evidence_source": "automated_discovery",
        "service": server.product,
        "service_version": server.build,
        "service_port": 25,
        "cve_id": cves[0],
        "cve_ids": cves[:_MOST_CVES],
        "severity": "critical",
        "risk_level": "critical",
        "exploitability": "weaponized",
        "patch_available": server.least is not None,
        "description": f"{server.name} stamps version {server.build}, which has holes known to be exploited",
        "evidence": [
            {
                "content_type": "text/plain",
                "description": "Trace field of a message that it handed over",
                "payload": base64.b64encode(line).decode(),
                "size": len(line),
                "hash": f"sha256:{hashlib.sha256(line).hexdigest()}",
            }
        ],
    }
    text = msgspec.json.encode(report)
    return None if parse(text.decode()).errors else msgspec.json.format(text, indent=2)


def _identity(server: Server) -> str:
    """A version 4 UUID, the same for the same sighting."""
    digest = hashlib.sha256(f"{server.ref} {server.build} {server.seen_at}".encode()).digest()
    return str(uuid.UUID(bytes=digest[:16], version=4))
