"""How logins are refused: what the peer is told, and what the log says to do about it."""

from datetime import datetime

from aaa.credentials import CHANGES_PASSWORDS
from aaa.decisions import ChangeProof, MsChapError, Proof, Reason, Rejected
from aaa.directory import Department
from aaa.lockout import Lock

SET_ONE = "set one by 'l2gate user passwd'"

NOT_CHANGED = "the password was not changed"

GUESSES = {
    Reason.UNKNOWN_USER,
    Reason.UNKNOWN_DOMAIN,
    Reason.WRONG_PASSWORD,
    Reason.WRONG_CODE,
    Reason.RADIUS_REFUSED,
}
"""What counts as a wrong password."""

GUESSED = {MsChapError.AUTHENTICATION_FAILURE, MsChapError.CHANGING_PASSWORD}
"""With which numbers it does: a RADIUS server may refuse because of something else."""

LONGEST_PASSWORD = 255
"""Octets in UTF-8, as in a configuration."""


def outside_hours(name: str, department: Department, now: float) -> Rejected | None:
    """Refuse a user outside of the hours of the department."""
    hours = department.policy.hours
    if hours is None or hours.time_left(now) != 0.0:
        return None
    return Rejected(
        Reason.OUTSIDE_HOURS,
        "not at this time",
        MsChapError.RESTRICTED_LOGON_HOURS,
        f"{name!r} may log in at {hours}: change departments.{department.name}.hours, "
        "then reload, if that is too short",
    )


def locked(lock: Lock) -> Rejected:
    """Refuse in the same way whatever the password was."""
    return Rejected(
        Reason.LOCKED,
        "account locked",
        MsChapError.ACCOUNT_DISABLED,
        f"{lock_text(lock)}: wait, or free the user by 'l2gate user unlock'",
    )


def lock_text(lock: Lock) -> str:
    """Say who is locked, and until when."""
    who = repr(lock.user) if lock.user else "everybody"
    where = f" from {lock.host}" if lock.host else ""
    until = datetime.fromtimestamp(lock.until).strftime("%Y-%m-%d %H:%M:%S")
    return f"{who} is locked{where} until {until}"


def failed(reason: Reason, hint: str, proof: Proof) -> Rejected:
    """Refuse in the same words and with the same number, whoever exists or not."""
    if isinstance(proof, ChangeProof):
        return Rejected(reason, NOT_CHANGED, MsChapError.CHANGING_PASSWORD, hint)
    return Rejected(reason, "authentication failed", MsChapError.AUTHENTICATION_FAILURE, hint)


def must_change(name: str, method: str) -> Rejected:
    """Refuse a user whose password has expired."""
    if method in CHANGES_PASSWORDS:
        mend = f"if the client does not ask for a new one, {SET_ONE}"
    else:
        mend = f"{method} cannot do that: log in by MS-CHAPv2, or {SET_ONE}"
    return Rejected(
        Reason.PASSWORD_EXPIRED,
        "password expired",
        MsChapError.PASSWORD_EXPIRED,
        f"{name!r} must change the password: {mend}",
    )


def not_changed(name: str, why: str) -> Rejected:
    """Refuse a new password."""
    return Rejected(
        Reason.PASSWORD_NOT_CHANGED,
        NOT_CHANGED,
        MsChapError.CHANGING_PASSWORD,
        f"the new password of {name!r} was not stored: {why}",
    )


def why_not_a_password(password: str) -> str:
    """Say why this cannot be a password in a configuration, or return nothing."""
    if not password:
        return "it is empty"
    if len(password.encode()) > LONGEST_PASSWORD:
        return f"it has more than {LONGEST_PASSWORD} octets"
    return "" if password.isprintable() else "it has characters that cannot be printed"
