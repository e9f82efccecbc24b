"""What a single value of the configuration may be: text in, value out, or `Expected`."""

import pwd
import re
from base64 import b32decode
from collections.abc import Callable
from datetime import date
from enum import Enum
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
)
from math import log2
from pathlib import Path
from typing import TypeVar

from aaa import AddressRange
from l2gate.configuration import ipv6
from l2gate.configuration.section import Expected

Choice = TypeVar("Choice", bound=Enum)

SOCKET_PATH_OCTETS = 107
"""The longest path that a Unix socket can have (unix(7), without the closing zero)."""

WEAK_PSK_BITS = 64
"""Below this a pre-shared key is weak: whoever takes part in one main mode can then search for
it offline (CVE-2018-5389)."""

MOST_ARGON2_WORK = 131072
"""KiB times passes of an Argon2id hash; 64 MiB twice takes some 0.2 s."""

_ARGON2 = re.compile(
    r"\$argon2id\$v=19\$m=(?P<memory>[1-9]\d{0,6}),t=(?P<passes>[1-9]\d{0,5}),p=(?P<lanes>[1-9]\d?)"
    r"\$[A-Za-z0-9+/]{11,86}\$[A-Za-z0-9+/]{16,86}"
)
_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?")
_LABEL = r"[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9])?"
_DOMAIN_NAME = re.compile(rf"{_LABEL}(\.{_LABEL})*")
_INTERFACE = re.compile(r"[A-Za-z0-9._-]{1,15}")
_NO_INTERFACES = frozenset({".", "..", "all", "default", "lo"})
"""Directories of /proc/sys/net/ipv4/conf that are no device's, and the loopback."""

PoolPart = tuple[AddressRange, IPv4Network | None]
"""A range of addresses, and the network that it was written as, if it was."""


def one_of(choices: type[Choice]) -> Callable[[str], Choice]:
    """Return a parser for the values of an enum."""

    def parse(text: str) -> Choice:
        try:
            return choices(text)
        except ValueError:
            values = [str(choice.value) for choice in choices]
            raise Expected(f"{', '.join(values[:-1])} or {values[-1]}") from None

    return parse


def number(least: int, most: int) -> Callable[[str], int]:
    """Return a parser for a whole number between two limits, both included."""

    def parse(text: str) -> int:
        if not (text.isascii() and text.isdigit()) or not least <= int(text) <= most:
            raise Expected(f"a whole number from {least} to {most}")
        return int(text)

    return parse


def switch(text: str) -> bool:
    """Return a truth value, in all spellings of YAML 1.1."""
    folded = text.lower()
    if folded in ("true", "yes", "on"):
        return True
    if folded in ("false", "no", "off"):
        return False
    raise Expected("true or false")


def interval(least: int, most: int) -> Callable[[str], float | None]:
    """Return a parser for seconds; `false` is None."""
    seconds = number(least, most)

    def parse(text: str) -> float | None:
        if text.lower() in ("false", "no", "off"):
            return None
        try:
            return float(seconds(text))
        except Expected as error:
            raise Expected(f"{error} (seconds), or false") from None

    return parse


def number_or_off(least: int, most: int) -> Callable[[str], int | None]:
    """Return a parser for a whole number; `false` is None."""
    among = number(least, most)

    def parse(text: str) -> int | None:
        if text.lower() in ("false", "no", "off"):
            return None
        try:
            return among(text)
        except Expected as error:
            raise Expected(f"{error}, or false") from None

    return parse


def host_name(text: str) -> str:
    """Return a name without spaces, of at most 63 octets."""
    if not _NAME.fullmatch(text) or len(text) > 63:
        raise Expected("a name of letters, digits, '.', '-' and '_', such as vpn.example.com")
    return text


def department_name(text: str) -> str:
    """Return the name of a department."""
    if not _NAME.fullmatch(text) or len(text) > 63:
        raise Expected("a department's name of letters, digits, '.', '-' and '_'")
    return text


def domain(text: str) -> str:
    """Return the suffix of login names."""
    if not text or "@" in text or "\\" in text or not text.isprintable() or " " in text:
        raise Expected("what follows the @ in a login name, such as sales.example.com")
    return text


