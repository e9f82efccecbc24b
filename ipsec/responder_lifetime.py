"""RESPONDER-LIFETIME: the responder's lifetime of an SA, where it is shorter than was offered.

RFC 2407 sections 4.5.4 and 4.6.3.1. The transform that was chosen is never changed: what the
initiator gets back is what it offered, and this notification beside it. For a pair of ESP SAs it
is in message 2 of Quick Mode. For an ISAKMP SA it is in an Informational Exchange after Main
Mode, as Cisco sends it: there a HASH covers it, and no client can fall over it. Section 4.6.3
allows the last message of Main Mode, too, but never an earlier one: these are in clear, and Apple
ignores them for a payload that does not belong there.
"""

from collections.abc import Iterable

from ipsec.constants import (
    IkeAttribute,
    IpsecAttribute,
    LifeType,
    NotifyType,
    PayloadType,
    ProtocolId,
)
from ipsec.errors import NotifyError
from ipsec.message import Payload
from ipsec.offers import read_lifetimes
from ipsec.payloads import Notification
from ipsec.proposals import Attribute
from wire import DecodeError, Reader

_ATTRIBUTES = {
    ProtocolId.ISAKMP: (IkeAttribute.LIFE_TYPE, IkeAttribute.LIFE_DURATION),
    ProtocolId.ESP: (IpsecAttribute.SA_LIFE_TYPE, IpsecAttribute.SA_LIFE_DURATION),
}
"""Each phase has its own numbers for attributes that mean the same."""


def tell(
    protocol: ProtocolId, spi: bytes, lifetimes: Iterable[tuple[LifeType, int | None, int | None]]
) -> list[Payload]:
    """Return the notification, or nothing where no lifetime of ours is shorter.

    A lifetime is its type, what was offered, and what is ours; None or 0 is for ever.
    """
    life_type, life_duration = _ATTRIBUTES[protocol]
    attributes: list[Attribute] = []
    for kind, offered, ours in lifetimes:
        if ours and (not offered or ours < offered):
            attributes += Attribute.short(life_type, kind), Attribute.long(life_duration, ours)
    if not attributes:
        return []
    data = b"".join(attribute.build() for attribute in attributes)
    notification = Notification(NotifyType.RESPONDER_LIFETIME, protocol, spi, data)
    return [Payload(PayloadType.NOTIFY, notification.build())]


def read(notification: Notification, protocol: ProtocolId) -> dict[int, int]:
    """Return the lifetimes that a notification tells of an SA of this protocol, by life type.

    Another notification tells none. Raises DecodeError.
    """
    if (notification.type, notification.protocol) != (NotifyType.RESPONDER_LIFETIME, protocol):
        return {}
    reader = Reader(notification.data)
    attributes = []
    while reader.remaining:
        attributes.append(Attribute.parse(reader))
    try:
        return read_lifetimes(attributes, *_ATTRIBUTES[protocol])
    except NotifyError as error:
        raise DecodeError(error.why) from error
