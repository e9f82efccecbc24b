"""Wireshark's view of a capture, decrypted with a client's own keys."""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from tests.interop.lab import run

_ENCRYPTION = {
    "cbc(aes)": "AES-CBC [RFC3602]",
    "cbc(des3_ede)": "TripleDES-CBC [RFC2451]",
    "rfc4106(gcm(aes))": "AES-GCM with 16 octet ICV [RFC4106]",
}
_AUTHENTICATION = {
    "hmac(sha1)": "HMAC-SHA-1-96 [RFC2404]",
    "hmac(sha256)": "HMAC-SHA-256-128 [RFC4868]",
    "hmac(md5)": "HMAC-MD5-96 [RFC2403]",
}


def fields(
    capture: Path, what: str, names: Sequence[str], esp_keys: str = "", ike_log: str = ""
) -> list[list[str]]:
    """Dissect `capture` and return the fields `names` of the packets that the filter `what` wants.

    `esp_keys` is what `ip xfrm state` says, `ike_log` strongSwan's log of IKE at level 4; without
    them ESP and the encrypted messages of IKE stay closed.
    """
    command = ["tshark", "-r", str(capture), "-Y", what, "-T", "fields"]
    for name in names:
        command += ["-e", name]
    for preference in (*_esp_preferences(esp_keys), *_ike_preferences(capture, ike_log)):
        command += ["-o", preference]
    printed = run(*command, timeout=60)
    return [line.split("\t") for line in printed.splitlines()]


def _esp_preferences(esp_keys: str) -> Iterator[str]:
    yield "esp.enable_encryption_decode:TRUE"
    yield "esp.enable_authentication_check:TRUE"
    for state in re.split(r"^src ", esp_keys, flags=re.MULTILINE)[1:]:
        spi = re.search(r"spi (\S+)", state)
        cipher = re.search(r"(?:enc|aead) (\S+) (\S+)", state)
        digest = re.search(r"auth(?:-trunc)? (\S+) (\S+)", state)
        if spi and cipher:
            encryption = f'"{_ENCRYPTION[cipher[1]]}","{cipher[2]}"'
            authentication = (
                f'"{_AUTHENTICATION[digest[1]]}","{digest[2]}"' if digest else '"NULL",""'
            )
            yield f'uat:esp_sa:"IPv4","*","*","{spi[1]}",{encryption},{authentication}'


def _ike_preferences(capture: Path, ike_log: str) -> Iterator[str]:
    dumps = re.findall(r"encryption key Ka => .*\n((?:.*\d+: (?:[0-9A-F]{2} )+.*\n)+)", ike_log)
    for cookie, dump in zip(_initiator_cookies(capture) if dumps else [], dumps, strict=True):
        rows = re.findall(r"\d+: ((?:[0-9A-F]{2} )+)", dump)
        key = "".join(rows).replace(" ", "").lower()
        yield f"uat:ikev1_decryption_table:{cookie},{key}"


def _initiator_cookies(capture: Path) -> list[str]:
    """The initiator's cookies of all main modes in a capture, in the order of their start."""
    seen = fields(capture, "isakmp.exchangetype == 2", ["isakmp.ispi"])
    return list(dict.fromkeys(cookie for (cookie,) in seen))
