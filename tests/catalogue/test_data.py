"""The files: sound as shipped, and clear about what is wrong with one that is not."""

from datetime import date
from pathlib import Path

import pytest

from wehr.catalogue import CatalogueError, load
from wehr.catalogue.changes import changes
from wehr.catalogue.document import parse_document
from wehr.catalogue.lint import lint
from wehr.catalogue.load import read
from wehr.catalogue.types import State

PRODUCT = """schema = 1
date = 2026-01-01
software = "toy"
fixes = '''
CVE-2025-0001  2.0.5  -  here
'''
[sources]
here = "a test"
[[product]]
name = "Toy"
software = "toy"
branch_numbers = 1
released = 2020-01-01
source = "here"
serviced = [[2020-01-01, 2]]
security = ["2.0.5"]
builds = '''
1.0.0  1.0.0  2020-01-01  -  here

2.0.0  2.0.0  2021-01-01  -  here
2.0.5  2.0.5  2025-01-01  -  here

3.0.0  3.0.0  2025-06-01  -  here
'''
"""


def put(folder: Path, text: str, name: str = "toy.toml") -> Path:
    """A catalogue folder with one file."""
    (folder / name).write_text(text)
    return folder


def test_nothing_is_wrong_with_the_shipped_files() -> None:
    """The lint that people run, over the data that people get."""
    assert lint(read()) == ()


