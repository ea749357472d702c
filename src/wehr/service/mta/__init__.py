"""The mail systems of this machine: how each is wired to Wehr, and the change that wires it.

One module a mail system. Each reads the system's own configuration with the system's own programs, and never
writes: a `Plan` is carried out by `wehr.service.mta.change` alone.
"""

from wehr.service.mta.change import CannotChange, Change, Plan, Written, apply, diff
from wehr.service.mta.places import Place, places, preferred
from wehr.service.mta.types import Finding, Level, NotThere

__all__ = [
    "CannotChange",
    "Change",
    "Finding",
    "Level",
    "NotThere",
    "Place",
    "Plan",
    "Written",
    "apply",
    "diff",
    "places",
    "preferred",
]
