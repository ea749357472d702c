"""Small feed documents of our own, in the shapes of the real ones."""

import json
from typing import Any


def cve(
    number: str, *affected: tuple[str, str], published: str = "2026-11-10T17:00:00.000Z", **more: Any
) -> bytes:
    """A CVE record, JSON 5: (product, lessThan) for each entry; "" makes an entry without a build."""
    vendor = more.pop("vendor", "Microsoft")
    start = more.pop("start", "15.02.0.0")
    return json.dumps(
        {
            "dataType": "CVE_RECORD",
            "dataVersion": "5.2",
            "cveMetadata": {"cveId": number, "state": "PUBLISHED", "datePublished": published, **more},
            "containers": {
                "cna": {
                    "affected": [
                        {
                            "vendor": vendor,
                            "product": product,
                            "versions": [
                                {
                                    "version": start,
                                    "lessThan": end,
                                    "status": "affected",
                                    "versionType": "custom",
                                }
                                if end
                                else {"version": "N/A", "status": "affected"}
                            ],
                        }
                        for product, end in affected
                    ]
                }
            },
        }
    ).encode()


def csaf(number: str, product: str, build: str, **more: Any) -> bytes:
    """An MSRC advisory, CSAF 2.0, about one product."""
    document = {
        "document": {
            "category": "csaf_security_advisory",
            "csaf_version": "2.0",
            "title": "Example",
            "tracking": {
                "id": f"msrc_{number}",
                "current_release_date": "2026-11-12T08:00:00.000Z",
                "initial_release_date": "2026-11-10T08:00:00.000Z",
            },
        },
        "product_tree": {
            "branches": [
                {
                    "category": "product_name",
                    "name": product,
                    "branches": [
                        {
                            "category": "product_version_range",
                            "name": f"<{build}",
                            "product": {"name": f"{product} <{build}", "product_id": "1"},
                        },
                        {
                            "category": "product_version",
                            "name": build,
                            "product": {"name": f"{product} {build}", "product_id": "12345"},
                        },
                    ],
                }
            ]
        },
        "vulnerabilities": [
            {
                "cve": number,
                "product_status": {"fixed": ["12345"], "known_affected": ["1"]},
                "remediations": [
                    {
                        "category": "vendor_fix",
                        "details": f"{build}:Security Update:https://support.example.org/help/1",
                        "product_ids": ["1"],
                    }
                ],
            }
        ],
    }
    return json.dumps({**document, **more}).encode()


def cvrf_xml(number: str, product: str, build: str) -> bytes:
    """An MSRC month, CVRF in XML, about one product."""
    return f"""<?xml version="1.0" encoding="utf-8"?>
<cvrf:cvrfdoc xmlns:cvrf="http://www.icasi.org/CVRF/schema/cvrf/1.1"
    xmlns:vuln="http://www.icasi.org/CVRF/schema/vuln/1.1"
    xmlns:prod="http://www.icasi.org/CVRF/schema/prod/1.1">
  <cvrf:DocumentTracking>
    <cvrf:Identification><cvrf:ID>2026-Nov</cvrf:ID></cvrf:Identification>
    <cvrf:InitialReleaseDate>2026-11-10T08:00:00</cvrf:InitialReleaseDate>
    <cvrf:CurrentReleaseDate>2026-11-12T08:00:00</cvrf:CurrentReleaseDate>
  </cvrf:DocumentTracking>
  <prod:ProductTree>
    <prod:FullProductName ProductID="11">{product}</prod:FullProductName>
    <prod:FullProductName ProductID="12">Windows &lt;Server&gt; 2025</prod:FullProductName>
  </prod:ProductTree>
  <vuln:Vulnerability Ordinal="1">
    <vuln:CVE>{number}</vuln:CVE>
    <vuln:ProductStatuses><vuln:Status Type="Known Affected">
      <vuln:ProductID>11</vuln:ProductID><vuln:ProductID>12</vuln:ProductID>
    </vuln:Status></vuln:ProductStatuses>
    <vuln:Remediations>
      <vuln:Remediation Type="Vendor Fix"><vuln:Description>5000001</vuln:Description>
        <vuln:ProductID>12</vuln:ProductID><vuln:FixedBuild>10.0.26100.1</vuln:FixedBuild></vuln:Remediation>
      <vuln:Remediation Type="Vendor Fix"><vuln:ProductID>11</vuln:ProductID>
        <vuln:SubType>Security Update</vuln:SubType>
        <vuln:FixedBuild>{build}</vuln:FixedBuild></vuln:Remediation>
      <vuln:Remediation Type="Mitigation"><vuln:ProductID>11</vuln:ProductID>
        <vuln:FixedBuild>15.02.2562.099</vuln:FixedBuild></vuln:Remediation>
    </vuln:Remediations>
  </vuln:Vulnerability>
</cvrf:cvrfdoc>""".encode()


def cvrf_split(number: str, product: str, build: str) -> bytes:
    """The same in the JSON of MSRC's split files."""
    return json.dumps(
        {
            "documenttracking": {
                "identification": {"id": number},
                "initial_release_date": "2026-11-10T08:00:00",
                "current_release_date": "2026-11-12T08:00:00",
            },
            "producttree": {"fullproductname": [{"text": product, "productid": "11"}]},
            "vulnerability": [
                {
                    "cve": number,
                    "productstatuses": {"status": {"type": "Known Affected", "product_id": ["11"]}},
                    "remediations": {
                        "remediation": {"type": "Vendor Fix", "product_id": "11", "fixed_build": build}
                    },
                }
            ],
        }
    ).encode()


def cvrf_service(number: str, product: str, build: str) -> bytes:
    """The same in the JSON of MSRC's service."""
    return json.dumps(
        {
            "DocumentTracking": {
                "Identification": {"ID": {"Value": "2026-Nov"}},
                "InitialReleaseDate": "2026-11-10T08:00:00",
                "CurrentReleaseDate": "2026-11-12T08:00:00",
            },
            "ProductTree": {"FullProductName": [{"ProductID": "11", "Value": product}]},
            "Vulnerability": [
                {
                    "CVE": number,
                    "ProductStatuses": [{"ProductID": ["11"], "Type": 3}],
                    "Remediations": [
                        {
                            "Description": {"Value": "5000001"},
                            "ProductID": ["11"],
                            "Type": 2,
                            "FixedBuild": build,
                        }
                    ],
                }
            ],
        }
    ).encode()


def kev(*entries: tuple[str, str, str, str], version: str = "2026.11.15") -> bytes:
    """A KEV catalogue: (CVE, day, ransomware use, product)."""
    return json.dumps(
        {
            "title": "Example",
            "catalogVersion": version,
            "count": len(entries),
            "vulnerabilities": [
                {
                    "cveID": number,
                    "vendorProject": "Microsoft",
                    "product": product,
                    "vulnerabilityName": f"Microsoft {product} Vulnerability",
                    "dateAdded": day,
                    "dueDate": "2026-12-01",
                    "knownRansomwareCampaignUse": ransomware,
                }
                for number, day, ransomware, product in entries
            ],
        }
    ).encode()
