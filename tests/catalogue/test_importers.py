"""Feeds: what is taken from them, what is not, and the ten traps that real ones hold."""

import json
from datetime import date

import feeds
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wehr.catalogue import Catalogue, load
from wehr.catalogue.document import parse_document
from wehr.catalogue.importers import BadFeed, read
from wehr.catalogue.importers.plan import plan
from wehr.catalogue.importers.proposal import Proposal, propose
from wehr.catalogue.lint import lint
from wehr.catalogue.load import read as read_files
from wehr.evidence.build import format_build

CATALOGUE = load()
DOCUMENTS = read_files()
SE = "Microsoft Exchange Server Subscription Edition RTM"
CU14 = "Microsoft Exchange Server 2019 Cumulative Update 14"
CU15 = "Microsoft Exchange Server 2019 Cumulative Update 15"
NEW = "CVE-2026-99001"
DAY = date(2026, 11, 21)


def proposed(*documents: bytes, catalogue: Catalogue = CATALOGUE) -> Proposal:
    """What some documents change together."""
    return propose([read(document) for document in documents], catalogue)


def fixes(found: Proposal) -> dict[str, list[str]]:
    """CVE -> fixed builds."""
    return {fix.cve: [format_build(build) for build in fix.builds] for fix in found.fixes}


def complaints(found: Proposal) -> str:
    """All complaints in one text."""
    return " | ".join(f"{one.subject}: {one.text}" for one in found.complaints)


@pytest.mark.parametrize(
    "document",
    [
        feeds.cve(NEW, (SE, "15.02.2562.060")),
        feeds.csaf(NEW, SE, "15.02.2562.060"),
        feeds.cvrf_xml(NEW, SE, "15.02.2562.060"),
        b"\xef\xbb\xbf  \n" + feeds.cvrf_xml(NEW, SE, "15.02.2562.060").split(b"?>", 1)[1],
        feeds.cvrf_split(NEW, SE, "15.02.2562.060"),
        feeds.cvrf_service(NEW, SE, "15.02.2562.060"),
    ],
    ids=["cve", "csaf", "cvrf-xml", "cvrf-xml-bom", "cvrf-split", "cvrf-service"],
)
def test_every_format_brings_a_new_update_and_its_hole(document: bytes) -> None:
    """The same fact in six documents; other products, mitigations and ranges in them are left aside."""
    found = proposed(document)
    assert [(one.product, one.build, one.released) for one in found.builds] == [
        ("Exchange Server SE", (15, 2, 2562, 60), date(2026, 11, 10))
    ]
    assert fixes(found) == {NEW: ["15.2.2562.60"]}
    assert found.complaints == ()


def test_trap_1_ranges_that_overlap_are_not_ranges() -> None:
    """Each entry begins at 15.02.0.0: only its end is read, and only inside its own branch."""
    document = feeds.cve(NEW, (CU14, "15.02.1544.060"), (CU15, "15.02.1748.060"), (SE, "15.02.2562.060"))
    planned = plan(DOCUMENTS, [read(document)], [], DAY)
    added = [parse_document(text, name) for name, text in planned.files.items()]
    catalogue = Catalogue.of((*DOCUMENTS, *added))
    for build in ((15, 2, 1544, 60), (15, 2, 1748, 60), (15, 2, 2562, 60)):
        assert NEW not in {hole.cve for hole in catalogue.assess(build, DAY).vulnerabilities}
    for build in ((15, 2, 1544, 59), (15, 2, 1748, 59), (15, 2, 2562, 59), (15, 2, 1258, 39)):
        assert NEW in {hole.cve for hole in catalogue.assess(build, DAY).vulnerabilities}


@pytest.mark.parametrize("end", ["publication", "", "15.2.x"])
def test_trap_2_a_record_without_a_build_falls_back_to_the_table(end: str) -> None:
    """``publication`` and ``N/A`` are no builds."""
    found = proposed(feeds.cve("CVE-2021-26855", ("Microsoft Exchange Server 2019 Cumulative Update 8", end)))
    assert not found
    assert "the catalogue has it: Mar21SU" in complaints(found)
    unknown = proposed(feeds.cve(NEW, (SE, end)))
    assert not unknown
    assert f"{NEW}: no fixed build for {SE}" in complaints(unknown)


def test_trap_3_padded_and_unpadded_are_one() -> None:
    """15.02.2562.053 and 15.2.2562.53 agree with the catalogue alike."""
    for text in ("15.02.2562.053", "15.2.2562.53"):
        found = proposed(feeds.cve("CVE-2026-96940", (SE, text)))
        assert not found
        assert not found.complaints


