"""The SMTP proxy and the sink, as they are configured; and the gate by which mail to the sink is judged."""

import asyncio
from collections.abc import Callable
from functools import lru_cache, partial
from pathlib import Path
from typing import Final

import msgspec

from wehr.doors.gate import Gate, Setting
from wehr.doors.smtp import NextTls, Proxy, Tell, Timeouts, sink
from wehr.doors.smtp.names import Names, look_up_nothing
from wehr.evidence.address import is_public
from wehr.evidence.lists import Networks
from wehr.evidence.own import Own, OwnSide
from wehr.ledger import Entry, Ledger
from wehr.policy.ladder import Stage
from wehr.policy.replies import Texts
from wehr.policy.types import Mode
from wehr.service.clock import Clock
from wehr.service.door_settings import Sink, Smtp, split_address
from wehr.service.smtp_tls import next_context, own_certificate
from wehr.service.state_folder import StartError

_TRIAL: Final = "trial"
_TEXTS: Final = Texts(
    throttle="Connecting {software} version is out-of-date; connection to {host} throttled for {minutes} "
    "mins/hr. This is the sink, for trials: nothing is recorded"
)


_side = lru_cache(maxsize=1)(OwnSide)


def proxy(table: Smtp, host: Callable[[], str], own: Callable[[], Own], clock: Clock) -> Proxy:
    """The proxy; ``host`` tells our own name, ``own`` our networks.

    Raises:
        StartError: a certificate cannot be used.
    """
    if table.next_hop.startswith("/"):
        connect = partial(_connect_unix, table.next_hop)
        name = ""
    else:
        name, port = split_address(table.next_hop)
        connect = partial(_connect_tcp, name, port)

    def stranger(address: str) -> bool:
        side = _side(own())
        return is_public(address) and address not in side.networks and not side.is_relay(address, "")

    return Proxy(
        host,
        connect,
        clock,
        tell=Tell(table.tell_client),
        domains=table.domains,
        balancers=Networks(table.balancers),
        certificate=own_certificate(table),
        tls_required=table.tls_required,
        next_tls=NextTls(table.next_hop_tls),
        next_context=next_context(table),
        next_name=table.next_hop_name or name,
        early=table.refuse_early,
        look_up=Names(clock).look_up if table.look_up_names else look_up_nothing,
        timeouts=Timeouts(command=table.idle_timeout, content=table.idle_timeout),
        per_network=table.max_per_network,
        stranger=stranger,
    )


def drain(table: Sink, host: Callable[[], str], clock: Clock, folder: Path) -> Proxy:
    """The sink; ``folder`` is what a relative Maildir is inside.

    Raises:
        StartError: the Maildir can be neither found nor made.
    """
    maildir = folder / table.maildir if table.maildir else None
    try:
        made = sink(host, clock, maildir)
    except OSError as error:
        raise StartError(f"sink.maildir {maildir} cannot be made: {error.strerror}") from None
    timeouts = Timeouts(command=table.idle_timeout, content=table.idle_timeout)
    return msgspec.structs.replace(made, timeouts=timeouts)


async def _connect_tcp(host: str, port: int, new: Callable[[], asyncio.Protocol]) -> object:
    return await asyncio.get_running_loop().create_connection(new, host, port)


async def _connect_unix(path: str, new: Callable[[], asyncio.Protocol]) -> object:
    return await asyncio.get_running_loop().create_unix_connection(new, path)


def trial_gate(
    setting: Setting,
    secret: bytes,
    clock: Clock,
    record: Callable[[Entry], None],
    on_error: Callable[[Exception], None],
) -> Gate:
    """A gate with a memory of its own, which ends with the process."""
    return Gate(trial(setting), Ledger(), secret=secret, clock=clock, record=record, on_error=on_error)


def trial(setting: Setting) -> Setting:
    """The same rules, but enforced, at once, and for whoever is out of date: a 450 in every minute."""
    policy = msgspec.structs.replace(
        setting.policy,
        mode=Mode.ENFORCE,
        ladder=_TRIAL,
        ladders={**setting.policy.ladders, _TRIAL: (Stage(throttle=60),)},
        ladder_rules=(),
        waves=(),
        clock_from=None,
        tenants=(),
        connectors=(),
        exemptions=(),
        texts=_TEXTS,
    )
    own = msgspec.structs.replace(setting.own, networks=())
    return msgspec.structs.replace(setting, policy=policy, scoping=policy.scoping(), own=own, status_url="")
