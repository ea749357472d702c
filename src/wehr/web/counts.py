"""What became of messages, as charts and tables count it."""

from typing import Final

from wehr.policy import Action
from wehr.web import charts
from wehr.web.languages import N_

SERIES: Final = (
    (N_("taken"), charts.TAKEN),
    (N_("delayed"), charts.DELAYED),
    (N_("refused"), charts.REFUSED),
    (N_("would be delayed or refused"), charts.WOULD),
)
"""Text and colour. What would be refused is counted by itself, though it was taken."""


def column(action: str, *, enforced: bool) -> int:
    """Which of `SERIES` an outcome belongs to."""
    if action == Action.ACCEPT:
        return 0
    if not enforced:
        return 3
    return 1 if action == Action.THROTTLE else 2
