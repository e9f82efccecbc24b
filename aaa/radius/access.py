"""What is asked in an Access-Request, and what an Access-Accept allows.

RFC 2865 section 5, RFC 2548 section 2 (MS-CHAPv2), RFC 2868 (tunnels), RFC 2869, and the
vendors' attributes for rates that servers are configured with: those of WISPr and of MikroTik.
"""

import re
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, ip_address
from typing import Final

from aaa.radius.constants import (
    FRAMED_PPP,
    MEDIUM_IPV4,
    MEDIUM_IPV6,
    MICROSOFT,
    NAS_PORT_VIRTUAL,
    SERVICE_FRAMED,
    TUNNEL_L2TP,
    AttributeType,
    MicrosoftType,
)
from aaa.radius.packet import MAX_VALUE_LENGTH, Attribute, Attributes
from wire import DecodeError

ANY_ADDRESS: Final = frozenset({IPv4Address("255.255.255.254"), IPv4Address("255.255.255.255")})
"""In Framed-IP-Address: choose one from the pool (RFC 2865 section 5.8); or let the user choose,
which nobody may here."""

MAX_CLASSES: Final = 2048
"""Octets of all Class attributes, which fit into each Accounting-Request beside all else."""

WISPR, MIKROTIK = 14122, 14988
WISPR_UP, WISPR_DOWN, MIKROTIK_RATE_LIMIT = 7, 8, 8
RATES: Final = {WISPR: {WISPR_UP, WISPR_DOWN}, MIKROTIK: {MIKROTIK_RATE_LIMIT}}
"""The attributes that are rates, by vendor."""

UNITS: Final = {"": 1, "k": 1000, "m": 1000_000, "g": 1000_000_000}
AUTHENTICATION_FAILURE: Final = 691


@dataclass(frozen=True, slots=True)
class Nas:
    """Who we are to the server."""

    identifier: str


@dataclass(frozen=True, slots=True)
class Port:
    """Where a user comes in: the session's number and id, and both ends of the tunnel.

    `client` and `server` are outer addresses as text, `host_name` is what the client's L2TP
    calls itself.
    """

    number: int
    session_id: str
    client: str
    server: str
    host_name: str = ""


@dataclass(frozen=True, slots=True)
class Authorization:
    """What a server grants to a session; None or empty where it says nothing.

    Times are in seconds, rates in bits per second (`rate_up` is what the client sends).
    `classes` are octets that only the server understands, and has back in accounting.
    """

    address: IPv4Address | None = None
    pool: str | None = None
    routes: tuple[IPv4Network, ...] = ()
    filter_id: str | None = None
    classes: tuple[bytes, ...] = ()
    session_timeout: int | None = None
    idle_timeout: int | None = None
    interim_interval: int | None = None
    port_limit: int | None = None
    dns: tuple[IPv4Address, ...] = ()
    wins: tuple[IPv4Address, ...] = ()
    rate_up: int | None = None
    rate_down: int | None = None


def session_attributes(nas: Nas, port: Port, user: str | bytes) -> list[Attribute]:
    """Return what every Access-Request and Accounting-Request of a session says of it.

    With EAP the octets of `user` are those of the identity (RFC 3579 section 2.1).
    """
    name = user.encode() if isinstance(user, str) else user
    medium = MEDIUM_IPV6 if isinstance(ip_address(port.client), IPv6Address) else MEDIUM_IPV4
    attributes = [
        Attribute(AttributeType.USER_NAME, name[:MAX_VALUE_LENGTH]),
        Attribute.text(AttributeType.NAS_IDENTIFIER, nas.identifier),
        Attribute.number(AttributeType.NAS_PORT, port.number),
        Attribute.number(AttributeType.NAS_PORT_TYPE, NAS_PORT_VIRTUAL),
        Attribute.number(AttributeType.SERVICE_TYPE, SERVICE_FRAMED),
        Attribute.number(AttributeType.FRAMED_PROTOCOL, FRAMED_PPP),
        Attribute.text(AttributeType.CALLED_STATION_ID, port.server),
        Attribute.text(AttributeType.CALLING_STATION_ID, port.client),
        Attribute.text(AttributeType.ACCT_SESSION_ID, port.session_id),
        Attribute.number(AttributeType.TUNNEL_TYPE, TUNNEL_L2TP),
        Attribute.number(AttributeType.TUNNEL_MEDIUM_TYPE, medium),
        Attribute.text(AttributeType.TUNNEL_CLIENT_ENDPOINT, port.client),
        Attribute.text(AttributeType.TUNNEL_SERVER_ENDPOINT, port.server),
    ]
    if port.host_name:
        attributes.append(Attribute.text(AttributeType.TUNNEL_CLIENT_AUTH_ID, port.host_name))
    return attributes


def pap(password: bytes) -> list[Attribute]:
    """Return the proof of a PAP login; the client hides the password on its way."""
    return [Attribute(AttributeType.USER_PASSWORD, password)]


def chap_md5(identifier: int, challenge: bytes, response: bytes) -> list[Attribute]:
    """Return the proof of a CHAP login (RFC 2865 section 5.3)."""
    return [
        Attribute(AttributeType.CHAP_PASSWORD, bytes([identifier]) + response),
        Attribute(AttributeType.CHAP_CHALLENGE, challenge),
    ]


def ms_chap_v2(
    identifier: int, challenge: bytes, peer_challenge: bytes, nt_response: bytes
) -> list[Attribute]:
    """Return the proof of an MS-CHAPv2 login (RFC 2548 section 2.3.2)."""
    value = bytes([identifier, 0]) + peer_challenge + bytes(8) + nt_response
    return [
        Attribute.of_vendor(MICROSOFT, MicrosoftType.CHAP_CHALLENGE, challenge),
        Attribute.of_vendor(MICROSOFT, MicrosoftType.CHAP2_RESPONSE, value),
    ]


