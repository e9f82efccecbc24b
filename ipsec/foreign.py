"""Those who want what there is not: IKEv2, or Aggressive Mode in no group of ours.

They are told by one notification in clear, so that they or their users try something else soon. It
is never longer than what they sent and only goes out so often, and nothing is kept of them.
Anything else that is not for us is dropped in silence: AuthIP (exchange types 243 to 246), which
Windows takes for a sign to use IKE, and exchanges of no use here.
"""

from collections.abc import Sequence
from contextlib import suppress
from typing import Final, NamedTuple

from ipsec import vendor
from ipsec.constants import ExchangeType, NotifyType, PayloadType
from ipsec.context import Context
from ipsec.errors import Drop, DropError
from ipsec.events import Negotiation, NegotiationFailed
from ipsec.exchange import Incoming
from ipsec.message import NO_COOKIE, Cookies, Payload, Payloads, build_message
from ipsec.natt import NO_NAT
from ipsec.payloads import Notification
from wire import DecodeError, Entropy, RateLimit

IKEV2: Final = "IKEv2"
"""The stage that events name."""

IKE_SA_INIT: Final = ExchangeType(34)
VENDOR_V2: Final = PayloadType(43)
REQUEST_V2: Final = 0x08
"""The flags of an original initiator's request: RFC 7296 sections 3.1 and 3.2."""

PER_HOST: Final = 10
IN_ALL: Final = 100
PERIOD: Final = 10.0
"""Answers to one host and to all, in so many seconds."""


class Refusal(NamedTuple):
    """What a stranger is told, and what an admin is told of it."""

    notify: NotifyType
    stage: str
    why: str
    hint: str
    about: Negotiation


class Foreign:
    """Refuses what is not served; there is no state but the limit on answers."""

    __slots__ = ("_answers", "_context")

    def __init__(self, context: Context) -> None:
        self._context = context
        self._answers = RateLimit(PER_HOST, IN_ALL, PERIOD)

    def refuse(self, message: Incoming, refusal: Refusal, now: float) -> None:
        """Tell a stranger and the admin that the first message of an exchange is in vain."""
        context, path = self._context, message.path
        answer = notification_in_clear(message.header.cookies, refusal.notify, context.entropy)
        if len(answer) <= message.header.length and self._answers.admits(path.peer.host, now):
            context.send(answer, path)
        else:
            context.drop(Drop.NO_ROOM)
        context.tell(NegotiationFailed(path, None, *refusal[1:]))

    def refuse_version(self, message: Incoming, now: float) -> None:
        """Refuse IKEv2; raises DropError for what is no first message of it.

        RFC 7296 section 2.5 wants INVALID_MAJOR_VERSION in a message of the highest version
        that there is, which RFC 2408 section 5.2 has too, under the same number.
        """
        header = message.header
        first = header.cookies.responder == NO_COOKIE != header.cookies.initiator
        if (
            header.version >> 4 != 2
            or header.exchange != IKE_SA_INIT
            or header.flags != REQUEST_V2
            or header.message_id
            or not first
        ):
            raise DropError(Drop.OTHER_VERSION)
        vendor_ids: list[bytes] = []
        with suppress(DecodeError):
            vendor_ids = Payloads.parse(header.first, message.body).all(VENDOR_V2)
        self.refuse(
            message,
            Refusal(
                NotifyType.INVALID_MAJOR_VERSION,
                IKEV2,
                "the client tries IKEv2, and this server has IKEv1 alone",
                "choose L2TP/IPsec with pre-shared key as the type of VPN on the client",
                unheard(header.cookies, vendor_ids, now),
            ),
            now,
        )


def unheard(cookies: Cookies, vendor_ids: Sequence[bytes], now: float) -> Negotiation:
    """Return what an exchange is about that ends with its first message."""
    client = vendor.read(vendor_ids).client
    return Negotiation(cookies.initiator, now, client, (), None, NO_NAT, heard=False)


def notification_in_clear(cookies: Cookies, kind: NotifyType, entropy: Entropy) -> bytes:
    """Return a message that holds one notification (RFC 2408 section 4.8)."""
    payloads = Payloads.of([Payload(PayloadType.NOTIFY, Notification(kind).build())])
    message_id = int.from_bytes(entropy(4), "big")
    return build_message(cookies, ExchangeType.INFORMATIONAL, payloads, message_id)