def test_trap_4_swapped_products_are_told_by_their_builds() -> None:
    """CVE-2024-26198 gives CU13's build to CU14 and the other way round, and later builds than are known."""
    cu13 = "Microsoft Exchange Server 2019 Cumulative Update 13"
    found = proposed(feeds.cve("CVE-2024-26198", (CU14, "15.02.1258.034"), (cu13, "15.02.1544.011")))
    assert not found, "what is known is not overwritten"
    assert "which is of Exchange Server 2019 CU13" in complaints(found)
    assert "says 15.2.1544.11 for Exchange Server 2019 CU14, the catalogue 15.2.1544.9" in complaints(found)


def test_trap_4_a_start_that_covers_another_product_is_not_read() -> None:
    """CVE-2022-41040 starts 2016 CU22 at 15.0.0, which would take in all of 2013."""
    found = proposed(
        feeds.cve(
            NEW, ("Microsoft Exchange Server 2016 Cumulative Update 23", "15.01.2507.080"), start="15.0.0"
        )
    )
    assert [one.product for one in found.builds] == ["Exchange Server 2016"]
    assert fixes(found) == {NEW: ["15.1.2507.80"]}


@pytest.mark.parametrize(
    "name", ["exchange_server_se", "Exchange Server 2019", "exchange server", "Exchange Server SE"]
)
def test_trap_5_names_change_and_do_not_matter(name: str) -> None:
    """Only that it is Exchange is taken from the name."""
    assert fixes(proposed(feeds.cve(NEW, (name, "15.02.2562.060")))) == {NEW: ["15.2.2562.60"]}


def test_trap_6_exploited_holes_are_chosen_by_cve() -> None:
    """CVE-2026-42897 stands in KEV under the product "Microsoft"; an unknown due date does no harm."""
    same = proposed(feeds.kev(("CVE-2026-42897", "2026-05-15", "Unknown", "Microsoft")))
    assert not same
    found = proposed(
        feeds.kev(
            ("CVE-2026-96940", "2026-11-14", "Known", "Microsoft"),
            ("CVE-2026-00001", "2026-11-14", "Known", "Word"),
            ("CVE-2026-00002", "2026-11-14", "Known", "Exchange Server"),
        )
    )
    assert [(one.cve, one.listed, one.ransomware, one.before) for one in found.exploits] == [
        ("CVE-2026-96940", date(2026, 11, 14), True, None)
    ]
    assert "CVE-2026-00002: exploited, but no fix of it is known" in complaints(found)
    assert "CVE-2026-00001" not in complaints(found)


def test_trap_7_what_one_source_lacks_another_has() -> None:
    """HealthChecker lacks CVE-2021-34473; its record agrees with what stands here."""
    found = proposed(
        feeds.cve("CVE-2021-34473", ("Microsoft Exchange Server 2013 Cumulative Update 23", "15.00.1497.015"))
    )
    assert not found
    assert not found.complaints


def test_trap_7_configuration_is_not_cured_by_a_build() -> None:
    """CVE-2024-21410 gives CU14 as the fix for CU13: it only switches the protection on."""
    found = proposed(feeds.cve("CVE-2024-21410", (CU14, "15.2.1544.004")))
    assert not found
    assert "a matter of configuration" in complaints(found)


def test_trap_8_a_first_build_was_never_affected() -> None:
    """CVE-2025-53786 names SE as affected below its own RTM."""
    found = proposed(feeds.cve(NEW, (SE, "15.02.2562.017"), (CU15, "15.02.1748.060")))
    assert fixes(found) == {NEW: ["15.2.1748.60"]}
    assert "15.2.2562.17 is the first build of Exchange Server SE RTM" in complaints(found)


def test_trap_8_a_product_that_a_record_leaves_out_is_not_affected() -> None:
    """CVE-2026-55007 does not name 2016, so no build of 2016 has it."""
    for tail in range(0, 100, 5):
        holes = CATALOGUE.assess((15, 1, 2507, tail), DAY).vulnerabilities
        assert "CVE-2026-55007" not in {hole.cve for hole in holes}