def test_a_folder_of_one_s_own(tmp_path: Path) -> None:
    """A small catalogue: branches by the first number, the newest two of them serviced."""
    catalogue = load(put(tmp_path, PRODUCT))
    assert lint(read(tmp_path)) == ()
    assert catalogue.assess((2, 0, 0), date(2025, 5, 31), "toy").state is State.OUTDATED
    assert catalogue.assess((2, 0, 5), date(2025, 5, 31), "toy").state is State.CURRENT
    assert catalogue.assess((1, 0, 0), date(2025, 5, 31), "toy").state is State.CURRENT
    assert catalogue.assess((1, 0, 0), date(2025, 6, 1), "toy").state is State.UNSUPPORTED


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("2.0.5  2.0.5  2025-01-01", "2.0.5  2.0.5  2025-13-01", ("line 21", "not a day", "write it as")),
        ("2.0.0  2.0.0  2021-01-01", "2.x.0  2.0.0  2021-01-01", ("line 20", "not a build number")),
        ("2.0.5  2.0.5  2025-01-01  -  here", "2.0.5  2025-01-01  -  here", ("line 21", "4 columns")),
        ("CVE-2025-0001", "CVE-25", ("line 5", "not a CVE number")),
        ("2.0.5  -  here\n", "2.0.7  -  here\n", ("CVE-2025-0001", "no builds table has")),
        ("CVE-2025-0001  2.0.5  -", "CVE-2025-0001  2.0.5  Toy ", None),
        ("CVE-2025-0001  2.0.5  -", "CVE-2025-0001  Jan25SU  Toy", ("has no update", "Jan25SU")),
        ("schema = 1", "schema = 9", ("schema 9",)),
        ("serviced", "servised", ("unknown field", "servised")),
        ('name = "Toy"', 'name = "Toy', ("toy.toml",)),
        ("released = 2020-01-01\n", "", ("needs software and released",)),
    ],
)
def test_an_error_names_the_place_and_the_remedy(
    tmp_path: Path, old: str, new: str, told: tuple[str, ...] | None
) -> None:
    """Whoever corrects a figure by hand is told where the slip is."""
    assert old in PRODUCT
    put(tmp_path, PRODUCT.replace(old, new))
    if told is None:
        load(tmp_path)
        return
    with pytest.raises(CatalogueError) as error:
        load(tmp_path)
    for text in ("toy.toml", *told):
        assert text in str(error.value)


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("2.0.5  2.0.5  2025-01-01", "2.0.5  2.0.5  2020-06-01", "is dated before 2.0.0"),
        ("3.0.0  3.0.0  2025-06-01", "3.0.0  3.0.0  2026-06-01", "after the file's own date"),
        ("2.0.5  2.0.5  2025-01-01  -  here", "2.0.5  2.0.5  2025-01-01  -  there", "is no known source"),
        ("2.0.0  2.0.0", "2.0.9  2.0.9", "stands below 2.0.9"),
        ("3.0.0  3.0.0  2025-06-01", "2.0.5  2.0.5  2025-06-01", "stands 2 times"),
        ("2.0.5  2.0.5", "2.0.5  Feb21SU", "is called Feb21SU but dated 2025-01-01"),
        ("2.0.5  2.0.5", "2.0.5  hotfix", "has a name that is none of"),
        ('security = ["2.0.5"]', 'security = ["2.0.6"]', "which is in no table"),
        ("released = 2020-01-01\n", "released = 2020-02-01\n", "is dated before Toy was released"),
        ("released = 2020-01-01\n", "released = 2020-01-01\nsupport_ends = 2019-01-01\n", "out of order"),
        ("released = 2020-01-01\n", "released = 2020-01-01\nsuccessor = 'Doll'\n", "unknown successor"),
        ("released = 2020-01-01\n", "released = 2020-01-01\nsupport_ends = 2024-01-01\n", "after the end"),
        ('here = "a test"', 'here = "a test"\n[notes]\n"9.9" = "?"', "stands in no table"),
        ("2.0.5  2.0.5  2025-01-01", "2.0.5  2.0.5  2025-13-01", "not a day"),
        (
            "[[product]]",
            "[[product]]\nname = 'Doll'\nsoftware = 'toy'\nreleased = 2020-01-01\n[[product]]",
            "Doll has no builds",
        ),
        ("serviced", "branch_ends = { CU9 = 2024-01-01 }\nserviced", "names 'CU9', which is no branch"),
        (
            "1.0.0  1.0.0  2020-01-01  -  here\n\n2.0.0  2.0.0",
            "1.0.0  RTM    2020-01-01  -  here\n\n2.0.0  RTM  ",
            "2 branches are called 'RTM'",
        ),
        ('here = "a test"', 'here = "a test"\n[status]\n"3.0.0" = "disputed"', "has disputed builds only"),
        (
            "2.0.5  2.0.5  2025-01-01  -  here",
            "2.0.5  2.0.5  2025-01-01  -  here\n2.0.6  2.0.5  2025-01-01  -  here",
            "is a second 2.0.5",
        ),
        ("CVE-2025-0001  2.0.5  -", "CVE-2025-0001  Jan25SU  -", "is fixed by nothing"),
        (
            "[sources]",
            "exploited = '''\nCVE-2025-0009  2025-01-01  -  here\n'''\n[sources]",
            "CVE-2025-0009 is exploited, but no table says what fixes it",
        ),
        ('here = "a test"', 'here = "a test"\n[status]\n"2.0.0" = "odd"', "no such status"),
        ('here = "a test"', 'here = "a test"\n[published]\nCVE-2025-0002 = 2025-01-01', "no fix"),
        (
            "CVE-2025-0001  2.0.5  -  here",
            "CVE-2025-0001  2.0.5  -  here\nCVE-2025-0001  2.0.5  -  here",
            "2 times",
        ),
        ("CVE-2025-0001", "CVE-2029-0001", "long before it got its number"),
        ('software = "toy"\nfixes', "fixes", "software"),
    ],
)
def test_lint_finds(tmp_path: Path, old: str, new: str, told: str) -> None:
    """Each fault, put into an otherwise sound file."""
    assert old in PRODUCT
    put(tmp_path, PRODUCT.replace(old, new, 1))
    found = " | ".join(f"{one.subject} {one.text}" for one in lint(read(tmp_path)))
    assert told in found


