"""What holds over any history of messages, time, pauses, exemptions and changes of the policy."""

import re
from datetime import UTC, datetime, timedelta

import msgspec
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from policy_cases import DAY, KEY, START, assessment, sighting

from wehr.catalogue.types import State
from wehr.ledger import Ledger
from wehr.policy import Action, Holds, Mode, Policy, Reason, Scope, ServerKey, complies, decide, reply
from wehr.policy.clock import stopped
from wehr.policy.compliance import Floor, Rules
from wehr.policy.ladder import PRESETS, stage_at
from wehr.policy.pauses import Pause, cancel, request
from wehr.policy.scope import Exemption
from wehr.policy.selection import LadderRule

BUILDS = {
    "15.1.2507.17": {},
    "15.1.2507.40": {},
    "15.1.2507.61": {},
    "15.2.1748.30": {},
    "15.2.1748.39": {},
    "15.2.1748.43": {},
    "15.9.1.1": {"state": State.UNKNOWN},
}
KNOWN = {text: assessment(text, **({"missing_updates": ()} | values)) for text, values in BUILDS.items()}
LADDERS = {name: PRESETS[name] for name in ("exchange-online", "urgent")}
ENFORCE, REPORT = Scope(mode=Mode.ENFORCE), Scope(mode=Mode.REPORT)
servers = st.sampled_from(
    [
        ServerKey("default", "ex01.corp.local", "192.0.2.0/24"),
        ServerKey("default", "ex01.corp.local", "198.51.100.0/24"),
        ServerKey("default", "ex02.corp.local", "192.0.2.0/24"),
    ]
)


