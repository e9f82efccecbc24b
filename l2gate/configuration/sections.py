"""The sections server, ipsec, l2tp, ppp and lockout: which keys there are, and their defaults.

Every key is described in docs/configuration.md; a test compares the two.
"""

from collections.abc import Iterable
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path
from typing import TYPE_CHECKING

from aaa import Limits
from aaa.directory import DEFAULT_INTERFACE
from l2gate.configuration import values
from l2gate.configuration.eap import read_eap
from l2gate.configuration.files import read_secret_file
from l2gate.configuration.model import (
    AuthenticationMethod,
    IpsecSettings,
    KeySettings,
    L2tpSettings,
    PppSettings,
    Proposals,
    ServerSettings,
)
from l2gate.configuration.problems import Place
from l2gate.configuration.section import Section

if TYPE_CHECKING:
    from ipsec.credentials import Calendar

EVERYWHERE = (IPv4Address("0.0.0.0"), IPv6Address("::"))
DEFAULT_NAME = "l2gate"
CONTROL_SOCKET = Path("/run/l2gate/control.sock")

MRU = values.number(576, 1500)
"""Between what every IPv4 host must take (RFC 791) and what an Ethernet carries."""


def read_server(section: Section) -> ServerSettings:
    """Read `server`."""
    settings = ServerSettings(
        name=section.take("name", values.host_name, DEFAULT_NAME),
        listen=section.take_all("listen", values.any_address) or EVERYWHERE,
        tun=section.take("tun", values.interface, DEFAULT_INTERFACE),
        control_socket=section.take("control_socket", values.socket_path, CONTROL_SOCKET),
        max_sessions=section.take("max_sessions", values.number(1, 32768), 4096),
        event_log=section.take("event_log", values.log_file, None),
        firewall=section.take("firewall", values.switch, True),
        user=section.take("user", values.system_user, None),
    )
    section.finish()
    if len(set(settings.listen)) < len(settings.listen):
        section.error("listen", "the same address is given twice: remove one of them")
    return settings


def read_ipsec(section: Section, server: str, calendar: "Calendar") -> IpsecSettings | None:
    """Read `ipsec`; None where there is neither a usable pre-shared key nor a certificate.

    `server` is the server's name, which clients may look for in its certificate.
    """
    psk = read_secret(section, "psk")
    psk_next = read_secret(section, "psk_next")
    keys = _read_keys(section.items("keys"), psk, psk_next)
    certificate = section.take("certificate", Path, None)
    private_key = section.take("private_key", Path, None)
    client_ca = section.take_all("client_ca", Path)
    crl = section.take_all("crl", Path)
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
    credentials = None
    if certificate is not None:
        # Only who has certificates waits for the libraries that read them.
        from l2gate.configuration.certificates import read_credentials, warn_of_names

        credentials = read_credentials(section, certificate, private_key, client_ca, crl, calendar)
        if credentials is not None:
            warn_of_names(section, credentials, server, identity)
    for key in ("private_key", "client_ca", "crl"):
        if key in section and certificate is None:
            section.error(key, "has no effect without 'certificate': add that, or remove this")
    _check_psk(section, psk, psk_next)
    if psk is None and not keys and credentials is None:
        if certificate is None and "psk" not in section and "psk_file" not in section:
            section.error(None, "psk_file is missing: add for example 'psk_file: psk'")
        return None
    return IpsecSettings(
        psk,
        proposals,
        identity,
        force_encapsulation,
        dpd_interval,
        max_half_open,
        psk_next,
        keys,
        credentials,
    )


def _read_keys(
    items: Iterable[Section], psk: bytes | None, psk_next: bytes | None
) -> tuple[KeySettings, ...]:
    """Read `keys`: pre-shared keys for networks and groups, beside the common ones."""
    keys: list[KeySettings] = []
    places: dict[str, Place] = {}
    common = {secret for secret in (psk, psk_next) if secret is not None}
    for item in items:
        key = _read_key(item)
        if key is None:
            continue
        if str(key) in places:
            whose = "from" if key.group is None else "group"
            item.error(whose, f"is in {places[str(key)]} already: keep one of them")
        places[str(key)] = item.place()
        if key.group is not None and key.psk in common | {other.psk for other in keys}:
            given = "psk" if "psk" in item else "psk_file"
            item.error(given, "is the key of others too: a group needs one of its own")
        keys.append(key)
    return tuple(keys)


