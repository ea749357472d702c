"""What is told of a server is what its next message meets, on every surface."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
from ledger_stories import NEW, OLD, at, entry, key_of, seen, sighting

from wehr.catalogue import load
from wehr.evidence.types import Relation
from wehr.ledger import Ledger, open_store
from wehr.ledger.explaining import explain_server, scope_of
from wehr.ledger.journal import Position
from wehr.ledger.report import Basis, judge, report
from wehr.ledger.state import DAY
from wehr.ledger.story import is_enforced, story
from wehr.policy import Action, Holds, Mode, Policy
from wehr.policy.compliance import Rules
from wehr.policy.scope import Connector, Exemption, Tenant
from wehr.policy.selection import LadderRule

REPORT, ENFORCE = Policy(), Policy(mode=Mode.ENFORCE)
CLIENT = ("192.0.2.0/24",)


def exempt(address: str) -> Exemption:
    """An address of the server's network, left alone from the 34th day on."""
    return Exemption(datetime.fromtimestamp(at(34), UTC), "test", network=address)


@pytest.mark.parametrize(
    "policy",
    [
        REPORT,
        ENFORCE,
        Policy(mode=Mode.SIMULATE),
        Policy(mode=Mode.OFF),
        Policy(mode=Mode.ENFORCE, connectors=(Connector("partner", networks=CLIENT, mode=Mode.REPORT),)),
        Policy(connectors=(Connector("partner", networks=CLIENT, mode=Mode.ENFORCE),)),
        Policy(connectors=(Connector("other", networks=("198.51.100.0/24",), mode=Mode.ENFORCE),)),
        Policy(mode=Mode.ENFORCE, exemptions=(exempt("192.0.2.25"),)),
        Policy(mode=Mode.ENFORCE, exemptions=(exempt("192.0.2.26"),)),
    ],
    ids=[
        "report",
        "enforce",
        "simulate",
        "off",
        "not-this-client",
        "this-client",
        "another-client",
        "exempt",
        "address-exempt",
    ],
)
def test_the_windows_that_are_told_are_those_in_which_mail_is_refused(policy: Policy, tmp_path: Path) -> None:
    """Though the last message came before the policy was changed: minute by minute, for some stages."""
    with open_store(f"sqlite:///{tmp_path / 'wehr.sqlite'}") as store:
        seen = [entry(sighting(float(day))) for day in range(0, 80, 3)]
        store.carry("mx1", Position(), seen, Position(1, 1), at(80))
        row, ledger = store.servers()[0], Ledger()
        for key, state in store.load_states():
            ledger.merge(key, state)
        for day in (20, 35, 75, 100):
            for minute in range(0, 60, 3):
                basis = Basis(ledger, load(), policy, Holds.of(policy, (), ()), at(day) + minute * 60)
                told = story(row, (), basis, store.secret)
                met = explain_server(row, basis, store.secret).decision
                refused = met.action if met.enforced else Action.ACCEPT
                now = {window.at(basis.now) for window in told.windows} - {Action.ACCEPT}
                assert (now or {Action.ACCEPT}) == {refused}, (day, minute)
                assert (told.action, told.until) == (refused, met.until if met.enforced else None)


def test_a_way_in_that_is_not_kept_is_told_by_the_last_message(tmp_path: Path) -> None:
    """Whether a listener enforces is known of those alone that came by it."""
    policy = Policy(connectors=(Connector("partners", listeners=("2525",), mode=Mode.ENFORCE),))
    with open_store(f"sqlite:///{tmp_path / 'wehr.sqlite'}") as store:
        store.carry("mx1", Position(), [entry(sighting(0, OLD))], Position(1, 1), at(0))
        (row,) = store.servers()

    assert not is_enforced(row, policy)


def test_what_now_comes_by_a_relay_is_not_told_to_be_refused(tmp_path: Path) -> None:
    """Though it handed over itself once, and its clock runs."""
    with open_store(f"sqlite:///{tmp_path / 'wehr.sqlite'}") as store:
        seen = [entry(sighting(0)), entry(sighting(1, relation=Relation.BEHIND_RELAY))]
        store.carry("mx1", Position(), seen, Position(1, 1), at(1))
        (row,) = store.servers()

    assert not is_enforced(row, ENFORCE)


@pytest.mark.parametrize("domains", [("school.example",), (".school.example",), ()])
def test_a_tenants_own_mode_counts_by_whichever_domains_it_has(domains: tuple[str, ...]) -> None:
    """Those below a domain too; and one without domains, which connectors lead to."""
    policy = Policy(tenants=(Tenant("school", domains, Mode.ENFORCE),))
    scope = scope_of(key_of(sighting(0), "school"), "192.0.2.25", "", policy)

    assert (scope.tenant, scope.mode) == ("school", Mode.ENFORCE)


def test_the_report_counts_no_update_that_nobody_asks_for(tmp_path: Path) -> None:
    """Paid ones, unless the policy demands them."""
    now = at(779)  # 22 November 2026
    with open_store(f"sqlite:///{tmp_path / 'wehr.sqlite'}") as store:
        store.carry("mx1", Position(), [entry(sighting(779, NEW))], Position(1, 1), now)
        (row,), ledger = store.servers(), Ledger()
        for key, state in store.load_states():
            ledger.merge(key, state)

    def missing(policy: Policy) -> tuple[str, ...]:
        (found,) = report([row], Basis(ledger, load(), policy, Holds.of(policy, (), ()), now))
        return found.missing_updates

    assert missing(REPORT) == ()
    assert missing(Policy(compliance=Rules(demand_esu=True)))[:2] == ("Dec25SU", "Feb26SU")


def test_a_ladder_that_is_to_take_anothers_place_is_told_beforehand() -> None:
    """In the fifth week a rule is five days off: each surface tells its days, not those of the old ladder."""
    turn = 20_040 * DAY
    rule = LadderRule(use="urgent", since=datetime.fromtimestamp(turn, UTC).date())
    policy, state = Policy(mode=Mode.ENFORCE, ladder_rules=(rule,)), seen((0, OLD, False), (34, OLD, False))
    key, ledger = key_of(sighting(0)), Ledger()
    ledger.merge(key, state)
    basis = Basis(ledger, load(), policy, Holds.of(policy, (), ()), at(35))
    course = judge(key, state, "", basis).course

    assert course is not None
    assert course.dates.next_stage_start_date == turn
    assert (course.dates.next_stage_throttle_rate, course.dates.next_stage_block_rate) == (10, 0)
    assert course.reaches(lambda stage: stage.block == 60) == turn + 12 * DAY == course.stages[-1].start
    assert course.reaches(lambda stage: stage.throttle == 5) is None
