"""What is asked of AAA and what it answers."""

from collections.abc import Hashable
from dataclasses import dataclass, field
from enum import Enum, IntEnum
from ipaddress import IPv4Address
from typing import Protocol, runtime_checkable

from aaa.directory import Department, User
from aaa.radius.access import Authorization


class Proof(Protocol):
    """What a peer sent to prove that it is a user, in most cases by the password."""

    @property
    def method(self) -> str:
        """The protocol's name: PAP, CHAP-MD5, MS-CHAPv2, EAP-MSCHAPv2, EAP-TLS or EAP."""

    def verify(self, password: str | None, nt_hash: bytes | None) -> bytes | None:
        """Return the octets of the success message, or None where the proof is wrong.

        One of the two secrets is given; None also means that it cannot serve this method.
        """


@runtime_checkable
class ChangeProof(Proof, Protocol):
    """What a peer sent to change the user's password; `verify` judges both passwords."""

    def new_password(self, password: str | None, nt_hash: bytes | None) -> str | None:
        """Return the new password, or None where the old one is wrong."""


@runtime_checkable
class Relayed(Proof, Protocol):
    """One of the messages of a peer that proves itself to a RADIUS server through us.

    Only where it `begins` can the peer prove itself to us as well.
    """

    @property
    def begins(self) -> bool:
        """Whether it is the first one."""


@dataclass(frozen=True, slots=True)
class ClientFacts:
    """What is known of a client before it logs in.

    `host` is its outer address as text, `host_name` what it calls itself (the Host Name AVP,
    RFC 2661 section 4.4.3), `identity` who it said it is in IKE's phase 1: behind NAT its
    private address. The latter two are not proven by anything.
    """

    host: str
    host_name: str = ""
    identity: str = ""


class Reason(Enum):
    """Why a login was refused."""

    UNKNOWN_USER = "no such user"
    UNKNOWN_DOMAIN = "no department has this suffix"
    WRONG_PASSWORD = "wrong password"
    METHOD_NOT_POSSIBLE = "the stored secret cannot serve this method"
    DISABLED = "the user is disabled"
    EXPIRED = "the user has expired"
    OUTSIDE_HOURS = "outside of the hours of the department"
    WRONG_CODE = "wrong one-time code"
    LOCKED = "locked after wrong passwords"
    PASSWORD_EXPIRED = "the password must be changed"
    PASSWORD_NOT_CHANGED = "the password was not changed"
    TOO_MANY_SESSIONS = "the user has too many sessions"
    RADIUS_REFUSED = "the RADIUS server refused"
    RADIUS_SILENT = "no RADIUS server answers"
    RADIUS_UNUSABLE = "the RADIUS server's answer cannot be used"
    NO_STATE = "the database of sessions does not answer"


class MsChapError(IntEnum):
    """The E= numbers of an MS-CHAPv2 failure (RFC 2759 section 6), which Windows shows."""

    RESTRICTED_LOGON_HOURS = 646
    ACCOUNT_DISABLED = 647
    PASSWORD_EXPIRED = 648
    NO_DIALIN_PERMISSION = 649
    AUTHENTICATION_FAILURE = 691
    CHANGING_PASSWORD = 709


@dataclass(frozen=True, slots=True)
class Accepted:
    """The peer is `user`.

    `reply` are the octets of the success message, as the proof gave them. `replaces` is the
    session that has lost its place and its address to this one, and `why_replaced` says by
    what: it must be closed before the new one opens. `authorization` is there if it was a RADIUS
    server that let the peer in; what it says of name servers is in `department` already, and what
    it says of times and rates in `Aaa.policy`.
    """

    user: User
    department: Department
    reply: bytes
    replaces: Hashable | None = None
    why_replaced: str = ""
    authorization: Authorization | None = None


@dataclass(frozen=True, slots=True)
class Rejected:
    """The peer may not in.

    `message` is for the peer and tells a stranger nothing about who exists; `hint` is for the
    log alone and says what is most likely wrong and how to mend it. `is_tacit`: the RADIUS server
    has no answer for the peer's EAP, which gets none of ours in its place (RFC 3579 section 2.6.3).
    """

    reason: Reason
    message: str
    ms_chap_error: MsChapError
    hint: str
    is_tacit: bool = False


@dataclass(frozen=True, slots=True)
class Decided:
    """The answer to a request of `session`; `request` is the number that the request had."""

    session: Hashable
    request: int
    decision: Accepted | Rejected


@dataclass(frozen=True, slots=True)
class PasswordChangeRequested:
    """`user` has a new password, which is to be stored; Aaa.password_stored is owed.

    `session` and `request` are those of the login, whose decision waits for that.
    """

    session: Hashable
    request: int
    user: str
    password: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class RadiusAsked:
    """RADIUS servers are to be asked about a login; Aaa.answered is owed.

    `name` is the login name without the Windows domain.
    """

    session: Hashable
    request: int
    name: str
    proof: Proof
    client: ClientFacts


@dataclass(frozen=True, slots=True)
class EapKept:
    """A peer whose EAP begins proves itself to us and to no RADIUS server.

    `session` and `request` are those of its identity; its proof is another request.
    """

    session: Hashable
    request: int


@dataclass(frozen=True, slots=True)
class Lease:
    """The inner address of a session. `fixed` says that it is the user's own, not the pool's."""

    address: IPv4Address
    fixed: bool


@dataclass(frozen=True, slots=True)
class Revoked:
    """A session that the new directory no longer allows, and why. It must be closed."""

    session: Hashable
    user: str
    why: str


class NoAddress(Exception):  # noqa: N818 (an answer, not a fault of the program)
    """There is no address for a session; `why` says which pool, `mend` what to do about it."""

    def __init__(self, why: str, mend: str = "") -> None:
        super().__init__(f"{why}: {mend}" if mend else why)
        self.why = why
        self.mend = mend


class PoolExhausted(NoAddress):
    """Every address of a department's pool is in use."""

    def __init__(self, department: str, pool: str, size: int) -> None:
        limit = f"departments.{department}"
        super().__init__(
            f"all {size} addresses of the pool of department {department!r} ({pool}) are in use "
            "or reserved",
            f"enlarge {limit}.pool or set {limit}.max_sessions_per_user",
        )
        self.department = department
        self.size = size


class AddressInUse(NoAddress):
    """The fixed address of a user is still held by another session."""

    def __init__(self, address: IPv4Address, user: str) -> None:
        super().__init__(
            f"the fixed address {address} of {user!r} is still held by another session",
            "it is free as soon as that one is closed",
        )
        self.address = address
        self.user = user