def _read_key(section: Section) -> KeySettings | None:
    """Read an item of `keys`; None where it has no usable key or nobody to have it."""
    network = section.take("from", values.source_network, None)
    group = section.take("group", values.group_name, None)
    if network is not None or group is not None:
        section.path = f"{section.path}[{group or network}]"
    psk = read_secret(section, "psk")
    psk_next = read_secret(section, "psk_next")
    section.finish()
    if "from" in section and "group" in section:
        section.error("group", "is given beside from: aggressive mode goes by the group alone")
    if "from" not in section and "group" not in section:
        section.error(None, "needs whose key it is: add 'from: NETWORK' or 'group: NAME'")
    if "psk" not in section and "psk_file" not in section:
        section.error(None, "psk_file is missing: add for example 'psk_file: psk-branch'")
    _check_psk(section, psk, psk_next)
    if group is not None:
        given = "psk_next" if "psk_next" in section else "psk_next_file"
        if given in section:
            section.error(
                given,
                "a group has one key, as aggressive mode uses it before the client has shown "
                "which one it has: make another group for the new key",
            )
        section.warn(
            "group",
            "aggressive mode sends whoever can name the group a hash, to search for its key "
            "offline (CVE-2002-1623): an auditor will find it; use main mode if the clients can, "
            "which is an empty group name there",
        )
    if psk is None or (network is None and group is None):
        return None
    return KeySettings(psk, psk_next, network, group)


def _check_psk(section: Section, psk: bytes | None, psk_next: bytes | None) -> None:
    """Note what is wrong or unwise about the pre-shared keys of a section."""
    for key, secret in (("psk", psk), ("psk_next", psk_next)):
        if secret is None:
            continue
        given = key if key in section else f"{key}_file"
        if values.strength(secret) < values.WEAK_PSK_BITS:
            section.warn(
                given,
                "the pre-shared key is weak: whoever takes part in one handshake can search for "
                "it offline (CVE-2018-5389); 24 random characters are safe",
            )
        if not secret.isascii():
            section.warn(
                given,
                "the pre-shared key has characters outside ASCII, which some clients encode "
                "otherwise",
            )
    given = "psk_next" if "psk_next" in section else "psk_next_file"
    if given in section and "psk" not in section and "psk_file" not in section:
        section.error(given, "is the key after psk, and there is none: call it psk")
    elif psk_next is not None and psk_next == psk:
        section.error(given, "is the same key as psk: remove it, or give the new key")


def read_l2tp(section: Section) -> L2tpSettings:
    """Read `l2tp`."""
    tunnel_name = section.take("tunnel_name", values.host_name, "LNS")
    authenticated = section.take("tunnel_authentication", values.switch, False)
    secret = read_secret(section, "secret")
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


def read_lockout(section: Section) -> Limits | None:
    """Read `lockout`; None where nobody is to be locked."""
    attempts = section.take("attempts", values.number_or_off(2, 1000), 5)
    window = section.take("window", values.number(10, 86400), 600)
    duration = section.take("duration", values.number(1, 86400), 900)
    section.finish()
    return None if attempts is None else Limits(attempts, float(window), float(duration))


def read_secret(section: Section, key: str) -> bytes | None:
    """Read a secret that is given as `key`, or as the file `key`_file."""
    secret = section.take(key, values.shared_secret, None)
    file = section.take(f"{key}_file", Path, None)
    if key in section and f"{key}_file" in section:
        section.error(f"{key}_file", f"is given beside {key}: remove one of them")
    if file is not None:
        secret = read_secret_file(section, f"{key}_file", file)
    return secret
