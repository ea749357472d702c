"""Who may be refused before the headers: clients that showed nothing but one server, refused all hour.

Without headers there is no evidence, so what is known of the client must do. It is known by address and HELO
name together: whoever else sends from the same address says another name. And every few minutes one
transaction is let through to the headers, for only there a cure, or somebody else, can show.
"""

from collections.abc import Mapping

from wehr.evidence.types import Session
from wehr.policy import ServerKey

MAX_CLIENTS = 10_000
"""Clients that are remembered; beyond them the one learned first goes, and is judged by its headers again."""


class _Client:
    """``keys``: by tenant, the server that it showed. Until ``mixed_until`` it is left to the headers.

    ``let`` and ``refused`` are the transactions that were let through and refused last.
    """

    __slots__ = ("keys", "let", "let_at", "mixed_until", "refused")

    def __init__(self) -> None:
        self.keys: dict[str, ServerKey] = {}
        self.let_at = 0.0
        self.mixed_until = 0.0
        self.let = ""
        self.refused = ""


class Early:
    """What this node knows of clients that are refused all hour. Times are UTC seconds since 1970."""

    def __init__(self) -> None:
        self._clients: dict[tuple[str, str], _Client] = {}

    def learn(self, session: Session, keys: Mapping[str, ServerKey], now: float) -> None:
        """A message of the client was refused, as all of the hour are; ``keys`` are its servers by tenant."""
        who = (session.client_ip, session.helo)
        client = self._clients.get(who)
        if client is None:
            if len(self._clients) >= MAX_CLIENTS:
                del self._clients[next(iter(self._clients))]
            client = self._clients[who] = _Client()
        if any(client.keys.get(tenant, key) != key for tenant, key in keys.items()):
            client.keys.clear()  # two servers behind one name: nobody knows which of them is next
        elif now >= client.mixed_until:
            client.keys.update(keys)

    def forget(self, session: Session, until: float) -> None:
        """The client has shown something else: up to ``until`` only its headers count."""
        if self._clients and (client := self._clients.get((session.client_ip, session.helo))):
            client.keys.clear()
            client.mixed_until = until

    def known(self, session: Session) -> Mapping[str, ServerKey]:
        """The servers that the client showed, by tenant; empty if it is to be judged by its headers."""
        client = self._clients.get((session.client_ip, session.helo))
        return client.keys if client else {}

    def lets_through(
        self, session: Session, transaction: str, last_seen: float, now: float, interval: float
    ) -> bool:
        """Whether this transaction of a known client may go on to the headers, one in ``interval`` seconds.

        ``transaction`` is the mail system's name for it, the same at each of its steps; "" if it gives none.
        ``last_seen`` is when the server's headers were last seen, by any node.
        """
        client = self._clients[session.client_ip, session.helo]
        if transaction and transaction == client.let:
            return True
        if now < max(client.let_at, last_seen) + interval:
            return False
        client.let_at, client.let = now, transaction
        return True

    def refuses_first(self, session: Session, transaction: str) -> bool:
        """Whether a transaction that is refused now was not refused at an earlier step of it."""
        client = self._clients[session.client_ip, session.helo]
        first = not transaction or transaction != client.refused
        client.refused = transaction
        return first
