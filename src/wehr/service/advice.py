"""What is legal but odd in a configuration: each with its key and a remedy. Pure."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import combinations

from msgspec import Struct

from wehr.catalogue import Catalogue
from wehr.policy import Mode, Policy
from wehr.policy.compliance import MICROSOFT_FLOORS, Rules
from wehr.policy.ladder import DAY
from wehr.policy.scope import Connector, Tenant, read_network, tenant_names
from wehr.service.config import Config
from wehr.service.toml_lines import Path, dotted, line_of

_LEAST_FREE = 15
"""Minutes of each hour that a sender needs who tries again every quarter of an hour, as many do."""
_ENOUGH = 100
"""Messages before their distribution says anything."""


class Seen(Struct, frozen=True):
    """What a store says that bears on a configuration."""

    messages: int = 0
    """Messages recorded."""
    busiest: str = ""
    """The client address that most of them came from, and how many those were."""
    busiest_messages: int = 0
    refused_at_once: int = 0
    """Servers so far only reported that are in a stage in which mail is refused."""


class Advice(Struct, frozen=True):
    """One odd thing: where it stands, and what it means and what to do about it."""

    path: Path
    text: str

    def located(self, source: str, name: str) -> str:
        """One line with file, line and key; ``source`` is the file's text."""
        line = line_of(source, self.path)
        return f"{name}{f':{line}' if line else ''}: {dotted(self.path)}: {self.text}"


def advise(config: Config, catalogue: Catalogue, now: float, seen: Seen | None = None) -> tuple[Advice, ...]:
    """All that is odd, in the order of the configuration's keys.

    Args:
        config: what is written.
        catalogue: what servers would be judged by.
        now: UTC seconds since 1970.
        seen: what the store says; None if there is none.
    """
    seen = seen or Seen()
    return (
        *_top(config),
        *_relays(config, seen),
        *_passing(config),
        *(_enforced(config, catalogue, now, seen) if enforces(config.policy) else ()),
        *_floors(config.policy.compliance),
        *_ladders(config.policy),
        *_selections(config.policy, catalogue),
        *_tenants(config.policy.tenants),
        *_connectors(config.policy.connectors),
        *_exemptions(config.policy, now),
        *_notices(config),
    )


def enforces(policy: Policy) -> bool:
    """Whether anybody may be refused."""
    modes = {policy.mode, *(it.mode for it in policy.tenants), *(it.mode for it in policy.connectors)}
    return Mode.ENFORCE in modes


def _top(config: Config) -> Iterator[Advice]:
    if config.status_url.startswith("http:"):
        yield Advice(
            ("status_url",), "the link in replies is not encrypted, and readers are warned of it; use https"
        )
    if enforces(config.policy) and not config.contact:
        yield Advice(
            ("contact",),
            "mail is refused, and nobody is named to whom the administrators of a refused server may write; "
            "set an address or a page",
        )


def _notices(config: Config) -> Iterator[Advice]:
    settings = config.notices
    tenants = tenant_names(config.policy.tenants)
    for number, name in enumerate(settings.tenants):
        if name not in tenants:
            yield Advice(("notices", "tenants", number), f"there is no tenant {name!r}: nobody is written to")
    if settings.tenants and not settings.bounces:
        yield Advice(
            ("notices", "bounces"),
            "without it nothing comes back, and addresses that do not exist go on being written to",
        )
    if settings.tenants and not config.status_url:
        yield Advice(("status_url",), "notices have no link to a status page; set where your pages are")


def _relays(config: Config, seen: Seen) -> Iterator[Advice]:
    declared = (*config.receiver.relays, *config.receiver.networks)
    if (
        seen.messages >= _ENOUGH
        and seen.busiest_messages * 2 > seen.messages
        and seen.busiest not in declared
    ):
        yield Advice(
            ("receiver", "relays"),
            f"{seen.busiest_messages} of {seen.messages} recorded messages came from {seen.busiest}; "
            "if that is a relay of your own, name it here, or its clients are never seen",
        )


def _passing(config: Config) -> Iterator[Advice]:
    if config.socketmap.terms is not None:
        yield Advice(
            ("socketmap", "listen" if config.socketmap.listen else "socket"),
            "asked by a socketmap, a Wehr that hangs has every SMTP session wait 100 seconds for its banner "
            "(stopped, it delays nothing); have Postfix ask by a memcache table with a timeout of 2 seconds"
            + ("" if config.socketmap.milters != "DISABLE" else "; DISABLE turns off other milters as well"),
        )


def _enforced(config: Config, catalogue: Catalogue, now: float, seen: Seen) -> Iterator[Advice]:
    today = datetime.fromtimestamp(now, UTC).date()
    if catalogue.stale(today, timedelta(days=config.catalogue.stale_after)):
        yield Advice(
            ("policy", "mode"),
            f"mail is refused by a catalogue of {catalogue.date}, {catalogue.age(today).days} days old; "
            "import a newer one with 'wehr catalogue import'",
        )
    if seen.refused_at_once and config.policy.clock_from is None:
        yield Advice(
            ("policy", "clock_from"),
            f"{seen.refused_at_once} servers that were only reported so far are refused at once, for their "
            f"clocks have run; to start everybody at stage 1, set clock_from = {today}",
        )


