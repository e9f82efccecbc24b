"""Fragmentation of IKE messages, so that IP need not fragment them, which firewalls dislike.

How this works. No RFC has it. Cisco and racoon do it, Windows describes it ([MS-IKEE] sections
1.3.2, 2.2.3.1 and 3.3), all with the same payload, and it is for who sent the vendor id. A
message, its header included, is cut into pieces; each is the only payload of a message that
bears the cookies of the whole. What was put together again goes the way of any message, so
that nothing here has to be authenticated.

Senders disagree on three things. The message id of a fragment is that of the whole, or zero.
Windows and racoon clear the flag for encryption, Cisco may not. Windows counts fragment ids,
others always use 1: so a fragment that contradicts those before it begins another message,
whatever its id, and the older one, which its sender has given up, is forgotten.
"""

from dataclasses import dataclass
from typing import Final, Self

from ipsec.constants import ExchangeType, Flags, HashAlgorithm, PayloadType
from ipsec.context import Context, Timer
from ipsec.crypto import digest
from ipsec.exchange import Incoming
from ipsec.message import GENERIC_HEADER_LENGTH, HEADER_LENGTH, Cookies, Header, parse_message
from ipsec.path import Path
from wire import DecodeError, Reader, Writer

MAX_FRAGMENTS: Final = 32
"""Of one message. Windows was seen to send 29, with certificates."""

MAX_MESSAGE: Final = 16384
"""Octets of a message from fragments: 29 of them that fill datagrams of 576 octets."""

MAX_REASSEMBLIES: Final = 64
"""Messages in pieces, of all peers. Fragments of a message come back to back."""

REASSEMBLY_TIME: Final = 30.0
"""Seconds that the fragments of a message have; [MS-IKEE] section 3.3.2 allows 90."""

FRAGMENT_HEADER_LENGTH: Final = GENERIC_HEADER_LENGTH + 4
_LAST: Final = 0x01


@dataclass(frozen=True, slots=True)
class Fragment:
    """The Fragment payload, [MS-IKEE] section 2.2.3.1; `number` counts from 1."""

    id: int
    number: int
    last: bool
    data: bytes

    @classmethod
    def parse(cls, reader: Reader) -> Self:
        """Read a payload with its generic header, which must be the only one in its message."""
        following, _, length = PayloadType(reader.u8()), reader.u8(), reader.u16()
        if following != PayloadType.NONE or length != GENERIC_HEADER_LENGTH + reader.remaining:
            raise DecodeError("a fragment that is not alone")
        fragment_id, number, flags = reader.u16(), reader.u8(), reader.u8()
        if not 1 <= number <= MAX_FRAGMENTS:
            raise DecodeError(f"fragment {number}")
        if not reader.remaining:
            raise DecodeError("an empty fragment")
        return cls(fragment_id, number, bool(flags & _LAST), reader.rest())

    def build(self) -> bytes:
        """Return the payload with its generic header."""
        writer = Writer().u8(PayloadType.NONE).u8(0).u16(FRAGMENT_HEADER_LENGTH + len(self.data))
        return writer.u16(self.id).u8(self.number).u8(self.last).put(self.data).build()


class Reassembly:
    """The fragments of one message, in whatever order they come."""

    __slots__ = ("_highest", "_id", "_last", "_length", "_path", "_pieces")

    def __init__(self, fragment: Fragment, path: Path) -> None:
        """Begin with the first fragment that came."""
        self._id = fragment.id
        self._path = path
        self._pieces: dict[int, bytes] = {}
        self._length = 0
        self._highest = 0
        self._last: int | None = None

    def takes(self, fragment: Fragment, path: Path) -> bool:
        """Say whether a fragment can be of the same message as those before it."""
        if (fragment.id, path) != (self._id, self._path):
            return False
        number, last = fragment.number, self._last
        if last is None:
            if fragment.last and number < self._highest:
                return False
        elif number > last or fragment.last != (number == last):
            return False
        return self._pieces.get(number, fragment.data) == fragment.data

    def add(self, fragment: Fragment) -> bytes | None:
        """Take a fragment; return the message if it is whole now. Raises DecodeError for length."""
        if fragment.number not in self._pieces:
            self._pieces[fragment.number] = fragment.data
            self._length += len(fragment.data)
            self._highest = max(self._highest, fragment.number)
        if self._length > MAX_MESSAGE:
            raise DecodeError(f"fragments of more than {MAX_MESSAGE} octets")
        if fragment.last:
            self._last = fragment.number
        if len(self._pieces) != self._last:
            return None
        return b"".join(self._pieces[number] for number in range(1, self._last + 1))


class Reassemblies:
    """Messages of which fragments have come: one for each pair of cookies at most."""

    __slots__ = ("_by_cookies", "_context")

    def __init__(self, context: Context) -> None:
        self._context = context
        self._by_cookies: dict[Cookies, Reassembly] = {}

    def __len__(self) -> int:
        return len(self._by_cookies)

    def receive(self, message: Incoming, now: float) -> bytes | None:
        """Take a fragment; return the message that is whole with it, if so. Raises DecodeError.

        That there is something with these cookies is for the caller to know: nothing is kept
        for strangers.
        """
        fragment = Fragment.parse(Reader(message.body))
        cookies = message.header.cookies
        reassembly = self._by_cookies.get(cookies)
        if reassembly is None or not reassembly.takes(fragment, message.path):
            reassembly = self._begin(cookies, fragment, message.path, now)
        try:
            whole = reassembly.add(fragment)
        except DecodeError:
            self.forget(cookies)
            raise
        if whole is not None:
            self.forget(cookies)
        return whole

    def forget(self, cookies: Cookies) -> None:
        """Give up a message, of which there may be nothing."""
        self._by_cookies.pop(cookies, None)
        self._context.deadlines.clear((Timer.REASSEMBLY, cookies))

    def _begin(self, cookies: Cookies, fragment: Fragment, path: Path, now: float) -> Reassembly:
        self.forget(cookies)
        if len(self) == MAX_REASSEMBLIES:
            self.forget(next(iter(self._by_cookies)))
        reassembly = self._by_cookies[cookies] = Reassembly(fragment, path)
        self._context.deadlines.set((Timer.REASSEMBLY, cookies), now + REASSEMBLY_TIME)
        return reassembly


def split(message: bytes, limit: int) -> list[bytes]:
    """Return the messages of at most `limit` octets that carry the fragments of one message.

    The fragment id is made from the message, so that one that is sent again fills the gaps of
    the first time. It is never 0: that made some versions of strongSwan fall over
    (CVE-2013-6076). As strongSwan does, all say that they are of Main Mode, which its peers
    understand in every exchange.
    """
    room = limit - HEADER_LENGTH - FRAGMENT_HEADER_LENGTH
    pieces = [message[start : start + room] for start in range(0, len(message), room)]
    cookies = parse_message(message)[0].cookies
    fragment_id = int.from_bytes(digest(HashAlgorithm.SHA2_256, message)[:2], "big") or 1
    parts = []
    for number, piece in enumerate(pieces, 1):
        payload = Fragment(fragment_id, number, number == len(pieces), piece).build()
        header = Header(
            cookies,
            PayloadType.FRAGMENT,
            ExchangeType.IDENTITY_PROTECTION,
            Flags(0),
            0,
            HEADER_LENGTH + len(payload),
        )
        parts.append(header.build() + payload)
    return parts
