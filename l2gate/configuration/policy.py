"""The part of a department that is what it allows its users."""

import re
from collections.abc import Iterable, Sequence
from ipaddress import IPv4Address, IPv6Address, ip_network
from itertools import pairwise

from aaa.policy import DAY, DAYS, Allowed, Hours, Policy, Span
from l2gate.configuration import values
from l2gate.configuration.section import Expected, Section

_SPAN = re.compile(r"(?:(\S+) +)?(\d\d?):(\d\d) ?- ?(\d\d?):(\d\d)")

UNITS = {"": 1, "k": 10**3, "M": 10**6, "G": 10**9}
LEAST_RATE, MOST_RATE = 64 * 10**3, 100 * 10**9
MTU = values.number(576, 1500)

PROTOCOLS = ("tcp", "udp", "icmp")
DNS_PORT = 53


def read_policy(section: Section, dns: tuple[IPv4Address | IPv6Address, ...]) -> Policy:
    """Read the keys of a department that are its policy; `dns` are its name servers."""
    allow = tuple(
        allowed for item in section.items("allow") if (allowed := _read_allowed(item)) is not None
    )
    if "allow" in section:
        _warn_of_dns(section, allow, dns)
    spans = section.take_all("hours", _span)
    if section.is_empty("hours"):
        section.error("hours", "is empty, so that nobody could log in: remove it, or give some")
    up, down = _read_rate(section.section("rate"))
    return Policy(
        allow=allow if "allow" in section else None,
        client_to_client=section.take("client_to_client", values.switch, False),
        session_timeout=section.take("session_timeout", _seconds, None),
        idle_timeout=section.take("idle_timeout", _seconds, None),
        hours=Hours(spans) if "hours" in section else None,
        replace_sessions=section.take("sessions", _sessions, False),
        rate_up=up,
        rate_down=down,
        mtu=section.take("mtu", MTU, None),
        proxy_arp=section.take("proxy_arp", values.switch, False),
    )


def _read_rate(section: Section) -> tuple[int | None, int | None]:
    rates = section.take("up", _rate, None), section.take("down", _rate, None)
    section.finish()
    return rates


def _warn_of_dns(
    section: Section, allow: Sequence[Allowed], dns: Iterable[IPv4Address | IPv6Address]
) -> None:
    for server in dns:
        if not any(allowed.admits(ip_network(server), "udp", DNS_PORT) for allowed in allow):
            section.warn(
                "allow",
                f"does not let clients ask {server}, which is in dns: add for example "
                f"'{{to: {server}, proto: udp, ports: [{DNS_PORT}]}}'",
            )


def _read_allowed(section: Section) -> Allowed | None:
    to = section.require("to", values.source_network, "192.168.1.0/24")
    protocol = section.take("proto", _protocol, None)
    ports = section.take_all("ports", _ports)
    section.finish()
    if "ports" in section and "proto" in section and protocol == "icmp":
        section.error("ports", "icmp has none: remove them")
    if "ports" in section and "proto" not in section:
        section.error("ports", "needs 'proto: tcp' or 'proto: udp': give two items for both")
    if section.is_empty("ports"):
        section.error("ports", "is empty: remove it, or give the ports")
    for (_, end), (start, _) in pairwise(sorted(ports)):
        if start <= end:
            section.error("ports", f"port {start} is given twice: remove one of them")
    return None if to is None else Allowed(to, protocol, ports)


def _protocol(text: str) -> str:
    if text not in PROTOCOLS:
        raise Expected("tcp, udp or icmp")
    return text


def _ports(text: str) -> tuple[int, int]:
    first, dash, last = (part.strip() for part in text.partition("-"))
    port = values.number(1, 65535)
    try:
        found = port(first), port(last if dash else first)
    except Expected:
        raise Expected("a port or a range of ports, such as 443 or 8000-8100") from None
    if found[0] > found[1]:
        raise Expected("the lower port before the dash and the higher one behind it")
    return found


def _rate(text: str) -> int:
    found = re.fullmatch(r"([1-9]\d{0,11})([kMG]?)", text)
    rate = int(found[1]) * UNITS[found[2]] if found is not None else 0
    if not LEAST_RATE <= rate <= MOST_RATE:
        raise Expected("bits a second from 64k to 100G, such as 512k or 10M")
    return rate


def _seconds(text: str) -> float:
    return float(values.number(60, 31536000)(text))


def _sessions(text: str) -> bool:
    if text not in ("deny", "replace"):
        raise Expected("deny or replace")
    return text == "replace"


def _span(text: str) -> Span:
    """Return a time of the week: days, a space, from when to when; without days every day."""
    found = _SPAN.fullmatch(text)
    if found is not None:
        days, *times = found.groups()
        hour, minute, end_hour, end_minute = map(int, times)
        start, end = hour * 60 + minute, end_hour * 60 + end_minute
        if minute < 60 and end_minute < 60 and start < DAY and 0 < end <= DAY and start != end:
            return Span(_days(days), start, end % DAY)
    raise Expected("days and a time, such as Mo-Fr 08:00-18:00 or Sa,Su 09:00-24:00")


def _days(text: str | None) -> tuple[int, ...]:
    if text is None:
        return tuple(range(len(DAYS)))
    days: set[int] = set()
    for part in text.split(","):
        first, _, last = part.partition("-")
        try:
            start, end = DAYS.index(first), DAYS.index(last or first)
        except ValueError:
            raise Expected(f"days of {', '.join(DAYS)}, such as Mo-Fr or Sa,Su") from None
        days.update((start + n) % len(DAYS) for n in range((end - start) % len(DAYS) + 1))
    return tuple(sorted(days))


def check_firewall(section: Section, firewall: bool) -> None:
    """Note what has no effect without the firewall."""
    if firewall:
        return
    for key in ("allow", "client_to_client"):
        if key in section:
            section.error(key, "has no effect with 'server.firewall: false': remove one of the two")
