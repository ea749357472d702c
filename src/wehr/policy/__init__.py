"""What is done about it: compliance, ladder, windows, scope, pauses and the decision. Pure."""

from wehr.policy.compliance import Compliance, Rules, complies
from wehr.policy.decide import decide, mildest
from wehr.policy.holds import Holds
from wehr.policy.policy import Policy
from wehr.policy.replies import reply
from wehr.policy.scope import Scope, Scoping, exemption_stops
from wehr.policy.types import (
    Action,
    Decision,
    Episode,
    Mode,
    Reason,
    ServerKey,
    Standing,
    Stop,
)

__all__ = [
    "Action",
    "Compliance",
    "Decision",
    "Episode",
    "Holds",
    "Mode",
    "Policy",
    "Reason",
    "Rules",
    "Scope",
    "Scoping",
    "ServerKey",
    "Standing",
    "Stop",
    "complies",
    "decide",
    "exemption_stops",
    "mildest",
    "reply",
]
