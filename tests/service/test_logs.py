"""The log never floods."""

from wehr.service.clock import SetClock
from wehr.service.logs import RateLimited


def test_an_event_is_logged_once_a_minute_with_the_number_held_back() -> None:
    """A peer that sends rubbish all day costs a line a minute."""
    clock = SetClock(1000.0)
    lines: list[tuple[str, dict[str, object]]] = []
    log = RateLimited(clock, lambda event, **facts: lines.append((event, facts)))

    for _ in range(5):
        log("peer cut off", reason="oversize")
    log("store away")
    clock.now += 60
    log("peer cut off", reason="again")

    assert lines == [
        ("peer cut off", {"reason": "oversize"}),
        ("store away", {}),
        ("peer cut off", {"reason": "again", "held_back": 4}),
    ]


def test_a_clock_set_back_does_not_silence_the_log() -> None:
    """Time may step backwards; errors are still seen."""
    clock = SetClock(1000.0)
    lines: list[str] = []
    log = RateLimited(clock, lambda event, **_: lines.append(event))

    log("x")
    clock.now = 500.0
    log("x")

    assert lines == ["x", "x"]
