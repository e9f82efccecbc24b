"""An established ISAKMP SA: under its protection all else is negotiated and told.

RFC 2409 sections 5.5 and 5.7: every exchange has a message id of its own, from which its IV
follows. Windows counts them from 1, so nothing is concluded from their values, except that an
id that was used is never used again: what comes with it is a replay.
"""

from typing import TYPE_CHECKING, Final

from ipsec import keymat
from ipsec.checks import known
from ipsec.constants import ExchangeType
from ipsec.exchange import Incoming
from ipsec.main_mode import MainMode
from ipsec.message import Payload, Payloads
from ipsec.protection import hashed, verify_hash
from wire import Entropy

if TYPE_CHECKING:
    from ipsec.peer import Peer
    from ipsec.quick_mode import QuickMode

MAX_QUICK_MODES: Final = 8
"""Quick modes that are remembered, under way or over, so that repeated messages are answered."""

MAX_USED_IDS: Final = 512
"""Message ids that are remembered. By the time the oldest is forgotten, a replay gets no
further than a Quick Mode that the replayer cannot finish."""


class IsakmpSa:
    """Keys, facts about the peer, and the exchanges under way; `peer` is whose it is.

    `expires` is when it ends, in seconds of the caller's clock. `last` are the last messages
    of its Main Mode.
    """

    __slots__ = (
        "_used_ids",
        "cookies",
        "expires",
        "extensions",
        "identity",
        "initiator",
        "key",
        "last",
        "last_block",
        "nat",
        "peer",
        "protection",
        "quick_modes",
        "suite",
    )

    peer: "Peer"

    def __init__(self, main_mode: MainMode, expires: float) -> None:
        self.initiator = main_mode.initiator
        self.cookies = main_mode.cookies
        self.protection = main_mode.keys.protection
        self.last_block = main_mode.iv
        self.suite = main_mode.suite
        self.extensions = main_mode.extensions
        self.nat = main_mode.nat
        self.identity = known(main_mode.identity)
        self.key = main_mode.key
        self.last = main_mode.last
        self.expires = expires
        self.quick_modes: dict[int, QuickMode] = {}
        self._used_ids: dict[int, None] = {}

    @property
    def spi(self) -> bytes:
        """What names this SA in notifications and deletes (RFC 2407 section 4.6.3)."""
        return b"".join(self.cookies)

    def new_message_id(self, entropy: Entropy) -> int:
        """Return an id for an exchange that we begin, and remember it."""
        message_id = 0
        while message_id == 0 or self.was_used(message_id):
            message_id = int.from_bytes(entropy(4), "big")
        self.remember(message_id)
        return message_id

    def was_used(self, message_id: int) -> bool:
        """Say whether an exchange of this id was begun before."""
        return message_id in self._used_ids

    def remember(self, message_id: int) -> None:
        """Take note of an id, once a message that carries it was authenticated."""
        self._used_ids[message_id] = None
        if len(self._used_ids) > MAX_USED_IDS:
            del self._used_ids[next(iter(self._used_ids))]

    def keep(self, quick_mode: "QuickMode") -> "QuickMode | None":
        """Remember a quick mode; return the one that is forgotten for it, if any."""
        self.remember(quick_mode.message_id)
        self.quick_modes[quick_mode.message_id] = quick_mode
        if len(self.quick_modes) <= MAX_QUICK_MODES:
            return None
        return self.quick_modes.pop(next(iter(self.quick_modes)))

    def seal_informational(self, payloads: list[Payload], entropy: Entropy) -> bytes:
        """Return the message of an Informational Exchange (RFC 2409 section 5.7)."""
        message_id, protection = self.new_message_id(entropy), self.protection
        content = Payloads.of(payloads)
        proof = keymat.informational_hash(
            protection.hash, protection.skeyid.a, message_id, content.octets
        )
        iv = protection.phase2_iv(self.last_block, message_id)
        exchange = ExchangeType.INFORMATIONAL
        return protection.seal(exchange, message_id, hashed(proof, content), iv)[0]

    def open_informational(self, message: Incoming) -> Payloads:
        """Return what an Informational Exchange carries. Raises DecodeError if it is not genuine.

        The HASH payload is checked before anything else is looked at.
        """
        message_id, protection = message.header.message_id, self.protection
        iv = protection.phase2_iv(self.last_block, message_id)
        payloads, _ = protection.open(message.header, message.body, iv)
        expected = keymat.informational_hash(
            protection.hash, protection.skeyid.a, message_id, payloads.after_hash()
        )
        verify_hash(payloads, expected)
        return payloads
