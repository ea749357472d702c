"""The HTTP door's paths, tokens and sockets."""

import hashlib
import hmac
from collections.abc import Mapping, Sequence
from typing import Final

from wehr.doors.door import Door
from wehr.doors.http import openapi
from wehr.doors.http.decide import DECIDE
from wehr.doors.http.exchange import JSON, Form, Question, Refused, Request, Response
from wehr.doors.http.hooks import MTA_HOOKS
from wehr.doors.http.session import HttpSession
from wehr.doors.types import Event, Gate, Limits, OnEvent
from wehr.doors.verdict import Verdict
from wehr.doors.wire import MAX_DOMAINS
from wehr.policy import Action, Decision, Reason

MAX_BODY: Final = 256 << 10
"""Bytes of a request's body that are kept, unless told otherwise."""

FORMS: Final[Mapping[str, Form]] = {"/v1/decide": DECIDE, "/v1/mta-hooks": MTA_HOOKS}
DOCUMENT: Final = "/v1/openapi.json"

_UNASKED: Final = Verdict(Decision(Action.ACCEPT, Reason.NO_TRACE))
_EARLY: Final = Decision(Action.BLOCK, Reason.BLOCKED)
"""What a refusal before the headers always is."""
_FAILED: Final = Verdict(Decision(Action.ACCEPT, Reason.INTERNAL_ERROR))


class HttpServer(Door):
    """Listens for HTTP, and asks the gate about every message."""

    def __init__(
        self,
        gate: Gate,
        limits: Limits | None = None,
        on_event: OnEvent | None = None,
        *,
        tokens: Sequence[str] = (),
        max_body: int = MAX_BODY,
    ) -> None:
        """Answer what ``gate`` says.

        Args:
            gate: who decides.
            limits: what the peers may cost.
            on_event: told what an administrator should read, rate-limited.
            tokens: SHA-256 in hexadecimal digits of the tokens; a request must bear one of them, if any.
            max_body: bytes kept of a request's body.
        """
        super().__init__(gate, limits, on_event)
        self._tokens = [bytes.fromhex(token) for token in tokens]
        self._max_body = max_body
        self._document = openapi.document(FORMS, DOCUMENT, secured=bool(tokens))

    def new_session(self) -> HttpSession:
        """One connection."""
        return HttpSession(self.respond, self.refuse, self._max_body)

    def respond(self, request: Request) -> Response:
        """The answer to a request."""
        try:
            return self._routed(request)
        except Refused as refused:
            return self.refuse(refused)

    def refuse(self, refused: Refused) -> Response:
        """The answer to a request that cannot be used; it is counted and told of."""
        self.counters.protocol_errors += 1
        self.tell(Event.PROTOCOL_ERROR, f"answered {refused.response.status}: {refused}"[:500])
        return refused.response

    def _routed(self, request: Request) -> Response:
        if request.path == DOCUMENT:
            _only(request, "GET", "HEAD")
            # Long, asked for by people, and without a token: once a connection.
            return Response(200, self._document, headers=(("Connection", "close"),))
        form = FORMS.get(request.path)
        if form is None:
            raise Refused(404, f"no such path: {request.path[:100]}")
        _only(request, "POST")
        if not self._admits(request.authorization):
            raise Refused(401, "no valid token", (("WWW-Authenticate", "Bearer"),))
        if request.content_type.partition(";")[0].strip().lower() not in {"", JSON}:
            raise Refused(415, f"the body must be {JSON}", (("Accept-Post", JSON),))
        question = form.read(request)
        return Response(200, self.decide(question, form) if question else form.write(_UNASKED))

    def decide(self, question: Question, form: Form) -> bytes:
        """The gate's answer as a body; an error in there is never the sender's problem."""
        if len(question.session.recipients) > MAX_DOMAINS:  # nobody could say whose it is
            return form.write(_UNASKED)
        verdict = _FAILED

        def ask() -> str | None:
            nonlocal verdict
            if question.early:
                reply = self.gate.ask_early(question.session, question.queue_id)
                verdict = Verdict(_EARLY, reply) if reply else _UNASKED
            else:
                verdict = self.gate.verdict(question.session, question.trace, question.queue_id)
            return verdict.reply

        refused = self.answer(ask, lambda _: form.write(verdict), b"", question.queue_id)
        return refused or form.write(_FAILED if verdict.reply else verdict)

    def _admits(self, authorization: str) -> bool:
        """Whether a request bears one of the tokens; takes as long whichever it is."""
        if not self._tokens:
            return True
        scheme, _, token = authorization.partition(" ")
        digest = hashlib.sha256(token.strip().encode("latin-1")).digest()
        known = [hmac.compare_digest(digest, one) for one in self._tokens]
        return scheme.lower() == "bearer" and any(known)


def _only(request: Request, *methods: str) -> None:
    if request.method not in methods:
        raise Refused(405, f"not {request.method[:20]}", (("Allow", ", ".join(methods)),))
