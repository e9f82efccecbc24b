"""Users whom a RADIUS server knows: what its answer makes of them here.

The server is believed in who somebody is, but not in everything about addresses: what it grants
must fit into the departments that there are, since the data plane is built on them.
"""

from dataclasses import dataclass, field, replace
from ipaddress import IPv4Address

from aaa.credentials import EAP_TLS
from aaa.decisions import MsChapError, Proof, Reason, Rejected
from aaa.directory import Department, Directory, Source, User
from aaa.radius.access import Authorization

SILENCE = "is it up, and is this server among its clients, with the same secret?"


@dataclass(frozen=True, slots=True)
class Granted:
    """The server lets the peer in; `reply` are the octets of the success message."""

    authorization: Authorization
    reply: bytes


@dataclass(frozen=True, slots=True)
class Denied:
    """`server` refuses, with an E= number of RFC 2759 section 6 and its Reply-Message."""

    server: str
    error: int = int(MsChapError.AUTHENTICATION_FAILURE)
    message: str = ""


@dataclass(frozen=True, slots=True)
class Malformed:
    """`server` lets the peer in, with something that cannot be read."""

    server: str
    why: str


@dataclass(frozen=True, slots=True)
class Silent:
    """No server has answered; `asked` says which ones, and what is known about that."""

    asked: str


Answer = Granted | Denied | Malformed | Silent


class Unusable(Exception):  # noqa: N818 (an answer, not a fault of the program)
    """What a server grants does not fit here; the text says why, and what to do."""


@dataclass(frozen=True, slots=True)
class Guest:
    """A user made of an answer, the department with what the server changes of it."""

    user: User
    department: Department
    authorization: Authorization = field(compare=False)


def is_asked(name: str, proof: Proof, directory: Directory) -> bool:
    """Say whether RADIUS servers decide about a login first.

    A certificate has been verified already, so the directory must say who may in with one.
    """
    department = directory.department_of(name)
    if department is None or proof.method == EAP_TLS:
        return False
    first, *others = department.authenticate
    if first is Source.LOCAL:
        return Source.RADIUS in others and name not in directory.users
    return True


def guest(name: str, granted: Authorization, directory: Directory) -> Guest:
    """Return who somebody is that a server lets in. Raises Unusable."""
    department = directory.department_of(name)
    if granted.pool is not None:
        department = directory.departments.get(granted.pool)
        if department is None:
            known = ", ".join(directory.departments)
            raise Unusable(
                f"Framed-Pool is {granted.pool!r}, which is no department: let it be one of {known}"
            )
    if department is None:
        raise Unusable("its department was removed: add it, then reload")
    if granted.address is not None:
        why_not = _why_not_fixed(granted.address, name, department, directory)
        if why_not is not None:
            raise Unusable(f"Framed-IP-Address {granted.address} {why_not}")
    limit = granted.port_limit
    changed = replace(
        department,
        dns=granted.dns or department.dns,
        wins=granted.wins or department.wins,
        max_sessions_per_user=department.max_sessions_per_user if limit is None else limit,
    )
    return Guest(User(name, address=granted.address), changed, granted)


def refusal(name: str, answer: Denied | Malformed | Silent) -> Rejected:
    """Return what an answer other than Granted is to the peer and the log."""
    match answer:
        case Denied():
            known = answer.error in set(MsChapError)
            error = MsChapError(answer.error) if known else MsChapError.AUTHENTICATION_FAILURE
            said = f", saying {answer.message!r}" if answer.message else ""
            hint = f"{answer.server} does not let {name!r} in{said}: its log says why"
            return Rejected(Reason.RADIUS_REFUSED, "authentication failed", error, hint)
        case Malformed():
            return unusable(f"{answer.server} sends a malformed attribute: {answer.why}")
        case Silent():
            return Rejected(
                Reason.RADIUS_SILENT,
                "the login cannot be verified now, please try later",
                MsChapError.RESTRICTED_LOGON_HOURS,
                f"{answer.asked}: {SILENCE}",
            )


def unusable(hint: str) -> Rejected:
    """Refuse a peer that a server lets in with what does not fit here."""
    return Rejected(
        Reason.RADIUS_UNUSABLE,
        "the login is right, but not what it grants: please call your administrator",
        MsChapError.NO_DIALIN_PERMISSION,
        hint,
    )


def _why_not_fixed(
    address: IPv4Address, name: str, department: Department, directory: Directory
) -> str | None:
    """Say why a user of a department cannot have an address, and what to do, or None."""
    if address.is_multicast or address.is_loopback or address.is_unspecified or address.is_reserved:
        return "is no address of a host: correct it"
    owner = directory.reservations.get(int(address), name)
    if owner != name:
        return f"belongs to {owner!r} in the configuration: choose another"
    for other in directory.departments.values():
        if address == other.gateway:
            return f"is the gateway of department {other.name!r}: choose another"
        if address in other.pool:
            if other.name == department.name:
                return None
            return (
                f"is in the pool of department {other.name!r}, and the user is in "
                f"{department.name!r}: choose another"
            )
    for network in directory.own_networks:
        if address in network:
            return f"is in {network}, a network of this server: choose another"
    return None
