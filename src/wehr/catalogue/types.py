"""The values of this room: what is known of a product, and what that says of a build on a day."""

from datetime import date
from enum import StrEnum

from msgspec import Struct

from wehr.evidence.build import Build


class State(StrEnum):
    """What the catalogue says of a build on a day."""

    CURRENT = "current"
    OUTDATED = "outdated"
    """In support, but a security update of its branch is missing."""
    UNSUPPORTED = "unsupported"
    """The product or the branch gets no security updates any more."""
    UNKNOWN = "unknown"


class Note(StrEnum):
    """Why an assessment is not the plain look-up of a known build. A closed set."""

    IN_BETWEEN = "in-between"
    """Between two known builds of its branch: counted as the lower."""
    BELOW_FIRST = "below-first"
    """Below the first known build of its branch: counted as that."""
    NEWER_THAN_CATALOGUE = "newer-than-catalogue"
    CANNOT_TELL = "cannot-tell"
    """Some updates do not show, installed or not: Exchange's from before May 2021, Zimbra's patches."""
    ESU = "esu"
    """A paid (ESU) update is installed."""
    UNKNOWN_BRANCH = "unknown-branch"
    UNKNOWN_PRODUCT = "unknown-product"


class MissingUpdate(Struct, frozen=True):
    """A security update that is out for the branch on the day and that the build lacks."""

    name: str
    build: Build
    released: date
    kb: str = ""
    esu: bool = False
    certain: bool = True


class Release(Struct, frozen=True):
    """A known build as its vendor calls it."""

    product: str
    build: str
    name: str
    """Branch and update, such as ``CU23 Oct25SU``."""
    kb: str
    released: date


class Vulnerability(Struct, frozen=True):
    """A hole that the build has, or (``certain`` false) may have."""

    cve: str
    fixed_in: Build | None
    """The first build of the same branch with the fix; of the nearest newer one if it never got any."""
    exploited: date | None
    """Since when it is in CISA's list of known exploited vulnerabilities, as far as known on the day."""
    certain: bool
    ransomware: bool = False
    fixed_released: date | None = None


class Assessment(Struct, frozen=True, cache_hash=True):
    """What the catalogue says of one build on one day; a past day knows only what was out by then."""

    software: str
    product: str | None
    branch: str | None
    """Its short name, such as ``CU23`` or ``SP3``."""
    update: str | None
    """The newest known update it contains, such as ``Oct25SU``; None for the branch's first build."""
    build: Build
    released: date | None
    state: State
    branch_supported: bool
    support_ends: date | None
    missing_updates: tuple[MissingUpdate, ...] = ()
    vulnerabilities: tuple[Vulnerability, ...] = ()
    recommended_builds: tuple[Build, ...] = ()
    """All acceptable builds of the product on the day, newest first."""
    branch_key: Build = ()
    """The numbers that name the branch: (15, 1, 2507) for 2016 CU23, (14, 3) for 2010 SP3."""
    notes: tuple[Note, ...] = ()
    backported: bool = False
    """Distributions ship fixes of this product under the old version, so a version convicts nobody."""
    missing_since: date | None = None
    """Release day of the oldest public security update that is certainly missing."""
    unsupported_since: date | None = None
    esu_available: bool = False
    product_supported: bool = True
    """Whether some branch of the product, perhaps another one, gets public updates on the day."""

    @property
    def attacked(self) -> tuple[Vulnerability, ...]:
        """The holes that the build certainly has and that are known to be exploited."""
        return tuple(it for it in self.vulnerabilities if it.exploited and it.certain)

    def asked(self, *, esu: bool) -> tuple[MissingUpdate, ...]:
        """The missing updates that may be asked for: paid (ESU) ones if it has such, or if ``esu``."""
        paid = esu or Note.ESU in self.notes
        return tuple(it for it in self.missing_updates if paid or not it.esu)
