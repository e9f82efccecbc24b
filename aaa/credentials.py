"""What a user proves to know: a password, of which we may have only a hash, and a one-time code.

What we must have for which method:

                    PAP     MS-CHAPv2   CHAP-MD5    EAP-TLS
    password        yes     yes         yes         yes     a certificate is all the proof
    nt_hash         yes     yes         no          yes     CHAP-MD5 is over the password (RFC 1994)
    argon2          yes     no          no          yes     it needs what was typed
    with a code:
    password        yes     yes         yes         no      the code is typed after a password
    nt_hash         yes     no          no          no      the NT hash is that of both together
    argon2          yes     no          no          no

EAP-MSCHAPv2 is as MS-CHAPv2. Only these two change a password, and not where there is a code:
the client would take both together for the old password.
"""

from collections.abc import Container
from hmac import compare_digest
from typing import Protocol, runtime_checkable

from cryptography.exceptions import InvalidKey
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

from aaa.decisions import Proof
from aaa.directory import User
from aaa.totp import DIGITS, candidates

PAP = "PAP"
EAP_TLS = "EAP-TLS"

CHANGES_PASSWORDS = ("MS-CHAPv2", "EAP-MSCHAPv2")
"""The methods by which a peer can change its password (RFC 2759 section 7)."""


@runtime_checkable
class InClear(Proof, Protocol):
    """A proof that is the password itself, in octets."""

    @property
    def clear_text(self) -> bytes:
        """What the peer sent as its password."""

    def without_end(self, octets: int) -> Proof:
        """Return the proof that is left without the last octets of the password."""


def why_impossible(user: User, method: str) -> str | None:
    """Say why a method cannot serve a user, and what to do, or None if it can."""
    if method == EAP_TLS:
        if user.totp is None:
            return None
        others = PAP if user.password is None else "MS-CHAPv2"
        return f"needs a one-time code, which {method} has not: let the client log in by {others}"
    if user.password is not None or method == PAP:
        return None
    if user.argon2 is not None:
        why, others = f"an argon2 hash, which {method} cannot use", PAP
    elif user.totp is not None:
        why, others = f"an nt_hash, which {method} cannot use with a one-time code", PAP
    elif "MD5" in method:
        why, others = f"an nt_hash, which {method} cannot use", "MS-CHAPv2"
    else:
        return None
    return f"has only {why}: configure a password, or let the client log in by {others}"


class Verifier:
    """Verifies proofs. Remembers the last code of each user that logged in with one."""

    def __init__(self) -> None:
        self._used: dict[str, int] = {}

    def keep(self, users: Container[str]) -> None:
        """Forget the codes of all but these users."""
        self._used = {name: step for name, step in self._used.items() if name in users}

    def verify(self, user: User, proof: Proof, now: float) -> bytes | None:
        """Return the octets of the success message, or None where the proof is wrong.

        A code works once, and none that is older than it (RFC 6238 section 5.2). Costs at most
        three verifications of `proof`, and at most one of an argon2 hash.
        """
        if user.totp is None:
            return _verify(user, proof)
        found = _find_code(user, user.totp, proof, now)
        if found is None or found[0] <= self._used.get(user.name, -1):
            return None
        self._used[user.name] = found[0]
        return found[1]

    def why_wrong(self, user: User, proof: Proof, now: float) -> str | None:
        """Say what is wrong with the code of a proof that failed, or None if it is not that."""
        if user.totp is None:
            return None
        if _find_code(user, user.totp, proof, now) is not None:
            return "the one-time code was used already: wait for the next one"
        if user.argon2 is None and _verify(user, proof) is not None:
            return "the one-time code is missing: type it straight after the password"
        return None


def _find_code(user: User, secret: bytes, proof: Proof, now: float) -> tuple[int, bytes] | None:
    """Return the step of the code in a proof that is right, and the octets of success."""
    for step, code in candidates(secret, now):
        if user.password is not None:
            reply = proof.verify(user.password + code, None)
        elif isinstance(proof, InClear) and compare_digest(
            proof.clear_text[-DIGITS:], code.encode()
        ):
            reply = _verify(user, proof.without_end(DIGITS))
        else:
            continue
        if reply is not None:
            return step, reply
    return None


def _verify(user: User, proof: Proof) -> bytes | None:
    if user.argon2 is None or proof.method == EAP_TLS:
        return proof.verify(user.password, user.nt_hash)
    if not isinstance(proof, InClear):
        return None
    try:
        Argon2id.verify_phc_encoded(proof.clear_text, user.argon2)
    except InvalidKey:
        return None
    return b""
