"""The facts that a catalogue holds: products, branches, builds, holes. Values only."""

from collections.abc import Mapping
from datetime import date

from msgspec import Struct

from wehr.evidence.build import Build, format_build

DISPUTED = "disputed"
"""One source alone names this build: it counts for nothing."""
VARIANT = "variant"
"""A second number of an update that is listed already: it is named, but never demanded."""


class Known(Struct, frozen=True):
    """One row of the tables: a build that was released."""

    build: Build
    label: str
    """The branch it belongs to, as people say: ``CU23``, ``SP3``, ``RTM``."""
    update: str | None
    """``Oct25SU``, ``RU31``; None for the first build of its branch."""
    released: date
    kb: str = ""
    sources: tuple[str, ...] = ()
    security: bool = False
    esu: bool = False
    status: str = ""
    note: str = ""

    @property
    def name(self) -> str:
        """The update, or the branch for its first build."""
        return self.update or self.label or format_build(self.build)


class Branch(Struct, frozen=True):
    """The builds whose first numbers agree: updates are compared inside a branch only."""

    key: Build
    label: str
    product: str
    released: date
    builds: tuple[Known, ...]
    """Lowest first, disputed ones included."""
    unsupported_from: date | None = None
    """First day on which the branch gets no updates; None while none is known."""
    support_ends: date | None = None
    """The same as the vendor says it: the last day, or the day of the CU that displaced it."""


class Product(Struct, frozen=True):
    """A product with its dates; ``support_ends`` is the last day on which everybody gets security updates."""

    name: str
    software: str
    branch_numbers: int
    released: date
    branches: tuple[Branch, ...] = ()
    mainstream_ends: date | None = None
    support_ends: date | None = None
    esu: tuple[tuple[date, date], ...] = ()
    """First and last day of each period of paid updates."""
    successor: str = ""
    stamped_from: date | None = None
    """Updates released before this day do not show in the server's Received lines (SMTP id)."""
    backported: bool = False
    """Distributions ship fixes under the old version."""
    source: str = ""

    def supported(self, day: date) -> bool:
        """Whether everybody gets security updates for it on the day, in its newest branch at least."""
        return self.support_ends is None or day <= self.support_ends

    def esu_on(self, day: date) -> bool:
        """Whether paid updates are on offer on the day."""
        return any(first <= day <= last for first, last in self.esu)


class Flaw(Struct, frozen=True):
    """A vulnerability and the builds that fix it."""

    cve: str
    software: str
    fixed: Mapping[str, tuple[Known, ...]]
    """Product -> the fixing build of each branch that got one, lowest first. Others lack the hole."""
    update: str = ""
    published: date | None = None
    """If later than the fix: nobody knew of the hole before."""
    introduced: Build | None = None
    exploited: date | None = None
    ransomware: bool = False
    configuration: bool = False
    """No build tells whether the hole is there."""
    sources: tuple[str, ...] = ()
    note: str = ""


class Provenance(Struct, frozen=True, omit_defaults=True):
    """Where the figures of an overlay come from."""

    source: str
    sha256: str
    read: date
    document: str = ""
    dated: date | None = None
