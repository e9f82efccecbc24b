"""The section radius: the servers, accounting, and who may end sessions."""

from ipaddress import IPv4Address, IPv6Address

from aaa.directory import Source
from aaa.radius.client import Server
from aaa.radius.constants import (
    ACCOUNTING_PORT,
    AUTHENTICATION_PORT,
    DYNAMIC_AUTHORIZATION_PORT,
)
from l2gate.configuration import values
from l2gate.configuration.departments import Entry
from l2gate.configuration.model import (
    AuthenticationMethod,
    DynamicClient,
    DynamicSettings,
    EapMethod,
    PppSettings,
    RadiusSettings,
)
from l2gate.configuration.section import Expected, Section
from l2gate.configuration.sections import read_secret

PORT = values.number(1, 65535)
EXAMPLE = "{address: 192.0.2.10, secret_file: radius-secret}"
EVERYWHERE = IPv4Address("0.0.0.0")
WEAK_SECRET_BITS = 64
"""Whoever records one packet can search for a secret of fewer bits: MD5 is fast."""


def read_radius(section: Section, server: str) -> RadiusSettings:
    """Read `radius`. `server` is this server's name."""
    pairs = [_read_server(item) for item in section.require_items("servers", EXAMPLE)]
    timeout = section.take("timeout", values.number(3, 60), 9)
    dead_time = section.take("dead_time", values.number(1, 3600), 60)
    nas_identifier = section.take("nas_identifier", values.host_name, server)
    accounting = section.take("accounting", values.switch, True)
    interim_interval = section.take("interim_interval", values.interval(60, 86400), 600.0)
    relay_eap = section.take("relay_eap", values.switch, False)
    dynamic_section = section.section("dynamic_authorization")
    dynamic = _read_dynamic(dynamic_section) if "dynamic_authorization" in section else None
    section.finish()
    usable = [pair for pair in pairs if pair is not None]
    addresses = [str(access) for access, _ in usable]
    for address in sorted({address for address in addresses if addresses.count(address) > 1}):
        section.error("servers", f"{address} is given twice: remove one of them")
    return RadiusSettings(
        tuple(access for access, _ in usable),
        tuple(account for _, account in usable) if accounting else (),
        float(timeout),
        float(dead_time),
        nas_identifier,
        interim_interval,
        dynamic,
        relay_eap,
    )


def check_sources(section: Section, radius: RadiusSettings | None, entries: list[Entry]) -> None:
    """Note departments that ask RADIUS servers which there are not, and servers nobody asks."""
    asking = [entry for entry in entries if asks_radius(entry)]
    if radius is None:
        for entry in asking:
            entry.section.error(
                "authenticate", "needs the section 'radius': add it, or remove 'radius' here"
            )
    elif not asking and not radius.accounting_servers and radius.dynamic is None:
        section.warn(
            None,
            "has no effect: add 'radius' to 'authenticate' of a department, or 'accounting: true'",
        )


def check_eap(
    section: Section,
    ppp_section: Section,
    radius: RadiusSettings | None,
    ppp: PppSettings,
    entries: list[Entry],
    has_users: bool,
) -> None:
    """Note to whom EAP is of no use; `has_users`: there are some in the configuration."""
    sources = [entry.department.authenticate for entry in entries if entry.department is not None]
    is_asked = any(Source.RADIUS in source for source in sources)
    relays = radius is not None and radius.relay_eap
    if relays and AuthenticationMethod.EAP not in ppp.authentication:
        section.warn("relay_eap", "has no effect: add 'eap' to ppp.authentication")
    elif relays and not is_asked:
        section.warn("relay_eap", "has no effect: add 'radius' to 'authenticate' of a department")
    elif relays and "eap" in ppp_section and not any(Source.LOCAL in each for each in sources):
        ppp_section.warn(
            "eap", "has no effect: with radius.relay_eap it is the RADIUS servers who speak EAP"
        )
    elif (
        not relays
        and is_asked
        and AuthenticationMethod.EAP in ppp.authentication
        and ppp.eap_methods == (EapMethod.TLS,)
        and (not has_users or len(ppp.authentication) == 1)
    ):
        ppp_section.warn(
            "eap",
            "users whom RADIUS servers know cannot log in by it: set 'relay_eap: true' in the "
            "section radius, or add 'mschapv2' to ppp.eap.methods",
        )


def asks_radius(entry: Entry) -> bool:
    """Say whether the users of a department may be RADIUS servers'."""
    return entry.department is not None and Source.RADIUS in entry.department.authenticate


def _read_server(section: Section) -> tuple[Server, Server] | None:
    """Read an item of `servers`: the server for logins, and the one for accounting."""
    address = section.require("address", _machine, "192.0.2.10")
    if address is not None:
        section.path = f"{section.path}[{address}]"
    port = section.take("port", PORT, AUTHENTICATION_PORT)
    accounting_port = section.take("accounting_port", PORT, ACCOUNTING_PORT)
    secret = _checked(section, read_secret(section, "secret"))
    demanded = section.take("require_message_authenticator", values.switch, True)
    section.finish()
    if port == accounting_port:
        section.error("accounting_port", "is the port of the logins too: choose another")
    if not demanded:
        section.warn(
            "require_message_authenticator",
            "without it, who sits on the way to the server can let anybody in (CVE-2024-3596): "
            "update the server instead",
        )
    if address is None or secret is None:
        return None
    host = str(address)
    return Server(host, port, secret, demanded), Server(host, accounting_port, secret, demanded)


def _read_dynamic(section: Section) -> DynamicSettings:
    """Read `dynamic_authorization`: who may end sessions."""
    listen = section.take("listen", values.any_address, EVERYWHERE)
    port = section.take("port", PORT, DYNAMIC_AUTHORIZATION_PORT)
    clients = [_read_client(item) for item in section.require_items("clients", EXAMPLE)]
    section.finish()
    known = [client for client in clients if client is not None]
    hosts = [client.host for client in known]
    for host in hosts:
        if (":" in host) != (listen.version == 6):
            section.error(
                "listen", f"{listen} cannot be reached from {host}: give an address of its kind"
            )
    if len(set(hosts)) < len(hosts):
        section.error("clients", "the same address is given twice: remove one of them")
    return DynamicSettings(listen, port, tuple(known))


def _read_client(section: Section) -> DynamicClient | None:
    """Read an item of `clients`."""
    address: IPv4Address | IPv6Address | None = section.require("address", _machine, "192.0.2.10")
    if address is not None:
        section.path = f"{section.path}[{address}]"
    secret = _checked(section, read_secret(section, "secret"))
    section.finish()
    return None if address is None or secret is None else DynamicClient(str(address), secret)


def _machine(text: str) -> IPv4Address | IPv6Address:
    """Return the address of a machine, which may be this one."""
    address = values.any_address(text)
    if address.is_unspecified or address.is_multicast:
        raise Expected("the address of a machine, such as 192.0.2.10")
    return address


def _checked(section: Section, secret: bytes | None) -> bytes | None:
    """Note what is wrong or unwise about the secret that is shared with somebody."""
    given = "secret" if "secret" in section else "secret_file"
    if given not in section:
        section.error(None, "secret_file is missing: add for example 'secret_file: radius-secret'")
    elif secret is not None and values.strength(secret) < WEAK_SECRET_BITS:
        section.warn(
            given,
            "the secret is weak: whoever records one packet can search for it; 24 random "
            "characters are safe",
        )
    return secret
