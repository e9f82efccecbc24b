"""Users whom a RADIUS server knows: what its answer makes of them here.

The server is believed in who somebody is, but not in everything about addresses: what it grants
must fit into the departments that there are, since the data plane is built on them.
"""

from bisect import bisect_left
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from ipaddress import IPv4Address, IPv4Network
from typing import TypeVar

from aaa.credentials import EAP_TLS
from aaa.decisions import MsChapError, Proof, Reason, Rejected, Relayed
from aaa.directory import MAX_USER_ROUTES, Department, Directory, Source, User
from aaa.policy import Policy
from aaa.radius.access import Authorization

NOTHING = Authorization()

MISFIT = "the address or the networks that RADIUS granted are others' now"

Limit = TypeVar("Limit", int, float)

CHOOSE = "choose another"

NO_HOSTS = tuple(map(IPv4Network, ("0.0.0.0/8", "127.0.0.0/8", "224.0.0.0/3")))

SILENCE = "is it up, and is this server among its clients, with the same secret?"


@dataclass(frozen=True, slots=True)
class Granted:
    """The server lets the peer in; `reply` are the octets of the success message."""

    authorization: Authorization
    reply: bytes


@dataclass(frozen=True, slots=True)
class Denied:
    """`server` refuses, with an E= number of RFC 2759 section 6 and its Reply-Message.

    `is_tacit`: it has no EAP-Failure for a peer that should get one.
    """

    server: str
    error: int = int(MsChapError.AUTHENTICATION_FAILURE)
    message: str = ""
    is_tacit: bool = False


@dataclass(frozen=True, slots=True)
class Malformed:
    """`server` lets the peer in or asks it on, with something that cannot be read."""

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

    A certificate has been verified already, so the directory must say who may in with one. What
    a server has begun to ask by EAP, nobody else can go on with.
    """
    if is_late(proof):
        return True
    department = directory.department_of(name)
    if department is None or proof.method == EAP_TLS:
        return False
    first, *others = department.authenticate
    if first is Source.LOCAL:
        return Source.RADIUS in others and name not in directory.users
    return True


def is_late(proof: Proof | None) -> bool:
    """Say whether a proof is what somebody says to a server that has begun to ask by EAP."""
    return isinstance(proof, Relayed) and not proof.begins


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
    if len(granted.routes) > MAX_USER_ROUTES:
        raise Unusable(f"there are more than {MAX_USER_ROUTES} Framed-Routes: give fewer")
    limit = granted.port_limit
    if limit == 0:
        raise Unusable("Port-Limit is 0, which lets nobody in: give 1 or more, or none")
    user = User(name, address=granted.address, routes=granted.routes)
    why_not = why_not_fitting(user, department, directory)
    if why_not is not None:
        raise Unusable(why_not)
    theirs = replace(
        department,
        dns=granted.dns or department.dns,
        wins=granted.wins or department.wins,
        max_sessions_per_user=department.max_sessions_per_user if limit is None else limit,
    )
    return Guest(user, theirs, granted)


def overridden(policy: Policy, granted: Authorization) -> Policy:
    """Return a department's policy with what a server grants in its place; 0 is no limit."""
    return replace(
        policy,
        session_timeout=_instead(granted.session_timeout, policy.session_timeout) or None,
        idle_timeout=_instead(granted.idle_timeout, policy.idle_timeout) or None,
        rate_up=_instead(granted.rate_up, policy.rate_up) or None,
        rate_down=_instead(granted.rate_down, policy.rate_down) or None,
    )


def changed(granted: Authorization, change: Authorization) -> Authorization:
    """Return what is granted after a change of times and rates; None changes nothing."""
    return replace(
        granted,
        session_timeout=_instead(change.session_timeout, granted.session_timeout),
        idle_timeout=_instead(change.idle_timeout, granted.idle_timeout),
        rate_up=_instead(change.rate_up, granted.rate_up),
        rate_down=_instead(change.rate_down, granted.rate_down),
    )


def _instead(new: Limit | None, old: Limit | None) -> Limit | None:
    return old if new is None else new


def refusal(name: str, answer: Denied | Malformed | Silent) -> Rejected:
    """Return what an answer other than Granted is to the peer and the log."""
    match answer:
        case Denied():
            known = answer.error in set(MsChapError)
            error = MsChapError(answer.error) if known else MsChapError.AUTHENTICATION_FAILURE
            said = f", saying {answer.message!r}" if answer.message else ""
            hint = f"{answer.server} does not let {name!r} in{said}: its log says why"
            why = Reason.RADIUS_REFUSED
            return Rejected(why, "authentication failed", error, hint, answer.is_tacit)
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


def why_not_fitting(user: User, department: Department, directory: Directory) -> str | None:
    """Say why the address or a network of a guest cannot be its, and what to do, or None."""
    if user.address is not None:
        why_not = _why_not_fixed(user.address, user.name, department, directory)
        if why_not is not None:
            return f"Framed-IP-Address {user.address} {why_not}"
    for network in user.routes:
        why_not = _why_not_behind(network, user, directory)
        if why_not is not None:
            return f"Framed-Route {network} {why_not}"
    return overlapping(user, (other for other in directory.routers if other.name != user.name))


def overlapping(user: User, others: Iterable[User]) -> str | None:
    """Say which network of a guest or another user has what of the other's, or None.

    That two have the same address is found when it is leased.
    """
    address = () if user.address is None else (IPv4Network(user.address),)
    for other in others:
        theirs = () if other.address is None else (IPv4Network(other.address),)
        for network in user.routes:
            for taken in other.routes + theirs:
                if network.overlaps(taken):
                    return f"Framed-Route {network} overlaps {taken} of {other.name!r}: {CHOOSE}"
        for network in address:
            for taken in other.routes:
                if network.overlaps(taken):
                    where = f"is in {taken}, a network behind {other.name!r}"
                    return f"Framed-IP-Address {user.address} {where}: {CHOOSE}"
    return None


def _why_not_behind(network: IPv4Network, user: User, directory: Directory) -> str | None:
    """Say why a network cannot be behind a guest, and what to do, or None."""
    if any(network.overlaps(other) for other in NO_HOSTS):
        return "has addresses that no host can have: correct it"
    if sum(network.overlaps(other) for other in user.routes) > 1:
        return f"overlaps another one of the same user: {CHOOSE}"
    for own in directory.own_networks:
        if network.overlaps(own):
            return f"overlaps {own}, a network of this server: {CHOOSE}"
    first, last = network[0], network[-1]
    for department in directory.departments.values():
        if department.gateway in network:
            return f"overlaps the gateway of department {department.name!r}: {CHOOSE}"
        if any(part.first <= last and first <= part.last for part in department.pool.ranges):
            return f"overlaps the pool of department {department.name!r}: {CHOOSE}"
    if user.address is not None and user.address in network:
        return f"has the user's own address {user.address}: {CHOOSE}"
    reserved = directory.reserved
    place = bisect_left(reserved, int(first))
    if place < len(reserved) and reserved[place] <= int(last):
        owner = directory.reservations[reserved[place]]
        return f"overlaps {IPv4Address(reserved[place])} of {owner!r}: {CHOOSE}"
    return None


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
