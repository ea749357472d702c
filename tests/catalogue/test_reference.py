"""The built-in data against the collected reference: every build, every date, every hole."""

import json
from datetime import date
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from wehr.catalogue import load
from wehr.catalogue.facts import DISPUTED
from wehr.catalogue.importers import BadFeed, read
from wehr.catalogue.importers.proposal import propose
from wehr.evidence.build import Build, format_build, parse_build

pytestmark = pytest.mark.reference
CATALOGUE = load()
PRODUCTS = {product.name: product for product in CATALOGUE.products}


@cache
def loaded(file: Path) -> Any:
    """A reference file."""
    return json.loads(file.read_text())


def test_every_build_of_the_reference_is_there(reference: Path) -> None:
    """Same product, day and KB number; the mislabelled and the disputed ones are there too, but marked."""
    rows = {
        (product.name, format_build(row.build)): row
        for product in CATALOGUE.products
        for branch in product.branches
        for row in branch.builds
    }
    wanted = loaded(reference / "exchange" / "builds.json")["rows"]
    assert len(wanted) == 455
    for row in wanted:
        mine = rows[row["product"], row["build"]]
        assert str(mine.released) == row["release_date"], row
        assert mine.kb == (row["kb"] or ""), row
        assert mine.esu == row.get("esu_only", False), row
        if row["build"] == "14.3.328.5" or row.get("disputed"):
            assert mine.status == DISPUTED
            assert mine.note
        else:
            assert mine.label == row["branch"], row
            assert row["update"] in {mine.update, "post-SP"}, row


def test_the_dates_of_the_products_are_the_reference_s(reference: Path) -> None:
    """Release, mainstream and extended end, periods of paid updates."""
    for name, dates in loaded(reference / "exchange" / "builds.json")["lifecycle"].items():
        product = PRODUCTS[name]
        assert str(product.released) == dates["release"]
        assert [[str(day) for day in period] for period in product.esu] == dates.get("esu", [])
        if name != "Exchange Server 4.0":  # no day was published
            ends = [product.mainstream_ends, product.support_ends]
            assert [str(end) if end else None for end in ends] == [
                dates["mainstream_end"],
                dates["extended_end"],
            ]


def test_branches_are_supported_as_microsoft_s_own_tool_had_it(reference: Path) -> None:
    """All 85 product states in 26 states of CSS-Exchange; it leaves the end of a product aside."""
    checked = 0
    for state in loaded(reference / "exchange" / "support.json")["css_flag_history"]:
        day = date.fromisoformat(state["date"][:10])
        for name, labels in state["supported"].items():
            product = PRODUCTS["Exchange Server " + name.removeprefix("Exchange")]
            mine = [
                branch.label
                for branch in product.branches
                if branch.released <= day and not (branch.unsupported_from and branch.unsupported_from <= day)
            ]
            assert mine == labels, (day, name)
            checked += 1
    assert checked == 85


def test_a_branch_falls_out_when_the_cu_after_next_appears(reference: Path) -> None:
    """Every branch of the reference that has such a CU."""
    for row in loaded(reference / "exchange" / "support.json")["branches"]:
        if row["next_next_cu"]:
            key = parse_build(row["base_build"])[:3]
            branch = next(one for one in PRODUCTS[row["product"]].branches if one.key == key)
            assert str(branch.support_ends) == row["policy_supported_until"], row


def test_every_hole_is_there_with_its_fixes_and_its_listing(reference: Path) -> None:
    """145 CVEs, 19 of them listed by CISA."""
    mine = {flaw.cve: flaw for flaw in CATALOGUE.flaws if flaw.software == "exchange"}
    wanted = loaded(reference / "exchange" / "cves.json")["cves"]
    assert mine.keys() == {row["cve"] for row in wanted}
    listed = 0
    for row in wanted:
        flaw = mine[row["cve"]]
        fixed = sorted(format_build(one.build) for rows in flaw.fixed.values() for one in rows)
        assert fixed == sorted(row["fixed"].values()), row["cve"]
        kev = row["kev"] or {"date_added": None, "ransomware": "Unknown"}
        assert (str(flaw.exploited) if flaw.exploited else None) == kev["date_added"]
        assert flaw.ransomware == (kev["ransomware"] == "Known")
        listed += row["kev"] is not None
    assert listed == 19


def test_holes_are_found_by_healthchecker_s_rule(reference: Path) -> None:
    """The rule written down a second time, over every build that is known."""
    day = date(2026, 11, 21)
    holes = [
        (row["cve"], [(name.rpartition(" ")[0], parse_build(text)) for name, text in row["fixed"].items()])
        for row in loaded(reference / "exchange" / "cves.json")["cves"]
    ]
    for product in CATALOGUE.products:
        for branch in product.branches if product.software == "exchange" else ():
            for row in branch.builds:
                wanted = {
                    cve
                    for cve, fixes in holes
                    if _vulnerable(
                        row.build, branch.key, [fix for name, fix in fixes if name == product.name]
                    )
                }
                found = {one.cve for one in CATALOGUE.assess(row.build, day).vulnerabilities}
                assert found == wanted, row


def _vulnerable(build: Build, key: Build, fixes: list[Build]) -> bool:
    if not fixes or build >= max(fixes):
        return False
    return not any(fix[: len(key)] == key and build >= fix for fix in fixes)


def test_no_real_document_contradicts_the_catalogue(reference: Path) -> None:
    """Every sample that is a feed is read; none would change a figure, and the wrong ones are reported."""
    readings = []
    for file in sorted((reference / "exchange" / "samples").glob("*/*.*")):
        try:
            readings.append(read(file.read_bytes()))
        except BadFeed:
            assert file.suffix == ".md" or file.stem in {
                "INDEX",
                "csaf_2.0_schema",
                "known_exploited_vulnerabilities_schema",
                "msrc-swagger",
                "sug-api-2",
                "updates",
            }, file
    assert {reading.format for reading in readings} == {"cve", "csaf", "cvrf", "kev"}
    assert sum(reading.format == "cve" for reading in readings) == 31
    assert sum(len(reading.fixes) for reading in readings) > 60
    found = propose(readings, CATALOGUE)
    assert not found, found
    about = {complaint.subject for complaint in found.complaints}
    assert {"CVE-2024-26198", "CVE-2024-21410", "CVE-2021-26855", "CVE-2019-10149"} <= about


def test_fixes_of_exim_are_the_reference_s(reference: Path) -> None:
    """First fixed version of each."""
    mine = {flaw.cve: flaw for flaw in CATALOGUE.flaws if flaw.software == "exim"}
    for row in loaded(reference / "exchange" / "exim-fixed.json")["cves"]:
        flaw = mine[row["cve"].split()[0].rstrip(",")]
        assert [format_build(one.build) for one in flaw.fixed["Exim"]] == [row["fixed"]], row
        assert (str(flaw.exploited) if flaw.exploited else None) == row["kev"], row
