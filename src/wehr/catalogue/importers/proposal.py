"""What a feed's claims change in the catalogue: decided by the builds, reported where it cannot be decided.

A feed's ranges overlap, its product names are swapped now and then, and some records name no build at all.
So the branch that a build belongs to is told by its numbers, a known figure is never overwritten by another,
and whatever does not fit is a complaint.
"""

from collections.abc import Iterable, Sequence
from datetime import date

from msgspec import Struct

from wehr.catalogue.catalogue import Catalogue
from wehr.catalogue.facts import DISPUTED, Branch, Known, Product
from wehr.catalogue.importers.claims import Complaint, ExploitClaim, FixClaim, Reading
from wehr.evidence.build import Build, format_build


class NewBuild(Struct, frozen=True):
    """A build above the newest known of its branch, which a feed says fixes a hole."""

    product: str
    build: Build
    released: date
    """The day on which the hole was published: by then it was out."""
    source: str


class NewFix(Struct, frozen=True):
    """A hole, or a branch of one, that the catalogue does not have."""

    software: str
    cve: str
    builds: tuple[Build, ...]
    published: date | None
    introduced: Build | None
    source: str


class NewExploit(Struct, frozen=True):
    """A hole that is exploited, or was listed otherwise than the catalogue has it."""

    cve: str
    listed: date
    ransomware: bool
    before: date | None
    source: str


class Proposal(Struct, frozen=True):
    """All that one import would change; empty if the catalogue has it already."""

    builds: tuple[NewBuild, ...] = ()
    fixes: tuple[NewFix, ...] = ()
    exploits: tuple[NewExploit, ...] = ()
    complaints: tuple[Complaint, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.builds or self.fixes or self.exploits)


def propose(readings: Sequence[Reading], catalogue: Catalogue) -> Proposal:
    """Hold what feeds claim against what is known. Pure; the order of the readings does not matter much."""
    work = _Work(catalogue)
    for reading in readings:
        for claim in reading.fixes:
            work.fix(claim, reading)
        for complaint in reading.complaints:
            work.complaints[work.with_table(complaint)] = None
        if not reading.mentioned and not reading.exploits:
            work.complain(reading.document, "speaks of no software that is known here")
    for reading in readings:
        for exploit in reading.exploits:
            work.exploit(exploit, reading)
    return work.proposal()