def test_lint_finds_a_branch_that_begins_twice(tmp_path: Path) -> None:
    """Of Exchange's three-number branches each is one CU."""
    head = PRODUCT.replace("branch_numbers = 1", "branch_numbers = 3")
    rows = "15.9.1.1  RTM  2020-01-01  -  here\n15.9.1.9  CU1  2020-02-01  -  here\n"
    put(tmp_path, head.replace("1.0.0  1.0.0  2020-01-01  -  here\n", rows))
    found = " | ".join(one.text for one in lint(read(tmp_path)))
    assert "begins twice: one branch number, one CU" in found


def test_an_overlay_adds_and_corrects(tmp_path: Path) -> None:
    """A new update, a corrected day and a new hole over the built-in data; the date is not touched."""
    overlay = tmp_path / "mine.toml"
    overlay.write_text(
        """schema = 1
software = "exchange"
fixes = '''
CVE-2026-99002  15.2.2562.99  -  mine
CVE-2026-55007  15.1.2507.73  -  mine
'''
[sources]
mine = "a test"
[[product]]
name = "Exchange Server SE"
builds = '''
15.2.2562.53  Sep26SUv2  2026-10-03  KB5129955  mine
15.2.2562.99  Nov26SU    2026-11-10  -          mine
'''
"""
    )
    plain, laid = load(), load(overlays=[overlay])
    assert laid.date == plain.date
    day = date(2026, 11, 21)
    assert [one.name for one in laid.assess((15, 2, 2562, 53), day).missing_updates] == ["Nov26SU"]
    told = {(one.subject, one.what): (one.before, one.after) for one in changes(plain, laid)}
    assert told["Exchange Server SE RTM 15.2.2562.53", "released"] == ("2026-10-02", "2026-10-03")
    assert told["CVE-2026-99002", "fixed in"] == ("", "15.2.2562.99")
    added = next(flaw for flaw in laid.flaws if flaw.cve == "CVE-2026-55007")
    assert sorted(added.fixed) == ["Exchange Server 2016", "Exchange Server 2019", "Exchange Server SE"]
    assert changes(plain, plain) == ()


def test_overlays_of_a_folder_that_is_not_there_are_none(tmp_path: Path) -> None:
    """A fresh installation has imported nothing."""
    assert load(overlays=[tmp_path / "nothing"]).date == load().date


def test_files_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    """No files, no text, far too much."""
    with pytest.raises(CatalogueError, match="no catalogue files"):
        load(tmp_path)
    (tmp_path / "a.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(CatalogueError, match=r"a\.toml: not UTF-8"):
        load(tmp_path)
    (tmp_path / "a.toml").write_bytes(b"#" * 4_000_001)
    with pytest.raises(CatalogueError, match="over 4000000 bytes"):
        load(tmp_path)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('source = "here"\n', 'source = "here"\nsuccessor = "Toy"\nsupport_ends = 2021-01-01\n'),
        ("[[product]]", "[status]\n'3.0.0' = 'disputed'\n[[product]]"),
        ("[[product]]", "[status]\n'2.0.0' = 'variant'\n[[product]]"),
    ],
    ids=["its own successor", "a branch with disputed builds only", "a variant as the first build"],
)
def test_odd_files_of_one_s_own_do_no_harm(tmp_path: Path, old: str, new: str) -> None:
    """Lint may complain, but every build is assessed."""
    catalogue = load(put(tmp_path, PRODUCT.replace(old, new)))
    for build in ((1, 0), (2, 0, 4), (2, 0, 5), (3, 0, 0), (4,), ()):
        for day in (date(2019, 1, 1), date(2022, 1, 1), date(2026, 1, 1)):
            found = catalogue.assess(build, day, "toy")
            assert all(row <= (3, 0, 0) for row in found.recommended_builds)


def test_comments_and_empty_lines_may_stand_in_a_table() -> None:
    """A person explains a figure where it stands."""
    text = PRODUCT.replace("3.0.0  3.0.0", "# the newest\n\n3.0.0  3.0.0").replace(
        "  -  here\n'''", "  -  here # ?\n'''"
    )
    assert parse_document(text, "x").product[0].builds != ""
