"""What a message says of the server that hands it over: ``Received`` grammar, recognisers, handover hop."""

from wehr.evidence.address import client_network
from wehr.evidence.build import Build, format_build, parse_build
from wehr.evidence.handover_hop import handover, sighting
from wehr.evidence.headers import split_headers
from wehr.evidence.inspection import Inspection, inspect
from wehr.evidence.own import Own
from wehr.evidence.received import parse_hop
from wehr.evidence.types import Confidence, Handover, Hop, Relation, Session, Sighting

__all__ = [
    "Build",
    "Confidence",
    "Handover",
    "Hop",
    "Inspection",
    "Own",
    "Relation",
    "Session",
    "Sighting",
    "client_network",
    "format_build",
    "handover",
    "inspect",
    "parse_build",
    "parse_hop",
    "sighting",
    "split_headers",
]