def domain_name(text: str) -> str:
    """Return a domain of DNS: labels of at most 63 octets (RFC 1035 section 2.3.4)."""
    if not _DOMAIN_NAME.fullmatch(text) or len(text) > 253:
        raise Expected("a domain name, such as corp.example.com")
    return text


def interface(text: str) -> str:
    """Return the name of a network interface, of at most 15 octets."""
    if not _INTERFACE.fullmatch(text):
        raise Expected("an interface name of at most 15 letters, digits, '.', '-' and '_'")
    if text in _NO_INTERFACES:
        raise Expected("an interface name that Linux itself has no use for")
    return text


def socket_path(text: str) -> Path:
    """Return where a Unix socket is to be."""
    if not text.startswith("/") or len(text.encode()) > SOCKET_PATH_OCTETS:
        raise Expected(f"an absolute path of at most {SOCKET_PATH_OCTETS} octets")
    return Path(text)


def log_file(text: str) -> Path:
    """Return where a log is to be: a file, or "-" for standard output."""
    if not text.startswith("/") and text != "-":
        raise Expected('an absolute path, or "-" for standard output')
    if Path(text).is_dir():
        raise Expected("a file, not a directory")
    return Path(text)


def system_user(text: str) -> str:
    """Return the name of a user of this system."""
    try:
        if pwd.getpwnam(text).pw_uid:
            return text
    except (KeyError, ValueError):
        pass
    raise Expected("a user of this system other than root ('useradd --system l2gate' makes one)")


def any_address(text: str) -> IPv4Address | IPv6Address:
    """Return an address of this server, the unspecified ones included."""
    try:
        return ip_address(text)
    except ValueError:
        raise Expected('an IPv4 or IPv6 address, such as 192.0.2.1 or "::"') from None


def identity(text: str) -> IPv4Address | IPv6Address | str:
    """Return what the server calls itself in main mode."""
    try:
        return ip_address(text)
    except ValueError:
        if _NAME.fullmatch(text) and len(text) <= 255:
            return text
        raise Expected("an address or a domain name, such as vpn.example.com") from None


def unicast(text: str) -> IPv4Address:
    """Return an IPv4 address that a host can have."""
    try:
        address = IPv4Address(text)
    except ValueError:
        raise Expected("an IPv4 address, such as 172.16.1.1") from None
    if not _only_for_hosts(address, address):
        raise Expected("an IPv4 address that a host can have")
    return address


def any_unicast(text: str) -> IPv4Address | IPv6Address:
    """Return an address of either kind that a host can have."""
    return ipv6.address(text) if ":" in text else unicast(text)


def any_network(text: str) -> IPv4Network | IPv6Network:
    """Return a network, of either kind, of addresses that hosts can have."""
    return ipv6.network(text) if ":" in text else network(text)


def pool_part(text: str) -> PoolPart:
    """Return the addresses of a range, a network or a single address.

    A network stands for its hosts: neither its own address nor its broadcast address.
    """
    first, dash, last = (part.strip() for part in text.partition("-"))
    try:
        if dash:
            part, network = AddressRange(IPv4Address(first), IPv4Address(last)), None
        elif "/" in text:
            network = IPv4Network(text, strict=False)
            inner = 1 if network.prefixlen < 31 else 0
            part = AddressRange(network[inner], network[-1 - inner])
        else:
            part, network = AddressRange(IPv4Address(text), IPv4Address(text)), None
    except ValueError:
        raise Expected(
            "addresses such as 172.16.1.2-172.16.1.100, or a network such as 172.16.9.0/24"
        ) from None
    if network is not None and not text.startswith(f"{network[0]}/"):
        raise Expected(f"a network without host bits, such as {network}")
    if part.first > part.last:
        raise Expected("the lower address before the dash and the higher one behind it")
    if not _only_for_hosts(part.first, part.last):
        raise Expected("addresses that hosts can have")
    return part, network


def network(text: str) -> IPv4Network:
    """Return a network of addresses that hosts can have."""
    try:
        found = IPv4Network(text, strict=False)
    except ValueError:
        raise Expected("a network, such as 192.168.1.0/24") from None
    if text.partition("/")[0] != str(found[0]):
        raise Expected(f"a network without host bits, such as {found}")
    if not _only_for_hosts(found[0], found[-1]):
        raise Expected("a network of addresses that hosts can have")
    return found


