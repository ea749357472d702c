"""The eight invariants over random histories, through two real gates whose ledgers meet now and then.

Messages, clock steps, pauses, exemptions, changes of policy and of catalogue come in any order. What must
hold of every decision is checked as it is taken, and once the nodes know the same, that they decide the same.
"""

import random
import re
from datetime import UTC, datetime, timedelta

import msgspec
from gates import CATALOGUE, DAY, START, Rig, client, trace
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from wehr.catalogue import Catalogue
from wehr.evidence import parse_build
from wehr.ledger import Ledger
from wehr.policy import Action, Holds, Reason, ServerKey
from wehr.policy.clock import stopped
from wehr.policy.ladder import notice, stage_at
from wehr.policy.pauses import QUOTA, Pause, cancel, granted, request, used
from wehr.policy.scope import Exemption

OLD_CATALOGUE = Catalogue(
    CATALOGUE.products,
    [msgspec.structs.replace(flaw, exploited=None) for flaw in CATALOGUE.flaws],
    CATALOGUE.sources,
    CATALOGUE.date - timedelta(days=200),
)
"""What was known before anybody heard that holes are exploited."""

BUILDS = ["15.1.2507.16", "15.1.2507.35", "15.1.2507.61", "15.2.1748.30", "15.2.1748.39", "15.9.1.1"]
CLEAN = "15.2.2562.53"
NAMES = ["ex01.corp.local", "ex02.corp.local"]
ADDRESSES = ["203.0.113.10", "203.0.113.11", "198.51.100.10"]
LADDERS = ["exchange-online", "urgent", "gentle"]
RULES = [{"use": "urgent", "exploited": True}]
SHORTEST_NOTICE = 7 * DAY

names, addresses, nodes = st.sampled_from(NAMES), st.sampled_from(ADDRESSES), st.integers(0, 1)


