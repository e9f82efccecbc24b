"""The sections server, ipsec, l2tp and ppp: which keys there are, and their defaults.

Every key is described in docs/configuration.md; a test compares the two.
"""

from ipaddress import IPv4Address, IPv6Address
from pathlib import Path

from l2gate.configuration import values
from l2gate.configuration.eap import read_eap
from l2gate.configuration.files import read_secret_file
from l2gate.configuration.model import (
    AuthenticationMethod,
    IpsecSettings,
    L2tpSettings,
    PppSettings,
    Proposals,
    ServerSettings,
)
from l2gate.configuration.section import Section

EVERYWHERE = (IPv4Address("0.0.0.0"), IPv6Address("::"))
CONTROL_SOCKET = Path("/run/l2gate/control.sock")

MRU = values.number(576, 1500)
"""Between what every IPv4 host must take (RFC 791) and what an Ethernet carries."""


def read_server(section: Section) -> ServerSettings:
    """Read `server`."""
    settings = ServerSettings(
        name=section.take("name", values.host_name, "l2gate"),
        listen=section.take_all("listen", values.any_address) or EVERYWHERE,
        tun=section.take("tun", values.interface, "l2gate0"),
        control_socket=section.take("control_socket", values.socket_path, CONTROL_SOCKET),
        max_sessions=section.take("max_sessions", values.number(1, 32768), 4096),
    )
    section.finish()
    if len(set(settings.listen)) < len(settings.listen):
        section.error("listen", "the same address is given twice: remove one of them")
    return settings


def read_ipsec(section: Section) -> IpsecSettings | None:
    """Read `ipsec`; None where there is no usable pre-shared key."""
    psk = _read_secret(section, "psk")
    proposals = section.take("proposals", values.one_of(Proposals), Proposals.DEFAULT)
    identity = section.take("identity", values.identity, None)
    force_encapsulation = section.take("force_encapsulation", values.switch, False)
    dpd_interval = section.take("dpd_interval", values.interval(5, 3600), 30.0)
    max_half_open = section.take("max_half_open", values.number(1, 65535), 256)
    section.finish()
    if proposals is Proposals.LAB:
        section.warn(
            "proposals",
            "lab accepts DES and no encryption at all: for testing clients, never for users",
        )
    if psk is None:
        if "psk" not in section and "psk_file" not in section:
            section.error(None, "psk_file is missing: add for example 'psk_file: psk'")
        return None
    if values.strength(psk) < values.WEAK_PSK_BITS:
        section.warn(
            "psk" if "psk" in section else "psk_file",
            "the pre-shared key is weak: whoever takes part in one handshake can search for it "
            "offline (CVE-2018-5389); 24 random characters are safe",
        )
    if not psk.isascii():
        section.warn(
            "psk" if "psk" in section else "psk_file",
            "the pre-shared key has characters outside ASCII, which some clients encode otherwise",
        )
    return IpsecSettings(psk, proposals, identity, force_encapsulation, dpd_interval, max_half_open)


def read_l2tp(section: Section) -> L2tpSettings:
    """Read `l2tp`."""
    tunnel_name = section.take("tunnel_name", values.host_name, "LNS")
    authenticated = section.take("tunnel_authentication", values.switch, False)
    secret = _read_secret(section, "secret")
    hello_interval = float(section.take("hello_interval", values.number(10, 3600), 60))
    section.finish()
    given = "secret" if "secret" in section else "secret_file"
    if authenticated and given not in section:
        section.error(
            "tunnel_authentication",
            "needs a secret: add for example 'secret_file: tunnel-secret'",
        )
    if not authenticated and given in section:
        section.error(
            given, "has no effect without 'tunnel_authentication: true': add that, or remove this"
        )
    return L2tpSettings(tunnel_name, secret, hello_interval)


def read_ppp(section: Section) -> PppSettings:
    """Read `ppp`."""
    methods = section.take_all("authentication", values.one_of(AuthenticationMethod)) or (
        AuthenticationMethod.MS_CHAPV2,
    )
    eap_methods, certificates = read_eap(section.section("eap"))
    settings = PppSettings(
        authentication=methods,
        authentication_attempts=section.take("authentication_attempts", values.number(1, 10), 3),
        mru=section.take("mru", MRU, 1400),
        mtu=section.take("mtu", MRU, 1400),
        eap_methods=eap_methods,
        certificates=certificates,
    )
    section.finish()
    if len(set(methods)) < len(methods):
        section.error("authentication", "a method is given twice: remove one of them")
    if "eap" in section and AuthenticationMethod.EAP not in methods:
        section.error(
            "eap", "has no effect: add 'eap' to ppp.authentication, or remove this section"
        )
    return settings


def _read_secret(section: Section, key: str) -> bytes | None:
    """Read a secret that is given as `key`, or as the file `key`_file."""
    secret = section.take(key, values.shared_secret, None)
    file = section.take(f"{key}_file", Path, None)
    if key in section and f"{key}_file" in section:
        section.error(f"{key}_file", f"is given beside {key}: remove one of them")
    if file is not None:
        secret = read_secret_file(section, f"{key}_file", file)
    return secret