def test_trap_9_only_records_that_are_published_count() -> None:
    """A list on a web page is no feed, a rejected record says nothing."""
    with pytest.raises(BadFeed, match="rejected"):
        read(feeds.cve("CVE-2026-1126", (SE, "15.02.2562.060"), state="REJECTED"))
    for text in (b"<html><body>CVE-2026-1126</body></html>", b"[]", b"CVE-2026-1126", b"{}", b""):
        with pytest.raises(BadFeed):
            read(text)


def test_trap_10_a_wrong_label_does_not_move_a_build() -> None:
    """endoflife.date calls 15.2.1544.36 "CU15 SU5"; it is CU14's."""
    found = proposed(feeds.cve(NEW, (CU15, "15.2.1544.36")))
    assert fixes(found) == {NEW: ["15.2.1544.36"]}
    assert "15.2.1544.36, which is of Exchange Server 2019 CU14" in complaints(found)
    assert CATALOGUE.branch_of("exchange", found.fixes[0].builds[0])[1].label == "CU14"  # type: ignore[union-attr]


def test_what_cannot_be_decided_is_left_out() -> None:
    """An unknown branch, a build between known ones, two builds for one branch."""
    assert not proposed(feeds.cve(NEW, (SE, "15.02.3000.5")))
    between = proposed(feeds.cve(NEW, (SE, "15.02.2562.050")))
    assert not between
    assert "lies between known builds" in complaints(between)
    rivals = proposed(feeds.cve(NEW, (SE, "15.02.2562.060"), (SE, "15.02.2562.061")))
    assert not rivals
    assert "says 15.2.2562.60 and 15.2.2562.61 for one branch" in complaints(rivals)


def test_an_exim_record_brings_where_the_hole_began() -> None:
    """For software without overlapping branches the start of a range is a fact."""
    found = proposed(feeds.cve(NEW, ("Exim", "4.100.2"), vendor="Exim", start="4.98"))
    assert [(one.builds, one.introduced) for one in found.fixes] == [(((4, 100, 2),), (4, 98))]


def test_a_record_of_nothing_known_is_said_to_be_that() -> None:
    """So that nobody believes it was taken in."""
    found = proposed(feeds.cve(NEW, ("Word", "1.2"), vendor="Microsoft"))
    assert not found
    assert "no software that is known" in complaints(found)


def test_a_hole_and_its_exploitation_come_together() -> None:
    """In either order."""
    record = feeds.cve(NEW, (SE, "15.02.2562.060"))
    listing = feeds.kev((NEW, "2026-11-14", "Known", "Microsoft"))
    for pair in ((record, listing), (listing, record)):
        found = proposed(*pair)
        assert fixes(found) == {NEW: ["15.2.2562.60"]}
        assert [one.cve for one in found.exploits] == [NEW]


def test_an_import_can_be_repeated_and_passes_lint() -> None:
    """The overlay is read back, adds what was proposed, and the second time there is nothing to add."""
    readings = [
        read(feeds.cve(NEW, (SE, "15.02.2562.060"), (CU15, "15.02.1748.060"))),
        read(
            feeds.kev(
                (NEW, "2026-11-14", "Known", "Microsoft"), ("CVE-2019-15846", "2026-11-14", "-", "Exim")
            )
        ),
        read(feeds.cve("CVE-2026-99003", ("Exim", "4.100.2"), vendor="Exim", start="4.98")),
    ]
    planned = plan(DOCUMENTS, readings, [], DAY)
    assert sorted(name.split("-")[1] for name in planned.files) == ["exchange", "exim"]
    assert plan(DOCUMENTS, readings, [], DAY) == planned
    added = (*DOCUMENTS, *(parse_document(text, name) for name, text in planned.files.items()))
    assert lint(added) == ()
    catalogue = Catalogue.of(added)
    hole = catalogue.assess((15, 2, 2562, 53), DAY).vulnerabilities[0]
    assert (hole.cve, hole.exploited, hole.ransomware) == (NEW, date(2026, 11, 14), True)
    paid = catalogue.assess((15, 2, 1748, 53), DAY).missing_updates
    assert [(one.build, one.esu) for one in paid] == [((15, 2, 1748, 60), True)]
    again = plan(added, readings, [], DAY)
    assert (again.changes, again.files) == ((), {})


def test_the_date_moves_only_if_somebody_vouches() -> None:
    """One record does not make a catalogue complete."""
    reading = read(feeds.cve(NEW, (SE, "15.02.2562.060")))
    for vouched, wanted in ((None, CATALOGUE.date), (DAY, DAY), (date(2020, 1, 1), CATALOGUE.date)):
        planned = plan(DOCUMENTS, [reading], [], DAY, vouched)
        added = [parse_document(text, name) for name, text in planned.files.items()]
        assert Catalogue.of((*DOCUMENTS, *added)).date == wanted
    nothing = plan(DOCUMENTS, [], [], DAY, DAY)
    assert [one.what for one in nothing.changes] == ["date"]