class _Work:
    """One import under way."""

    def __init__(self, catalogue: Catalogue) -> None:
        self.catalogue = catalogue
        self.flaws = {(flaw.software, flaw.cve): flaw for flaw in catalogue.flaws}
        self.builds: dict[Build, NewBuild] = {}
        self.fixes: dict[tuple[str, str], dict[Build, tuple[FixClaim, Reading]]] = {}
        self.exploits: dict[str, NewExploit] = {}
        self.complaints: dict[Complaint, None] = {}

    def complain(self, subject: str, text: str) -> None:
        self.complaints[Complaint(subject, text)] = None

    def with_table(self, complaint: Complaint) -> Complaint:
        """A record without a build is no loss where the table has the fix."""
        updates = {flaw.update for flaw in self.catalogue.flaws if flaw.cve == complaint.subject} - {""}
        known = f"; the catalogue has it: {', '.join(sorted(updates))}" if updates else ""
        return Complaint(complaint.subject, complaint.text + known)

    def fix(self, claim: FixClaim, reading: Reading) -> None:
        product, branch = self.catalogue.branch_of(claim.software, claim.build)
        text = format_build(claim.build)
        if product is None or branch is None:
            self.complain(claim.cve, f"{claim.product}: {text} is of no branch that is known; left out")
            return
        place = f"{product.name} {branch.label}".strip()
        if not _agrees(claim.product, product, branch):
            self.complain(claim.cve, f"says {claim.product!r} for {text}, which is of {place}")
        rows = [row for row in branch.builds if row.status != DISPUTED]
        flaw = self.flaws.get((claim.software, claim.cve))
        mine = next((row for row in (flaw.fixed.get(product.name, ()) if flaw else ()) if row in rows), None)
        if flaw and flaw.configuration:
            self.complain(claim.cve, f"a matter of configuration, which {text} does not cure; left out")
        elif mine and mine.build != claim.build:
            have = format_build(mine.build)
            self.complain(claim.cve, f"says {text} for {place}, the catalogue {have}; left as it is")
        elif mine:
            return
        elif claim.build <= rows[0].build:
            self.complain(claim.cve, f"{text} is the first build of {place}: that was never affected")
        elif any(row.build == claim.build for row in rows) or self._new_build(claim, reading, product, rows):
            self.fixes.setdefault((claim.software, claim.cve), {})[claim.build] = claim, reading

    def _new_build(self, claim: FixClaim, reading: Reading, product: Product, rows: Sequence[Known]) -> bool:
        published = reading.published.get(claim.cve) or reading.dated
        text = format_build(claim.build)
        if claim.build < rows[-1].build:
            self.complain(claim.cve, f"{text} lies between known builds, but no table has it; left out")
            return False
        if published is None:
            self.complain(claim.cve, f"{text} is new, but nothing says when it came out; left out")
            return False
        old = self.builds.get(claim.build)
        if old is None or published < old.released:
            self.builds[claim.build] = NewBuild(product.name, claim.build, published, reading.format)
        return True

    def exploit(self, claim: ExploitClaim, reading: Reading) -> None:
        flaws = [flaw for flaw in self.catalogue.flaws if flaw.cve == claim.cve]
        new = any(cve == claim.cve for _, cve in self.fixes)
        if not flaws and not new:
            if "exchange server" in claim.product.lower():
                self.complain(claim.cve, "exploited, but no fix of it is known; import its CVE record too")
            return
        said = claim.listed, claim.ransomware
        if flaws and all((flaw.exploited, flaw.ransomware) == said for flaw in flaws):
            return
        before = next((flaw.exploited for flaw in flaws), None)
        self.exploits[claim.cve] = NewExploit(
            claim.cve, claim.listed, claim.ransomware, before, reading.format
        )

    def proposal(self) -> Proposal:
        fixes = [fix for key, table in self.fixes.items() if (fix := self._fix(key, table))]
        wanted = {build for fix in fixes for build in fix.builds}
        return Proposal(
            builds=tuple(self.builds[build] for build in sorted(self.builds) if build in wanted),
            fixes=tuple(fixes),
            exploits=tuple(self.exploits.values()),
            complaints=tuple(self.complaints),
        )

    def _fix(self, key: tuple[str, str], table: dict[Build, tuple[FixClaim, Reading]]) -> NewFix | None:
        software, cve = key
        branches: dict[Build, list[Build]] = {}
        for build in sorted(table):
            _, branch = self.catalogue.branch_of(software, build)
            branches.setdefault(branch.key if branch else (), []).append(build)
        for rivals in branches.values():
            if len(rivals) > 1:
                both = " and ".join(map(format_build, rivals))
                self.complain(cve, f"says {both} for one branch; both left out")
        builds = tuple(rivals[0] for rivals in branches.values() if len(rivals) == 1)
        if not builds:
            return None
        said = [table[build] for build in builds]
        return NewFix(
            software=software,
            cve=cve,
            builds=builds,
            published=min((day for _, one in said if (day := one.published.get(cve))), default=None),
            introduced=next((claim.introduced for claim, _ in said), None),
            source=said[0][1].format,
        )


def _agrees(said: str, product: Product, branch: Branch) -> bool:
    """Whether a feed's product name fits the build's branch; a name without a CU fits any."""
    words = said.lower().replace("_", " ").replace("cumulative update ", "cu").split()
    years = _these(words, ("2007", "2010", "2013", "2016", "2019", "subscription", "se"))
    short = product.name.rsplit(" ", 1)[-1].lower()
    if years and short not in {"se" if year == "subscription" else year for year in years}:
        return False
    units = [word for word in words if word.startswith("cu") and word[2:].isdigit()]
    return not units or branch.label.lower() in units


def _these(words: Iterable[str], wanted: Sequence[str]) -> list[str]:
    return [word for word in words if word in wanted]
