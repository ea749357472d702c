"""One message on its way from the client to the next hop, after DATA or in chunks.

Its header is kept back until it is judged. At most that and two buffers' worth of a message is kept; who is
slow slows down who sends.
"""

from collections.abc import Callable
from contextlib import suppress
from typing import Final

from wehr.doors.smtp.framing import Chunk, Content, Head, Reply
from wehr.doors.smtp.next_hop import NextHop, NextHopGone
from wehr.doors.smtp.patience import Patience
from wehr.doors.smtp.stream import HIGH, Stream
from wehr.doors.wire import MAX_DOMAINS

MAX_HEAD: Final = 128 << 10
"""Bytes of a message that are kept back; a header that is longer is judged by these."""

NO_RECIPIENTS: Final = b"554 5.5.1 No valid recipients\r\n"
_FORGED: Final = b"554 5.6.0 A line with a lone dot ends in a bare LF or CR (RFC 5321 section 2.3.8)\r\n"
_ODD: Final = b"451 4.5.0 The next hop gave an odd answer; try again later\r\n"


class Message:
    """A message whose sender the next hop has taken.

    What takes some of it returns the reply to it, and raises `NextHopGone` (when the client has sent what it
    was about to), `Gone` if the client hangs up, TimeoutError if it sends too little.
    """

    def __init__(
        self,
        stream: Stream,
        hop: NextHop,
        patience: Patience,
        judge: Callable[[bytes, tuple[str, ...]], bytes],
        stamp: Callable[[], bytes],
    ) -> None:
        """Put it together.

        Args:
            stream: the client.
            hop: the next hop.
            patience: that with the client, and the times of either.
            judge: from header and recipients' domains to the line that refuses it, or b"".
            stamp: the field of ours that it is to begin with, or b"".
        """
        self.accepted = 0
        """Recipients that the next hop has taken."""
        self.begun = False
        """Something of it has come in."""
        self.over = False
        """Nothing more of it is to come."""
        self.forged = False
        """It was refused for an end that is none; if it had been begun, the next hop was cut off."""
        self._domains: dict[str, None] = {}
        self._head = Head(MAX_HEAD)
        self._stream = stream
        self._hop = hop
        self._patience = patience
        self._times = patience.times
        self._judge = judge
        self._stamp = stamp
        self._judged = False
        self._stamped = False

    def add(self, domain: str) -> None:
        """The next hop has taken a recipient; nothing is kept but the domain."""
        self.accepted += 1
        if domain and len(self._domains) <= MAX_DOMAINS:
            self._domains[domain] = None

    async def take_content(self) -> bytes:
        """What follows DATA, to which the client has been told 354; the next hop has not been told of it."""
        self.begun = self.over = True
        content = Content()
        while self._head.room and not content.ended:
            self._head.feed(content.feed(await self._some()))
        refusal = _FORGED if content.forged else self._refusal()
        if refusal:
            await self._withdraw()
        reply = refusal or await self._send(content)
        await self._skip(content)
        self.forged = content.forged and reply is _FORGED
        self._stream.put_back(content.rest)
        return reply

    async def _send(self, content: Content) -> bytes:
        hop, times = self._hop, self._times
        try:
            reply = await hop.ask(b"DATA\r\n", times.data)
            if reply.code != 354:
                await self._withdraw()
                return reply.raw if reply.code >= 400 else _ODD
            hop.write(self._stamp() + self._head.text)
            while not (content.ended or content.forged):
                await hop.drained(times.block)
                hop.write(content.feed(await self._some()))
            if content.forged:
                hop.abort()  # without the final dot it has no message
                return _FORGED
            await hop.drained(times.block)
            return (await hop.ask(b".\r\n", times.end)).raw
        except NextHopGone:
            hop.abort()
            await self._skip(content)
            reply = await hop.reply(times.reply)  # what it said before it went, if anything
            if reply.code < 400:
                raise
            return reply.raw

    async def take_chunk(self, chunk: Chunk) -> bytes:
        """What follows BDAT (RFC 3030). The next hop gets earlier chunks, but never a refused message's last.

        Without recipients it gets none: what it takes for no chunk, it would take for commands of ours.
        """
        if not self.accepted:
            await self._skip_bytes(chunk.size)
            return NO_RECIPIENTS
        self.begun = True
        first, left, stamp = b"", chunk.size, b""
        if not self._judged:
            while left and self._head.room:
                piece = await self._some(min(left, self._head.room))
                self._head.feed(piece)
                first += piece
                left -= len(piece)
            self._judged = chunk.last or not self._head.room
            refusal = self._refusal() if self._judged else b""
            if refusal:
                self.over = True
                await self._withdraw()
                await self._skip_bytes(left)
                return refusal
        if not self._stamped:
            self._stamped, stamp = True, self._stamp()
        reply = await self._send_chunk(chunk, stamp + first, len(stamp), left)
        self.over = chunk.last or not reply.good
        return reply.raw

    async def _send_chunk(self, chunk: Chunk, first: bytes, added: int, left: int) -> Reply:
        hop, times = self._hop, self._times
        try:
            hop.write(b"BDAT %d%s\r\n" % (chunk.size + added, b" LAST" if chunk.last else b"") + first)
            while left:
                piece = await self._some(left)
                left -= len(piece)
                hop.write(piece)
                await hop.drained(times.block)
            return await hop.reply(times.end)
        except NextHopGone:
            hop.abort()
            await self._skip_bytes(left)
            raise

    def _refusal(self) -> bytes:
        if len(self._domains) > MAX_DOMAINS:
            return b""  # nobody could say whose it is
        return self._judge(bytes(self._head.text), tuple(self._domains))

    async def _withdraw(self) -> None:
        """Have the next hop forget the envelope; if it is gone, the next command will tell."""
        with suppress(NextHopGone):
            if not (await self._hop.ask(b"RSET\r\n", self._times.reply)).good:
                self._hop.abort()

    async def _some(self, most: int = HIGH) -> bytes:
        return await self._patience.for_content(self._stream.some(min(most, HIGH)))

    async def _skip(self, content: Content) -> None:
        while not content.ended:
            content.feed(await self._some())

    async def _skip_bytes(self, left: int) -> None:
        while left:
            left -= len(await self._some(left))
