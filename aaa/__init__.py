"""Who may in, and with which address: users, departments, pools and leases.

Knows no protocol: a login is a name and a `Proof` that checks itself against a secret.
"""

from aaa.decisions import (
    Accepted,
    AddressInUse,
    ChangeProof,
    ClientFacts,
    Decided,
    EapKept,
    Lease,
    MsChapError,
    NoAddress,
    PasswordChangeRequested,
    PoolExhausted,
    Proof,
    RadiusAsked,
    Reason,
    Rejected,
    Relayed,
    Revoked,
)
from aaa.directory import (
    DEFAULT_DEPARTMENT,
    AddressRange,
    Department,
    Directory,
    Pool,
    Source,
    User,
)
from aaa.lockout import Limits, Lock
from aaa.policy import Allowed, Hours, Policy, Span
from aaa.service import Aaa

__all__ = [
    "DEFAULT_DEPARTMENT",
    "Aaa",
    "Accepted",
    "AddressInUse",
    "AddressRange",
    "Allowed",
    "ChangeProof",
    "ClientFacts",
    "Decided",
    "Department",
    "Directory",
    "EapKept",
    "Hours",
    "Lease",
    "Limits",
    "Lock",
    "MsChapError",
    "NoAddress",
    "PasswordChangeRequested",
    "Policy",
    "Pool",
    "PoolExhausted",
    "Proof",
    "RadiusAsked",
    "Reason",
    "Rejected",
    "Relayed",
    "Revoked",
    "Source",
    "Span",
    "User",
]