def test_an_advisory_without_a_build_is_reported() -> None:
    """CSAF and CVRF that speak of Exchange and name no build."""
    advisory = feeds.csaf(NEW, SE, "see the notes")
    for document in (advisory, feeds.cvrf_xml(NEW, SE, ""), feeds.cvrf_split(NEW, SE, "N/A")):
        found = proposed(document)
        assert not found
        assert complaints(found) == f"{NEW}: no fixed build in it"


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"cveMetadata": {"cveId": "CVE-1", "state": "PUBLISHED"}}, "cveMetadata/cveId"),
        ({"cveMetadata": {"cveId": NEW, "state": "MAYBE"}}, "cveMetadata/state"),
        ({"containers": {}}, "cna"),
        ({"containers": {"cna": {"affected": {}}}}, "containers/cna/affected"),
    ],
)
def test_a_record_that_breaks_its_schema_is_refused(change: dict[str, object], told: str) -> None:
    """With the place of the breach."""
    with pytest.raises(BadFeed, match=told):
        read(json.dumps({**json.loads(feeds.cve(NEW, (SE, "15.02.2562.060"))), **change}).encode())


@pytest.mark.parametrize(
    "document",
    [
        feeds.csaf(NEW, SE, "1.2", vulnerabilities=[{"cve": "x"}]),
        feeds.csaf(NEW, SE, "1.2", vulnerabilities={}),
        feeds.csaf(NEW, SE, "1.2", document={"csaf_version": "2.1", "tracking": {}}),
        feeds.csaf(NEW, SE, "1.2", product_tree={"branches": [{"name": 1, "category": "product_name"}]}),
        b'{"catalogVersion": "2026", "vulnerabilities": []}',
        b'{"catalogVersion": "2026.01.01", "vulnerabilities": [{"cveID": "x"}]}',
        feeds.kev((NEW, "2026-13-01", "Known", "x")),
        b'{"documenttracking": {}}',
        b'{"documenttracking": {"identification": {"id": 1}}, "producttree": {}, "vulnerability": []}',
        b"<a></b>",
        b"<a/>",
        b'{"containers":' * 100_000,
        b"<a>" * 100_000,
        b'{"document": ' + b'{"branches": [' * 5_000 + b"]}" * 5_000 + b"}",
    ],
)
def test_a_broken_document_is_refused_not_guessed(document: bytes) -> None:
    """Every format, broken in its own way."""
    with pytest.raises(BadFeed):
        read(document)


def test_xml_may_declare_no_entities() -> None:
    """Neither a billion laughs nor a file of the machine's."""
    bomb = b'<!DOCTYPE x [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;&a;&a;">]><x>&b;</x>'
    outside = b'<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]><x>&a;</x>'
    for document in (bomb, outside):
        with pytest.raises(BadFeed, match="document type declaration"):
            read(document)


@given(st.binary(max_size=300))
def test_garbage_never_throws_anything_else(raw: bytes) -> None:
    """Bytes from anywhere: a reading or a BadFeed."""
    for document in (raw, b"<" + raw, b"{" + raw):
        try:
            read(document)
        except BadFeed:
            continue


_json = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.text(max_size=6),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "cve",
                    "id",
                    "type",
                    "name",
                    "product_id",
                    "text",
                    "value",
                    "status",
                    "remediation",
                    "fixed_build",
                ]
            ),
            inner,
            max_size=3,
        )
    ),
    max_leaves=8,
)


@given(
    st.dictionaries(st.sampled_from(["documenttracking", "producttree", "vulnerability"]), _json, min_size=1),
    _json,
)
def test_json_of_any_shape_never_throws_anything_else(document: dict[str, object], inner: object) -> None:
    """Right at the top and wild below."""
    wild = {
        "documenttracking": {"identification": {"id": inner}},
        "producttree": {"fullproductname": [{"productid": "1", "text": inner}]},
        "vulnerability": [{"cve": NEW, "productstatuses": inner, "remediations": inner}],
    }
    for one in (document, wild):
        try:
            propose([read(json.dumps(one).encode())], CATALOGUE)
        except BadFeed:
            continue