def source_network(text: str) -> IPv4Network | IPv6Network:
    """Return a network of any addresses; a single address is one of its own."""
    try:
        found = ip_network(text, strict=False)
    except ValueError:
        raise Expected("a network, such as 203.0.113.0/24 or 2001:db8::/32") from None
    if ip_address(text.partition("/")[0]) != found[0]:
        raise Expected(f"a network without host bits, such as {found}")
    return found


def group_name(text: str) -> str:
    """Return what the clients of a group call themselves in aggressive mode."""
    if not text or text != text.strip() or not text.isprintable() or len(text.encode()) > 255:
        raise Expected("a group's name of 1 to 255 octets without spaces around it")
    return text


def user_name(text: str) -> str:
    """Return a login name; CHAP's Name field holds 255 octets (RFC 1994 section 4.1)."""
    if not text or text != text.strip() or not text.isprintable() or len(text.encode()) > 255:
        raise Expected("a login name of 1 to 255 octets without spaces around it")
    if "\\" in text:
        raise Expected("a login name without a backslash: a Windows domain is no part of it")
    if text.startswith("@") or text.endswith("@"):
        raise Expected("a login name such as bob or bob@sales.example.com")
    return text


def password(text: str) -> str:
    """Return a password of at most 255 octets (PAP's Peer-ID and Password, RFC 1334)."""
    if not text or len(text.encode()) > 255:
        raise Expected("a password of 1 to 255 octets")
    return text


def nt_hash(text: str) -> bytes:
    """Return the 16 octets of an NT password hash (RFC 2759 section 8.3)."""
    if not re.fullmatch(r"[0-9A-Fa-f]{32}", text):
        raise Expected("32 hexadecimal digits")
    return bytes.fromhex(text)


def argon2(text: str) -> str:
    """Return an Argon2id hash in PHC's string format whose verification takes a bounded time."""
    found = _ARGON2.fullmatch(text)
    if found is None:
        raise Expected("an argon2id hash such as $argon2id$v=19$m=19456,t=2,p=1$...$...")
    memory, passes, lanes = (int(found[name]) for name in ("memory", "passes", "lanes"))
    if memory * passes > MOST_ARGON2_WORK:
        raise Expected(
            f"an argon2id hash with m times t of at most {MOST_ARGON2_WORK}: "
            "the server does nothing else while it verifies one"
        )
    if not (passes >= 1 and 1 <= lanes <= 16 and memory >= 8 * lanes):
        raise Expected("an argon2id hash with t of 1 or more, p of 1 to 16, and m of 8 times p")
    return text


def totp(text: str) -> bytes:
    """Return the secret of one-time codes: 10 to 64 octets, as apps take it (RFC 4648 base 32)."""
    letters = text.replace(" ", "").upper().rstrip("=")
    try:
        secret = b32decode(letters + "=" * (-len(letters) % 8))
    except ValueError:
        secret = b""
    if not 10 <= len(secret) <= 64:
        raise Expected("a secret of 16 or more letters A-Z and digits 2-7 (base 32)")
    return secret


def day(text: str) -> date:
    """Return a day."""
    try:
        if len(text) == 10:
            return date.fromisoformat(text)
    except ValueError:
        pass
    raise Expected("a day, such as 2026-12-31")


def shared_secret(text: str) -> bytes:
    """Return the octets of a pre-shared key or tunnel secret."""
    if not text or text != text.strip() or not text.isprintable():
        raise Expected("one line of printable characters without spaces around it")
    return text.encode()


def strength(secret: bytes) -> float:
    """Return how many bits a secret may hold at most, judged by its length and variety."""
    return len(secret) * log2(len(set(secret)))


_NOT_FOR_HOSTS = tuple(
    (int(IPv4Network(network)[0]), int(IPv4Network(network)[-1]))
    for network in ("0.0.0.0/8", "127.0.0.0/8", "224.0.0.0/3")
)


def _only_for_hosts(first: IPv4Address, last: IPv4Address) -> bool:
    low, high = int(first), int(last)
    return not any(low <= end and start <= high for start, end in _NOT_FOR_HOSTS)
