"""What can be wrong with a peer's message in IKE."""

from enum import Enum

from ipsec.constants import NotifyType
from wire import DecodeError, PeerError


class NotifyError(PeerError):
    """The peer broke a rule; `code` is the notify type that tells it so (RFC 2408 section 3.14.1).

    `hint` says what an admin can do about it, where we know.
    """

    def __init__(self, code: NotifyType, why: str, hint: str = "") -> None:
        super().__init__(code, why)
        self.hint = hint


class Drop(Enum):
    """Why a message was dropped in silence."""

    NOT_IKE = "neither IKE nor anything else that belongs here"
    UNREADABLE = "malformed"
    OTHER_VERSION = "not version 1 of IKE"
    OTHER_EXCHANGE = "an exchange type that we do not do"
    UNKNOWN_SA = "cookies of no SA"
    UNEXPECTED = "not the next message of its exchange"
    REPEATED = "an exchange that is over"
    NOT_GENUINE = "wrong hash"
    IN_CLEAR = "not encrypted where it must be"
    NO_ROOM = "limit on strangers or peers"
    NO_QUESTION = "R-U-THERE-ACK to no question of ours"


class DropError(DecodeError):
    """A message to be dropped and counted."""

    def __init__(self, reason: Drop) -> None:
        super().__init__(reason.value)
        self.reason = reason
