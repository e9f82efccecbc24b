"""Becoming another user, with the few rights of root that the server goes on to need.

Python has no calls for capabilities(7), and what there is elsewhere must be compiled; four of
prctl(2) and capset(2) do. The order matters: the bounding set is reduced while CAP_SETPCAP is
there, the permitted set outlives the change of the user by PR_SET_KEEPCAPS, and the ambient set,
which is for programs that are run, can only hold what is inheritable.

All of this holds for one thread, and for those that it begins later; so there must be no other.
"""

import ctypes
import grp
import os
import pwd
from collections.abc import Iterator
from contextlib import contextmanager
from enum import IntEnum
from pathlib import Path
from struct import Struct
from typing import Final, NamedTuple

# From <linux/prctl.h> and <linux/capability.h>.
_PR_SET_KEEPCAPS: Final = 8
_PR_CAPBSET_READ: Final = 23
_PR_CAPBSET_DROP: Final = 24
_PR_SET_NO_NEW_PRIVS: Final = 38
_PR_CAP_AMBIENT: Final = 47
_PR_CAP_AMBIENT_RAISE: Final = 2
_VERSION_3: Final = 0x20080522
_HEADER: Final = Struct("=Ii")
_SETS: Final = Struct("=6I")
"""Effective, permitted and inheritable: first the lower halves, then the upper ones."""

_LARGEST: Final = 63
"""No capability can have a greater number."""

_libc = ctypes.CDLL(None, use_errno=True)


class Capability(IntEnum):
    """What the server keeps: all sockets of IP protocol 50 are open by then (CAP_NET_RAW)."""

    NET_BIND_SERVICE = 10
    NET_ADMIN = 12


class PrivilegeError(Exception):
    """The user cannot be changed; the text says why and what to do."""


class SystemUser(NamedTuple):
    """A user of this system with all its groups; `gid` is the first of them."""

    name: str
    uid: int
    gid: int
    groups: tuple[int, ...]

    @classmethod
    def named(cls, name: str) -> "SystemUser":
        """Return who has a name. Raises PrivilegeError."""
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            raise PrivilegeError(f"there is no user {name!r} on this system") from None
        groups = tuple(os.getgrouplist(name, entry.pw_gid))
        return cls(name, entry.pw_uid, entry.pw_gid, groups)

    @property
    def group(self) -> str:
        """The name of the first group, or its number where it has no name."""
        try:
            return grp.getgrgid(self.gid).gr_name
        except KeyError:
            return str(self.gid)


def may_become(user: SystemUser) -> bool:
    """Say whether the program is this user already, or root."""
    return os.geteuid() in (0, user.uid)


@contextmanager
def as_user(user: SystemUser) -> Iterator[None]:
    """Look at the system with a user's eyes for a while, as root. Raises PrivilegeError.

    The whole process does, so nothing else may go on meanwhile.
    """
    if os.geteuid() == user.uid:
        yield
        return
    uid, gid, groups = os.geteuid(), os.getegid(), os.getgroups()
    try:
        os.setgroups(user.groups)
        os.setegid(user.gid)
        os.seteuid(user.uid)
    except OSError as error:
        raise _refused(user, error) from error
    try:
        yield
    finally:
        os.seteuid(uid)
        os.setegid(gid)
        os.setgroups(groups)


def become(user: SystemUser) -> None:
    """Be a user from now on, for good, and keep the capabilities of `Capability` alone.

    Programs that are run have the same. Does nothing where the program is this user already.
    Raises PrivilegeError, after which the program must end.
    """
    if os.geteuid() == user.uid:
        return
    if len(os.listdir("/proc/self/task")) > 1:
        raise PrivilegeError("a thread has begun already, which would stay root")
    try:
        for number in range(_LARGEST + 1):
            if number not in tuple(Capability) and _has_in_bounding_set(number):
                _prctl(_PR_CAPBSET_DROP, number)
        _prctl(_PR_SET_KEEPCAPS, 1)
        os.setgroups(user.groups)
        os.setresgid(user.gid, user.gid, user.gid)
        os.setresuid(user.uid, user.uid, user.uid)
        _prctl(_PR_SET_KEEPCAPS, 0)
        _capset(sum(1 << capability for capability in Capability))
        for capability in Capability:
            _prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_RAISE, capability)
        _prctl(_PR_SET_NO_NEW_PRIVS, 1)
    except OSError as error:
        raise _refused(user, error) from error


def give_directory(directory: Path, mode: int, user: SystemUser) -> None:
    """Make a directory that belongs to a user; one that there is stays as it is.

    What has taken its place meanwhile is not given away. Raises OSError.
    """
    try:
        directory.mkdir(mode=mode)
    except FileExistsError:
        return
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        os.fchown(descriptor, user.uid, user.gid)
    finally:
        os.close(descriptor)


def _refused(user: SystemUser, error: OSError) -> PrivilegeError:
    kept = ", ".join(f"CAP_{capability.name}" for capability in Capability)
    return PrivilegeError(
        f"cannot become the user {user.name} of server.user: {error.strerror} ({error.filename}; "
        f"start as root, with CAP_SETUID, CAP_SETGID, CAP_SETPCAP, {kept}, or as this user)"
    )


def _has_in_bounding_set(capability: int) -> bool:
    """Say whether a capability is in it; the kernel refuses numbers that it does not know."""
    return bool(_libc.prctl(_PR_CAPBSET_READ, ctypes.c_ulong(capability), *_zeros(3)) == 1)


def _prctl(option: int, *arguments: int) -> None:
    given = map(ctypes.c_ulong, arguments)
    if _libc.prctl(option, *given, *_zeros(4 - len(arguments))) < 0:
        raise _error("prctl")


def _zeros(count: int) -> list[ctypes.c_ulong]:
    return [ctypes.c_ulong(0)] * count


def _capset(capabilities: int) -> None:
    """Have these as the effective, the permitted and the inheritable set."""
    sets = _SETS.pack(*[capabilities & 0xFFFFFFFF] * 3, *[capabilities >> 32] * 3)
    if _libc.capset(_HEADER.pack(_VERSION_3, 0), sets) < 0:
        raise _error("capset")


def _error(call: str) -> OSError:
    number = ctypes.get_errno()
    return OSError(number, os.strerror(number), call)