def eap(message: bytes, state: bytes | None) -> list[Attribute]:
    """Return an EAP packet (RFC 3579 section 3.1) and the server's State from before."""
    starts = range(0, len(message), MAX_VALUE_LENGTH)
    pieces = [message[start : start + MAX_VALUE_LENGTH] for start in starts]
    attributes = [Attribute(AttributeType.EAP_MESSAGE, piece) for piece in pieces]
    if state is not None:
        attributes.append(Attribute(AttributeType.STATE, state))
    return attributes


def authorization(attributes: Attributes) -> Authorization:
    """Read an Access-Accept or a CoA-Request. Raises DecodeError where a value is malformed."""
    microsoft = dict(attributes.of_vendor(MICROSOFT))
    rate_up, rate_down = _rates(attributes)
    address = attributes.address(AttributeType.FRAMED_IP_ADDRESS)
    return Authorization(
        address=None if address in ANY_ADDRESS else address,
        pool=attributes.text(AttributeType.FRAMED_POOL),
        routes=tuple(map(_route, attributes.texts(AttributeType.FRAMED_ROUTE))),
        filter_id=attributes.text(AttributeType.FILTER_ID),
        classes=_classes(attributes),
        session_timeout=attributes.number(AttributeType.SESSION_TIMEOUT),
        idle_timeout=attributes.number(AttributeType.IDLE_TIMEOUT),
        interim_interval=attributes.number(AttributeType.ACCT_INTERIM_INTERVAL),
        port_limit=attributes.number(AttributeType.PORT_LIMIT),
        dns=_addresses(
            microsoft, MicrosoftType.PRIMARY_DNS_SERVER, MicrosoftType.SECONDARY_DNS_SERVER
        ),
        wins=_addresses(
            microsoft, MicrosoftType.PRIMARY_NBNS_SERVER, MicrosoftType.SECONDARY_NBNS_SERVER
        ),
        rate_up=rate_up,
        rate_down=rate_down,
    )


def ms_chap_v2_success(attributes: Attributes) -> bytes | None:
    """Return the text "S=..." for the peer (RFC 2548 section 2.3.3), or None."""
    value = dict(attributes.of_vendor(MICROSOFT)).get(MicrosoftType.CHAP2_SUCCESS)
    return None if value is None else value[1:]


def ms_chap_error(attributes: Attributes) -> int:
    """Return the E= number of a refusal (RFC 2548 section 2.1.5); 691 if there is none."""
    value = dict(attributes.of_vendor(MICROSOFT)).get(MicrosoftType.CHAP_ERROR, b"")
    found = re.search(rb"E=(\d{1,10})", value)
    return int(found[1]) if found else AUTHENTICATION_FAILURE


def _classes(attributes: Attributes) -> tuple[bytes, ...]:
    classes = tuple(attributes.all(AttributeType.CLASS))
    size = sum(2 + len(value) for value in classes)
    if size > MAX_CLASSES:
        raise DecodeError(f"Class of {size} octets, more than {MAX_CLASSES}")
    return classes


def _addresses(values: dict[int, bytes], *kinds: MicrosoftType) -> tuple[IPv4Address, ...]:
    found = []
    for kind in kinds:
        value = values.get(kind)
        if value is None:
            continue
        if len(value) != 4:
            raise DecodeError(f"{kind} of {len(value)} octets")
        found.append(IPv4Address(value))
    return tuple(found)


def _route(text: str) -> IPv4Network:
    """Read the first word of a Framed-Route (RFC 2865 section 5.22).

    The gateway and metrics behind it say nothing here: the way to the user is the session.
    Without a length the network is that of the address's class.
    """
    try:
        address, slash, length = text.split()[0].partition("/")
        first = int(IPv4Address(address)) >> 24
        by_class = 8 if first < 128 else 16 if first < 192 else 24
        return IPv4Network((address, int(length) if slash else by_class), strict=False)
    except (ValueError, IndexError) as error:
        raise DecodeError(f"Framed-Route {text!r}") from error


def has_only_rates(value: bytes) -> bool:
    """Say whether a Vendor-Specific attribute has rates and nothing else."""
    one = Attributes([Attribute(AttributeType.VENDOR_SPECIFIC, value)])
    return any(
        bool(found := dict(one.of_vendor(vendor))) and found.keys() <= rates
        for vendor, rates in RATES.items()
    )


def _wispr_rate(value: bytes | None) -> int | None:
    if value is not None and len(value) != 4:
        raise DecodeError(f"a rate of WISPr of {len(value)} octets")
    return None if value is None else int.from_bytes(value, "big")


def _rates(attributes: Attributes) -> tuple[int | None, int | None]:
    """Return the rates up and down, in bits per second."""
    wispr = dict(attributes.of_vendor(WISPR))
    up, down = (_wispr_rate(wispr.get(kind)) for kind in (WISPR_UP, WISPR_DOWN))
    mikrotik = dict(attributes.of_vendor(MIKROTIK)).get(MIKROTIK_RATE_LIMIT)
    if mikrotik is None:
        return up, down
    # "rx/tx ...", of the router: what it receives is what the client sends; one value is both.
    text = mikrotik.decode(errors="replace")
    found = re.match(r"(\d{1,12})([kmg]?)(?:/(\d{1,12})([kmg]?))?(?:\s|$)", text, re.IGNORECASE)
    if found is None:
        raise DecodeError(f"Mikrotik-Rate-Limit {text!r}")
    number, unit, other, other_unit = found.groups()
    first = int(number) * UNITS[unit.lower()]
    second = first if other is None else int(other) * UNITS[other_unit.lower()]
    return first, second
