"""A peer's fault in IKE."""

from ipsec.constants import NotifyType
from wire import PeerError


class NotifyError(PeerError):
    """The peer broke a rule; `code` is the notify type that tells it so (RFC 2408 section 3.14.1).

    `hint` says what an admin can do about it, where we know.
    """

    def __init__(self, code: NotifyType, why: str, hint: str = "") -> None:
        super().__init__(code, why)
        self.hint = hint