class History(RuleBasedStateMachine):
    """One node, three servers, and an operator with many ideas."""

    def __init__(self):
        super().__init__()
        self.now = START
        self.policy = Policy(compliance=Rules(require=("floor",)))
        self.ledger = Ledger()
        self.pauses = ()
        self.seen = {}
        self.last = {}

    @rule(hours=st.integers(1, 24 * 20))
    def time_passes(self, hours):
        """Up to twenty days."""
        self.now += hours * 3600.0 + 61.0

    @rule(days=st.integers(1, 30), ahead=st.integers(0, 5))
    def pause(self, days, ahead):
        """For the tenant, if the quota allows."""
        name = str(len(self.pauses))
        new = Pause(name, "default", self.now + ahead * DAY, days, self.now)
        self.pauses = self.attempt(request, new)

    @rule(which=st.integers(0, 5))
    def cancel(self, which):
        """One of the pauses, if it still runs."""
        self.pauses = self.attempt(cancel, str(which))

    def attempt(self, change, argument):
        """The pauses after a change, or as they were."""
        try:
            return change(self.pauses, argument, self.now)
        except ValueError:
            return self.pauses

    @rule(server=servers, days=st.integers(1, 40))
    def exempt(self, server, days):
        """One server by name and network, from now on."""
        since = datetime.fromtimestamp(self.now, UTC)
        item = Exemption(
            since=since,
            until=since + timedelta(days=days),
            reason="asked",
            server=server.name,
            network=server.network,
        )
        self.change(exemptions=(*self.policy.exemptions, item))

    @rule()
    def hurry(self):
        """From tomorrow on the urgent ladder holds."""
        if not self.policy.ladder_rules:
            tomorrow = datetime.fromtimestamp(self.now + DAY, UTC).date()
            self.change(ladder_rules=(LadderRule(use="urgent", since=tomorrow),))

    @rule()
    def raise_the_floor(self):
        """What was compliant is no more, from tomorrow on."""
        tomorrow = datetime.fromtimestamp(self.now + DAY, UTC).date()
        floor = Floor("15.2", tomorrow, "15.2.1748.43")
        self.change(compliance=Rules(require=("floor",), floors=(floor,)))

    def change(self, **values):
        """Another policy, as after a reload."""
        self.policy = msgspec.structs.replace(self.policy, **values)

    def stops(self, server):
        """What stops this server's clock, as a node would put it together."""
        return Holds.of(self.policy, self.pauses, ()).stops(server)

    def decide(self, server, build, now, scope=ENFORCE):
        """The decision, from what the ledger remembers."""
        standing = self.ledger.standing(server, now)
        best = standing and standing.effective_build
        effective = best and next(known for known in KNOWN.values() if known.build == best)
        return decide(
            sighting(build, at=now, name=server.name, network=server.network),
            KNOWN[build],
            standing,
            effective,
            scope=scope,
            policy=self.policy,
            stops=self.stops(server),
            key=KEY,
            now=now,
        )

    @rule(server=servers, build=st.sampled_from(sorted(BUILDS)))
    def message(self, server, build):
        """A server hands a message over; all that must hold of the decision is checked."""
        self.now += 1.0
        day = datetime.fromtimestamp(self.now, UTC).date()
        ok = complies(KNOWN[build], self.policy.compliance, day).ok
        seen = sighting(build, at=self.now, name=server.name, network=server.network)
        self.ledger.observe(server, seen, ok)
        history = self.seen.setdefault(server, [])
        history.append((self.now, ok, KNOWN[build].build))

        decision = self.decide(server, build, self.now)
        assert decision == self.decide(server, build, self.now)
        would = self.decide(server, build, self.now, REPORT)
        assert not would.refused
        assert msgspec.structs.replace(would, enforced=decision.enforced) == decision
        if decision.stage:
            self.check_stage(server, decision)
        if decision.refused:
            self.check_refusal(server, build, decision, history)

    @rule(server=servers, times=st.integers(1, 12), hours=st.integers(24, 24 * 14))
    def nobody_patches(self, server, times, hours):
        """The old build goes on showing: without this, few histories come to the later stages."""
        for _ in range(times):
            self.time_passes(hours)
            self.message(server, "15.1.2507.17")

    def first_bad(self, server):
        """When an old build was first seen there: by another name too, for a renamed server inherits."""
        return min(
            at
            for other, history in self.seen.items()
            for at, ok, _ in history
            if ok is False and other.network == server.network
        )

    def check_stage(self, server, decision):
        """Never ahead of the clock, never falling within an episode."""
        ladder = LADDERS[decision.ladder]
        assert decision.stage <= stage_at(ladder, self.now - self.first_bad(server))
        started = self.ledger.standing(server, self.now).episode.started
        before = self.last.get((server, started))
        severity = ladder.stages[decision.stage - 1].severity
        assert before is None or before <= severity
        self.last[server, started] = severity

    def check_refusal(self, server, build, decision, history):
        """Only a known bad build, after its notice, uncured, not left alone; and the reply is true."""
        at, ok, shown = history[-1]
        assert ok is False
        assert decision.reason in {Reason.THROTTLED, Reason.BLOCKED}
        memory = [
            bad_at
            for bad_at, good, other in history
            if good and bad_at > at - 29 * DAY and other > shown and other[:3] == shown[:3]
        ]
        assert not memory
        assert at - self.first_bad(server) >= 7 * DAY
        assert not stopped(self.stops(server), at)
        line = reply(decision, "mx.example.org")
        assert re.match(r"450 4\.|550 5\.", line)
        if decision.until is not None:
            assert self.decide(server, build, decision.until).action is Action.ACCEPT

    @invariant()
    def a_compliant_build_is_always_let_in(self):
        """At any moment, whatever the past."""
        for server in self.seen:
            assert not self.decide(server, "15.2.1748.43", self.now).refused


History.TestCase.settings = settings(max_examples=60, stateful_step_count=50)
TestHistory = History.TestCase


def test_the_histories_do_reach_refusals():
    """A check that the machine's rules can come to what they are to check."""
    history = History()
    server = ServerKey("default", "ex01.corp.local", "192.0.2.0/24")
    for _ in range(11):
        history.message(server, "15.1.2507.17")
        history.time_passes(24 * 10)
    history.message(server, "15.1.2507.17")

    assert history.decide(server, "15.1.2507.17", history.now).reason is Reason.BLOCKED
    history.message(server, "15.1.2507.61")
    assert not history.decide(server, "15.1.2507.17", history.now).refused