def _floors(rules: Rules) -> Iterator[Advice]:
    """Floors of one's own that give way to a later one of the preset: people expect theirs to win."""
    if rules.preset != "exchange-online" or "floor" not in rules.require:
        return
    for number, own in enumerate(rules.floors):
        later = [
            (_begins(own.builds, it.builds), it.since, len(it.builds), it)
            for it in MICROSOFT_FLOORS
            if it.software == own.software
            and it.since > own.since
            and (_begins(own.builds, it.builds) or _begins(it.builds, own.builds))
        ]
        if later:
            floor = max(later, key=lambda one: one[:3])[-1]
            builds = max(floor.builds, own.builds, key=len)
            yield Advice(
                ("policy", "compliance", "floors", number, "since"),
                f"for {builds} Exchange Online's floor decides from {floor.since} on "
                f"({floor.least or 'no build'}), for it is the later one, be it higher or lower; give yours "
                'a later day, or set preset = "none"',
            )


def _begins(builds: str, with_these: str) -> bool:
    return f"{builds}.".startswith(f"{with_these}.")


def _ladders(policy: Policy) -> Iterator[Advice]:
    for name, stages in policy.ladders.items():
        path = ("policy", "ladders", name)
        refusing = [stage for stage in stages if stage.minutes]
        if stages[0].minutes:
            yield Advice((*path, 0), "refuses mail from the first message on; begin with a stage of notice")
        if refusing and refusing[0].block:
            yield Advice(
                (*path, stages.index(refusing[0])),
                "mail bounces (550) before any was delayed (450): the first sign of trouble is lost mail; "
                "throttle in an earlier stage",
            )
        for number, stage in enumerate(stages[:-1]):
            if stage.minutes > 60 - _LEAST_FREE:
                yield Advice(
                    (*path, number),
                    f"{60 - stage.minutes} free minutes an hour are few: mail of a sender who tries again "
                    f"seldom may be given up; leave at least {_LEAST_FREE}",
                )


def _selections(policy: Policy, catalogue: Catalogue) -> Iterator[Advice]:
    """Products and holes that the catalogue does not have: a wave or rule for them fits nothing."""
    products = {product.name for product in catalogue.products}
    holes = {flaw.cve for flaw in catalogue.flaws}
    for key, chosen in (("waves", policy.waves), ("ladder_rules", policy.ladder_rules)):
        for number, item in enumerate(chosen):
            for product in item.products:
                if product not in products:
                    yield Advice(
                        ("policy", key, number, "products"),
                        f"the catalogue has no product {product!r}, so nothing fits; 'wehr catalogue list' "
                        "shows those it has",
                    )
    for number, rule in enumerate(policy.ladder_rules):
        for cve in rule.cves:
            if cve not in holes:
                yield Advice(
                    ("policy", "ladder_rules", number, "cves"),
                    f"the catalogue has no {cve}, so the rule waits for it; correct it, or import its record",
                )


def _tenants(tenants: tuple[Tenant, ...]) -> Iterator[Advice]:
    for (one, first), (other, second) in combinations(enumerate(tenants), 2):
        if first.name == second.name:
            yield Advice(
                ("policy", "tenants", other, "name"),
                f"the name {second.name!r} is tenant {one + 1}'s already; give each its own",
            )
        for wide, narrow in _overlaps(first.domains, second.domains):
            same = wide.lower() == narrow.lower()
            said = f"{narrow!r} is in" if same else f"{narrow!r} and {wide!r} overlap with"
            counts = "this tenant's" if same else "the narrower"
            yield Advice(
                ("policy", "tenants", other, "domains"),
                f"{said} tenant {first.name!r}: {counts} counts; see that this is meant",
            )


def _overlaps(first: tuple[str, ...], second: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    """Pairs of a domain and one that is the same or below it; one from each side."""
    for left in first:
        for right in second:
            if _covers_name(left.lower(), right.lower()):
                yield left, right
            elif _covers_name(right.lower(), left.lower()):
                yield right, left


def _connectors(connectors: tuple[Connector, ...]) -> Iterator[Advice]:
    for number, later in enumerate(connectors):
        cover = next((earlier for earlier in connectors[:number] if _covers(earlier, later)), None)
        if cover is not None:
            yield Advice(
                ("policy", "connectors", number),
                f"never matches, for connector {cover.name!r} takes all its clients; put this one first",
            )


def _covers(earlier: Connector, later: Connector) -> bool:
    """Whether whoever meets the later connector's conditions meets the earlier one's."""
    return (
        _implied(earlier.networks, later.networks, _covers_network)
        and _implied(earlier.client_names, later.client_names, _covers_name)
        and _implied(earlier.tls_names, later.tls_names, _covers_name)
        and _implied(earlier.listeners, later.listeners, str.__eq__)
    )


def _implied(wide: tuple[str, ...], narrow: tuple[str, ...], covers: Callable[[str, str], bool]) -> bool:
    """Whether whatever meets the narrow condition meets the wide one; an empty one is met by all."""
    return not wide or (bool(narrow) and all(any(covers(it, one) for it in wide) for one in narrow))


def _covers_name(wide: str, narrow: str) -> bool:
    wide, narrow = wide.lower(), narrow.lower()
    return wide == narrow or (wide.startswith(".") and narrow.endswith(wide))


def _covers_network(wide: str, narrow: str) -> bool:
    outer, inner = read_network(wide), read_network(narrow)
    return (
        outer.version == inner.version
        and outer.prefixlen <= inner.prefixlen
        and outer.network_address == inner.supernet(new_prefix=outer.prefixlen).network_address
    )


def _exemptions(policy: Policy, now: float) -> Iterator[Advice]:
    for number, item in enumerate(policy.exemptions):
        if item.until is None or item.until.timestamp() > now:
            continue
        gone = item.until + timedelta(seconds=policy.forget_days * DAY)
        # Without it the time that it stopped would count after all, for whoever is still remembered.
        rest = "" if gone.timestamp() <= now else f" on {gone:%Y-%m-%d}, not before: its time would count"
        yield Advice(("policy", "exemptions", number), f"has ended on {item.until:%Y-%m-%d}; remove it{rest}")
