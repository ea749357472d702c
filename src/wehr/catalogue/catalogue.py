"""The catalogue as a value: look up a build, say what was out of date on a day."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date, timedelta
from functools import lru_cache

from wehr.catalogue import assemble
from wehr.catalogue.document import Document
from wehr.catalogue.facts import DISPUTED, VARIANT, Branch, Flaw, Known, Product
from wehr.catalogue.types import Assessment, MissingUpdate, Note, Release, State, Vulnerability
from wehr.evidence.build import Build, format_build

STALE_AFTER = timedelta(days=60)
_REMEMBERED = 8192


class Catalogue:
    """Everything known of builds on the catalogue's date. Immutable, picklable, safe between threads.

    Assessments are remembered (the last 8192), which nobody can tell from the outside but by a watch.
    """

    __slots__ = ("__dict__", "_branches", "_flaws", "_products", "date", "flaws", "products", "sources")

    def __init__(
        self,
        products: Sequence[Product],
        flaws: Sequence[Flaw],
        sources: Mapping[str, str],
        day: date,
    ) -> None:
        self.products = tuple(products)
        self.flaws = tuple(flaws)
        self.sources = dict(sources)
        self.date = day
        self._products = {product.name: product for product in self.products}
        self._branches = {
            (product.software, branch.key): (product, branch)
            for product in self.products
            for branch in product.branches
            if any(row.status != DISPUTED for row in branch.builds)
        }
        self._flaws = {
            product.name: tuple(
                flaw for flaw in self.flaws if not flaw.configuration and product.name in flaw.fixed
            )
            for product in self.products
        }
        self._remembered = lru_cache(_REMEMBERED)(self._assess)
        self._acceptable = lru_cache(_REMEMBERED)(self._recommended)

    @classmethod
    def of(cls, documents: Sequence[Document]) -> "Catalogue":
        """Build one from parsed files.

        The date is that of the newest dated file. An overlay from feeds is undated unless somebody vouches
        for it: a feed's document does not say that nothing else came out.

        Raises:
            CatalogueError: the files contradict themselves; the text names the file and the remedy.
        """
        products = assemble.products(documents)
        dated = [document.date for document in documents if document.date]
        return cls(
            products,
            assemble.flaws(documents, products),
            assemble.sources(documents),
            max(dated, default=date.min),
        )

    def __reduce__(self) -> tuple[type["Catalogue"], tuple[object, ...]]:
        return Catalogue, (self.products, self.flaws, self.sources, self.date)

    def age(self, day: date) -> timedelta:
        """How old the figures are on the day; never negative."""
        return max(day - self.date, timedelta())

    def stale(self, day: date, after: timedelta = STALE_AFTER) -> bool:
        """Whether a newer catalogue is due. A stale one goes on serving: it can only be too mild."""
        return self.age(day) > after

    def product_of(self, software: str, build: Build) -> str | None:
        """The product that a build belongs to, or None."""
        product, _ = self.branch_of(software, build)
        return product.name if product else None

    def row_of(self, software: str, build: Build) -> Known | None:
        """The row of the tables that a build counts as, or None: itself, or else the next below it."""
        _, branch = self.branch_of(software, build)
        return _held(branch, build) if branch else None

    def release_of(self, software: str, build: Build) -> Release | None:
        """What its vendor calls a build, or the one that it counts as; None if its branch is unknown."""
        product, branch = self.branch_of(software, build)
        if product is None or branch is None:
            return None
        row = _held(branch, build)
        name = " ".join(part for part in (row.label, row.update) if part)
        return Release(product.name, format_build(build), name, row.kb, row.released)

    def software(self) -> tuple[str, ...]:
        """The families that are known, ``exchange`` first."""
        return tuple(dict.fromkeys(product.software for product in self.products))

    def assess(self, build: Build, day: date, software: str = "exchange") -> Assessment:
        """What was known of a build on a day. Never throws, whatever the numbers.

        ``docs/catalogue.md`` says the rules in words and examples.
        """
        return self._remembered(build, day, software)

    def branch_of(self, software: str, build: Build) -> tuple[Product | None, Branch | None]:
        """The product and branch that a build belongs to; the product alone if the branch is unknown."""
        for length in (3, 2, 1, 0) if build else ():
            if found := self._branches.get((software, build[:length])):
                return found
        below = [
            (key, product)
            for (family, key), (product, _) in self._branches.items()
            if family == software and key[:-1] == build[: len(key) - 1] and key <= build
        ]
        # Of an unknown branch the product at least is told: that of the nearest branch below it.
        return (max(below, key=lambda one: one[0])[1] if below else None), None

    def _assess(self, build: Build, day: date, software: str) -> Assessment:
        product, branch = self.branch_of(software, build)
        if product is None:
            return _unknown(software, build, None, Note.UNKNOWN_PRODUCT)
        if branch is None:
            if product.successor or build[: product.branch_numbers] <= product.branches[-1].key:
                return _unknown(software, build, product, Note.UNKNOWN_BRANCH)
            return self._newer_release(build, day, product)
        return self._within(build, day, product, branch)

    def _newer_release(self, build: Build, day: date, product: Product) -> Assessment:
        """A branch above all known ones of the newest product: a release yet to be noted."""
        return Assessment(
            software=product.software,
            product=product.name,
            branch=None,
            update=None,
            build=build,
            released=None,
            state=State.CURRENT,
            branch_supported=True,
            support_ends=product.support_ends,
            recommended_builds=self._acceptable(product.name, day, False),
            branch_key=build[: product.branch_numbers],
            notes=(Note.NEWER_THAN_CATALOGUE,),
        )

    def _within(self, build: Build, day: date, product: Product, branch: Branch) -> Assessment:
        rows = [row for row in branch.builds if row.status != DISPUTED]
        held = _held(branch, build)
        counted = max(build, rows[0].build)
        esu = any(row.esu and row.build <= counted for row in rows)
        missing = _missing(product, rows, counted, day)
        due = [one for one in missing if one.certain and (esu or not one.esu)]
        lost = [
            start
            for start in (_after(product.support_ends), branch.unsupported_from)
            if start and start <= day
        ]
        state = State.UNSUPPORTED if lost else State.OUTDATED if due else State.CURRENT
        undecided = state is State.CURRENT and any(not one.certain for one in missing)
        return Assessment(
            software=product.software,
            product=product.name,
            branch=held.label or None,
            update=held.update,
            build=build,
            released=held.released,
            state=state,
            branch_supported=not lost,
            support_ends=(
                branch.support_ends
                if branch.unsupported_from and branch.unsupported_from <= day
                else product.support_ends
            ),
            missing_updates=missing,
            vulnerabilities=tuple(self._holes(product, branch, counted, day)),
            recommended_builds=self._acceptable(product.name, day, esu),
            branch_key=branch.key,
            notes=tuple(_notes(build, day, rows, esu=esu, undecided=undecided)),
            backported=product.backported,
            missing_since=min((one.released for one in due), default=None),
            unsupported_since=min(lost, default=None),
            esu_available=product.esu_on(day) and any(row.esu for row in rows),
            product_supported=product.supported(day),
        )

    def _holes(self, product: Product, branch: Branch, build: Build, day: date) -> Iterator[Vulnerability]:
        """HealthChecker's rule: a branch that got the fix is held to it; others must be newer than all such.

        Source: microsoft/CSS-Exchange, Shared/CompareExchangeBuildLevel.ps1.
        """
        length = product.branch_numbers
        for flaw in self._flaws[product.name]:
            if (flaw.published and flaw.published > day) or (flaw.introduced and build < flaw.introduced):
                continue
            fixes = flaw.fixed[product.name]
            if build >= fixes[-1].build:
                continue
            own = next((row for row in fixes if row.build[:length] == branch.key), None)
            if own and build >= own.build:
                continue
            fixes = tuple(row for row in fixes if row.released <= day)
            if own not in fixes:
                own = None
            if not fixes or build >= fixes[-1].build:
                continue
            fix = own or next(row for row in fixes if row.build > build)
            exploited = flaw.exploited if flaw.exploited and flaw.exploited <= day else None
            yield Vulnerability(
                cve=flaw.cve,
                fixed_in=fix.build,
                exploited=exploited,
                certain=own is None or _stamped(product, own),
                ransomware=bool(exploited and flaw.ransomware),
                fixed_released=fix.released,
            )

    def _recommended(self, name: str, day: date, esu: bool) -> tuple[Build, ...]:
        """What is acceptable on the day: of the product itself, or else of the next one that is in support.

        A server with paid updates may also stay on the newest of those while they are on offer.
        """
        acceptable: list[Build] = []
        product = self._products[name]
        if esu and not product.supported(day) and product.esu_on(day):
            acceptable += _acceptable(product, day, esu=True)
        heir: Product | None = product
        for _ in self.products:  # no more steps than products, even if files name each other's as successor
            if heir is None or (heir.supported(day) and heir.released <= day):
                break
            heir = self._products.get(heir.successor)
        if heir and heir.supported(day):
            acceptable += _acceptable(heir, day, esu=False)
        return tuple(sorted(acceptable, reverse=True))


def _held(branch: Branch, build: Build) -> Known:
    rows = [row for row in branch.builds if row.status != DISPUTED]
    return max((row for row in rows if row.build <= build), default=rows[0], key=lambda row: row.build)


def _acceptable(product: Product, day: date, *, esu: bool) -> Iterator[Build]:
    for branch in product.branches:
        if branch.released > day or (branch.unsupported_from and branch.unsupported_from <= day):
            continue
        rows = [row for row in branch.builds if row.status != DISPUTED and row.released <= day]
        if not rows:
            continue
        least = [row.build for row in rows if _demanded(row) and (esu or not row.esu)]
        floor = max(least, default=rows[0].build)
        yield from (row.build for row in rows if row.build >= floor and row.label != "Preview")


def _demanded(row: Known) -> bool:
    return row.security and row.status != VARIANT


def _missing(product: Product, rows: Iterable[Known], build: Build, day: date) -> tuple[MissingUpdate, ...]:
    return tuple(
        MissingUpdate(row.name, row.build, row.released, row.kb, row.esu, _stamped(product, row))
        for row in rows
        if _demanded(row) and row.build > build and row.released <= day
    )


def _stamped(product: Product, row: Known) -> bool:
    """Whether a server that has this update shows it: before May 2021 the SMTP id showed the CU only."""
    return row.update is None or product.stamped_from is None or row.released >= product.stamped_from


def _notes(build: Build, day: date, rows: Sequence[Known], *, esu: bool, undecided: bool) -> Iterator[Note]:
    out = [row.build for row in rows if row.released <= day]
    if not out or build > max(out):
        yield Note.NEWER_THAN_CATALOGUE
    elif build < rows[0].build:
        yield Note.BELOW_FIRST
    elif all(build != row.build for row in rows):
        yield Note.IN_BETWEEN
    if undecided:
        yield Note.CANNOT_TELL
    if esu:
        yield Note.ESU


def _after(last: date | None) -> date | None:
    return last + timedelta(days=1) if last else None


def _unknown(software: str, build: Build, product: Product | None, note: Note) -> Assessment:
    return Assessment(
        software=software,
        product=product.name if product else None,
        branch=None,
        update=None,
        build=build,
        released=None,
        state=State.UNKNOWN,
        branch_supported=False,
        support_ends=product.support_ends if product else None,
        notes=(note,),
    )
