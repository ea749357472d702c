"""Fuzz what reads Received fields: `python fuzz/received.py tests/evidence/crashers` (needs atheris).

What it finds goes into tests/evidence/crashers, where the tests keep it for good.
"""

# ruff: noqa: S101  (an assertion that fails is a find)
import sys

import atheris

with atheris.instrument_imports():
    from wehr.evidence import Own, Relation, Session, handover, inspect, parse_hop, sighting, split_headers

SESSION = Session(client_ip="192.0.2.1", client_name="mail.example.org", helo="mail.example.org")
OWN = Own(names=("mx.example.com", ".example.net"), networks=("203.0.113.0/24",), relays=("192.0.2.0/24",))


def one_input(data: bytes) -> None:
    """One field, one header block, one trace: nothing may throw, and what is told has to hold together."""
    hop = parse_hop(data)
    assert hop.build is None or len(hop.build) > 1
    trace = [data, *split_headers(data), *data.split(b"\0")]
    inspect(trace)
    for own in (Own(), OWN):
        found = handover(trace, SESSION, own)
        assert (found.index is None) == (found.relation is Relation.NONE)
        assert found.name.isascii()
        assert found.line.isascii()
        assert "@" not in found.line
        sighting(found, SESSION, 0.0)


if __name__ == "__main__":
    atheris.Setup(sys.argv, one_input)
    atheris.Fuzz()
