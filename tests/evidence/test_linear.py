"""Work grows in step with the input and is bounded, counted in steps rather than seconds.

Steps are the bytecode instructions that are run. Those inside a pattern Python does not count: there
processor time stands for them, over inputs of which one is eight times the other.
"""

import sys
import time
from collections.abc import Callable
from types import FrameType
from typing import Any

import pytest

from wehr.evidence import Session, handover, inspect, parse_hop, split_headers
from wehr.evidence.display import display_line
from wehr.evidence.headers import MAX_FIELDS
from wehr.evidence.received import MAX_FIELD, _in_any_order, stamp_of


def instructions(call: Callable[..., object], *args: object) -> int:
    """How many bytecode instructions a call runs."""
    count = 0

    def trace(frame: FrameType, event: str, _: Any) -> Any:
        nonlocal count
        frame.f_trace_opcodes = True
        frame.f_trace_lines = False
        count += event == "opcode"
        return trace

    before = sys.gettrace()
    for _ in range(2):  # from Python 3.12 on, the first run under a tracer is not traced whole
        count = 0
        sys.settrace(trace)
        try:
            call(*args)
        finally:
            sys.settrace(before)
    return count


def cpu(call: Callable[[bytes], object], data: bytes) -> float:
    """The least processor time of several runs: for the patterns, whose steps Python does not count."""
    best = float("inf")
    for _ in range(7):
        start = time.process_time_ns()
        call(data)
        best = min(best, time.process_time_ns() - start)
    return best


NASTY = [
    b"(", b")", b"(a", b"(a)", b"((a)", b"(((((a)", b"((a)(b)", b"\\", b"(\\", b"(\\(", b" ", b"a", b"a ",
    b"from ", b"by (", b"with ", b"id (", b" for ", b"1.", b"1.1.1.1.", b"[", b"[1", b":", b"[IPv6:", b"@",
    b"a@",     b"<a@b>", b";", b"; ", b'"', b'"EHLO ', b"(HELO a) ", b"helo=", b"(MDaemon ", b"(Exim 4.",
    b"SmarterMail 1",
    b"(8.8.8/", b"Microsoft SMTP Server ", b"with Microsoft SMTP Server id 15.", b"uthenticated (", b"\xff",
    b"\n", b"\n\t", b"\r\n ",
]  # fmt: skip


@pytest.mark.parametrize("unit", NASTY)
def test_twice_the_field_is_at_most_twice_the_instructions(unit: bytes) -> None:
    """Doubling a field at most doubles the instructions run; 2.2 times and 50 are for what is constant."""
    small, large = (unit * (size // len(unit)) for size in (MAX_FIELD // 2, MAX_FIELD))
    session = Session(client_ip="192.0.2.1")
    assert instructions(parse_hop, large) <= 2.2 * instructions(parse_hop, small) + 50
    assert (
        instructions(handover, [large] * 3, session)
        <= 2.2 * instructions(handover, [small] * 3, session) + 50
    )


@pytest.mark.parametrize("unit", NASTY)
@pytest.mark.parametrize("read", [stamp_of, _in_any_order, display_line, split_headers])
def test_patterns_are_linear(read: Callable[[bytes], object], unit: bytes) -> None:
    """Eight times the input costs far from the sixty-four times of a pattern that tries twice."""
    small, large = (unit * (size // len(unit)) for size in (16_384, 131_072))
    assert cpu(read, large) <= 24 * cpu(read, small) + 200_000


def test_what_is_read_of_a_message_is_bounded() -> None:
    """A 1 MB field, and 10,000 fields, run no more than a field and a trace of the stated size."""
    session = Session(client_ip="192.0.2.1")
    unit = b"by x with Microsoft SMTP Server (a) "
    most = instructions(parse_hop, unit * (MAX_FIELD // len(unit) + 1))
    assert instructions(parse_hop, unit * (2**20 // len(unit))) <= 1.1 * most + 50
    hop = b"from a (b [192.0.2.8]) by ex with Microsoft SMTP Server id 15.1.2507.61; d"
    some = instructions(handover, [hop] * MAX_FIELDS, session)
    assert instructions(handover, [hop] * 10_000, session) <= 1.01 * some
    block = b"Received: " + hop + b"\n"
    fields = split_headers(block * 10_000)
    assert len(fields) == MAX_FIELDS
    assert len(inspect(fields).hops) == MAX_FIELDS