class Histories(RuleBasedStateMachine):
    """Two nodes, a handful of servers, and operators with many ideas."""

    def __init__(self):
        super().__init__()
        self.policy, self.catalogue = {"compliance": {"require": ["floor"]}}, OLD_CATALOGUE
        self.rigs = [Rig(self.policy, catalogue=self.catalogue) for _ in range(2)]
        self.now = START
        self.pauses, self.exemptions = (), ()
        self.known = [{}, {}]
        self.hardest = [{}, {}]
        self.spared = {}

    # What happens

    @rule(hours=st.integers(1, 24 * 20))
    def time_passes(self, hours):
        """Up to twenty days."""
        self.now += hours * 3600.0 + 61.0

    @rule(minutes=st.integers(1, 120))
    def the_clock_steps_back(self, minutes):
        """As after a correction of the time."""
        self.now -= minutes * 60.0

    @rule(days=st.integers(1, 60), ahead=st.integers(0, 5), rivals=st.integers(1, 2))
    def pause(self, days, ahead, rivals):
        """One operator, or two who know nothing of each other."""
        before, asked = self.pauses, []
        for rival in range(rivals):
            new = Pause(f"{len(before)}-{rival}", "default", self.now + ahead * DAY, days, self.now)
            try:
                asked.append(request(before, new, self.now)[-1])
            except ValueError:
                continue
        self.hold(pauses=(*before, *asked))

    @rule(which=st.integers(0, 5))
    def cancel_a_pause(self, which):
        """If it still runs."""
        if which < len(self.pauses):
            try:
                self.hold(pauses=cancel(self.pauses, self.pauses[which].id, self.now))
            except ValueError:
                return

    @rule(name=names, address=addresses, days=st.integers(1, 40))
    def exempt(self, name, address, days):
        """One server by name and address, from now on."""
        since = datetime.fromtimestamp(self.now, UTC)
        until = since + timedelta(days=days)
        self.hold(exemptions=(*self.exemptions, Exemption(since, "asked", until, name, address)))

    def hold(self, **changes):
        """Pauses and exemptions, as both nodes learn of them."""
        for name, value in changes.items():
            setattr(self, name, value)
        for rig in self.rigs:
            rig.gate.holds = Holds(self.pauses, self.exemptions)

    @rule(ladder=st.sampled_from(LADDERS), hurry=st.booleans())
    def choose_a_ladder(self, ladder, hurry):
        """At once, for everybody or with another for exploited holes."""
        self.reload(ladder=ladder, ladder_rules=RULES if hurry else [])

    @rule()
    def raise_the_floor(self):
        """What was compliant is no more, from tomorrow on."""
        tomorrow = datetime.fromtimestamp(self.now + DAY, UTC).date()
        floor = {"builds": "15.2", "since": tomorrow, "least": "15.2.2562.17"}
        self.reload(compliance={"require": ["floor"], "floors": [floor]})

    @rule()
    def import_a_catalogue(self):
        """It knows of holes that have been exploited for long."""
        self.catalogue = CATALOGUE
        self.reload()

    def reload(self, **changes):
        """Another configuration or catalogue, on both nodes at once."""
        for node in (0, 1):
            self.note_who_is_still_only_reported(node)
        self.policy = {**self.policy, **changes}
        for rig in self.rigs:
            rig.clock.now = self.now
            rig.reload(self.policy, self.catalogue)

    def note_who_is_still_only_reported(self, node):
        """A change must leave them what they were promised, or the shortest notice there is."""
        rig = self.rigs[node]
        today = datetime.fromtimestamp(self.now, UTC).date()
        for key, _ in rig.ledger:
            standing = rig.ledger.standing(key, self.now)
            if standing is None or standing.episode is None or standing.effective_build is None:
                continue
            shown = rig.gate.setting.catalogue.assess(standing.effective_build, today)
            stops = rig.gate.holds.stops(key)
            ladder, place = rig.gate.setting.policy.course(shown, standing.episode, stops, self.now)
            if not ladder.stages[stage_at(ladder, place) - 1].minutes:
                left = min(SHORTEST_NOTICE, notice(ladder) - place)
                who = node, key, standing.episode.started, standing.effective_build
                self.spared[who] = max(self.spared.get(who, 0.0), self.now + left)

    @rule(seed=st.integers(0, 99))
    def nodes_meet(self, seed):
        """Each learns what the other knows, in any order, some of it twice (invariant 5)."""
        states = [list(rig.ledger) for rig in self.rigs]
        for rig, learned in zip(self.rigs, reversed(states), strict=True):
            shuffled = learned + learned[: seed % 3]
            random.Random(seed).shuffle(shuffled)  # noqa: S311
            for key, state in shuffled:
                rig.ledger.merge(key, state)
        assert dict(self.rigs[0].ledger) == dict(self.rigs[1].ledger)
        together = {}
        for known in self.known:
            for key, history in known.items():
                together.setdefault(key, set()).update(history)
        self.known = [{key: set(value) for key, value in together.items()} for _ in range(2)]
        self.hardest, self.spared = [{}, {}], {}
        self.check_that_all_nodes_decide_the_same(seed)

    @rule(node=nodes, name=names, address=addresses, build=st.sampled_from([*BUILDS, CLEAN]))
    def message(self, node, name, address, build):
        """A server hands a message over."""
        self.now += 1.0
        rig = self.rigs[node]
        rig.clock.now = self.now
        reply = rig.ask(trace(build, name), client(address))
        entry = rig.entries[-1]
        self.known[node].setdefault(entry.key, set()).add((self.now, entry.compliant, entry.sighting.build))
        self.check_reply(reply, entry.decision)
        if entry.decision.stage:
            self.check_stage(node, entry)
        if reply is not None:
            self.check_refusal(node, entry, address)

    @rule(node=nodes, name=names, address=addresses, times=st.integers(1, 12), hours=st.integers(24, 24 * 14))
    def nobody_patches(self, node, name, address, times, hours):
        """The old build goes on showing: without this, few histories come to the later stages."""
        for _ in range(times):
            self.time_passes(hours)
            self.message(node, name, address, BUILDS[0])

    @rule(node=nodes, name=names, address=addresses)
    def the_journal_fails(self, node, name, address):
        """The message is accepted and the error is told (invariant 1)."""
        rig, told = self.rigs[node], []
        rig.clock.now = self.now
        good = rig.gate._record, rig.gate._on_error

        def full(entry):
            raise OSError(28, "No space left on device")

        rig.gate._record, rig.gate._on_error = full, told.append
        assert rig.ask(trace(BUILDS[0], name), client(address)) is None
        rig.gate._record, rig.gate._on_error = good
        assert [type(error) for error in told] == [OSError]
        # It was seen all the same.
        key = ServerKey("default", name, "203.0.113.0/24" if address.startswith("203") else "198.51.100.0/24")
        self.known[node].setdefault(key, set()).add((self.now, False, parse_build(BUILDS[0])))

    # What must hold

    def check_reply(self, reply, decision):
        """4xx stays 4xx, and what is sent is one line of SMTP (invariant 8)."""
        codes = {Action.ACCEPT: None, Action.THROTTLE: "450 4.7.230 ", Action.BLOCK: "550 5.7.230 "}
        code = codes[decision.action]
        if code is None:
            assert reply is None
            return
        assert reply.startswith(code)
        assert re.fullmatch(r"[ -$&-~]{20,510}", reply)

    def check_stage(self, node, entry):
        """Within an episode it never becomes milder, save on a ladder with nothing as hard (invariant 6)."""
        rig, decision = self.rigs[node], entry.decision
        standing = rig.ledger.standing(entry.key, self.now)
        ladder = rig.gate.setting.policy.named_ladder(decision.ladder)
        severity = ladder.stages[decision.stage - 1].severity
        assert severity == (decision.block, decision.throttle)
        episode = (entry.key, standing.episode.started, standing.effective_build)
        at, before = self.hardest[node].get(episode, (0.0, (0, 0)))
        if self.now >= at:
            assert severity >= min(before, ladder.stages[-1].severity)
            self.hardest[node][episode] = (self.now, severity)

    def check_refusal(self, node, entry, address):
        """Only a known old build, after a notice, uncured, and not left alone (invariants 2, 3 and 6)."""
        assert entry.compliant is False
        assert entry.decision.reason in {Reason.THROTTLED, Reason.BLOCKED}
        build, history = entry.sighting.build, self.known[node][entry.key]
        assert not [
            at
            for at, ok, shown in history
            if ok and self.now - 29 * DAY < at <= self.now and shown > build and shown[:3] == build[:3]
        ]
        # A renamed server inherits: so it is the first old stamp from its network that counts.
        first = min(
            at
            for key, seen in self.known[node].items()
            for at, ok, _ in seen
            if ok is False and key.network == entry.key.network
        )
        assert self.now - first >= SHORTEST_NOTICE
        standing = self.rigs[node].ledger.standing(entry.key, self.now)
        who = node, entry.key, standing.episode.started, standing.effective_build
        assert self.now >= self.spared.get(who, 0.0)
        assert not stopped(
            [stop for stop in self.rigs[node].gate.holds.stops(entry.key, address) if stop.reason], self.now
        )

    def check_that_all_nodes_decide_the_same(self, seed):
        """Same ledger, same policy, same minute (invariant 4); also a node that has just been started."""
        for name, address in ((name, address) for name in NAMES for address in ADDRESSES):
            orders = (seed, seed + 1)
            replies = {self.probe(rig, name, address, order) for rig in self.rigs for order in orders}
            assert len(replies) == 1

    def probe(self, rig, name, address, order):
        """What a new node that has learned all that this one knows would answer, without telling anybody."""
        node = Rig(self.policy, catalogue=self.catalogue)
        node.ledger = node.gate._ledger = Ledger()
        states = list(rig.ledger)
        random.Random(order).shuffle(states)  # noqa: S311
        for key, state in states:
            node.ledger.merge(key, state)
        node.gate.setting, node.gate.holds = rig.gate.setting, rig.gate.holds
        node.clock.now = self.now + 1.0
        return node.ask(trace(BUILDS[0], name), client(address))

    @invariant()
    def no_pause_exceeds_the_quota(self):
        """Whatever two operators asked for at once (invariant 7)."""
        days = {}
        for _, start, end in granted(self.pauses, "default"):
            for day in range(int(start // DAY), -int(-end // DAY)):
                days.setdefault(datetime.fromtimestamp(day * DAY, UTC).year, set()).add(day)
        assert all(len(some) <= QUOTA for some in days.values())

    @invariant()
    def an_unknown_or_compliant_build_is_always_let_in(self):
        """At any moment, whatever the past (invariants 2 and 3)."""
        rig = self.rigs[0]
        key = ServerKey("default", NAMES[0], "203.0.113.0/24")
        if key in rig.ledger:
            for build in (CLEAN, "15.9.1.1", "99.9.9.9"):
                node = Rig(self.policy, catalogue=self.catalogue)
                node.ledger.merge(key, rig.ledger.get(key))
                node.gate.setting, node.clock.now = rig.gate.setting, self.now
                assert node.ask(trace(build, NAMES[0]), client(ADDRESSES[0])) is None


Histories.TestCase.settings = settings(max_examples=40, stateful_step_count=40)
TestHistories = Histories.TestCase


def test_the_histories_do_reach_refusals_on_both_nodes():
    """A check that the machine's rules come to what they are to check."""
    history = Histories()
    for node in (0, 1):
        history.nobody_patches(node, NAMES[0], ADDRESSES[0], 12, 24 * 9)
    history.nodes_meet(1)

    assert {entry.decision.reason for rig in history.rigs for entry in rig.entries} >= {
        Reason.REPORT_STAGE,
        Reason.BLOCKED,
    }
    history.message(0, NAMES[0], ADDRESSES[0], CLEAN)
    history.nodes_meet(2)
    assert history.rigs[1].ask(trace(BUILDS[0], NAMES[0]), client(ADDRESSES[0])) is None


def test_two_operators_at_once_come_to_no_more_than_the_quota():
    """Each asked for sixty days, and each was granted them by what he knew."""
    history = Histories()
    history.pause(60, 0, 2)

    assert used(history.pauses, "default", 2026) <= 60
    assert len(history.pauses) == 2
    history.no_pause_exceeds_the_quota()
