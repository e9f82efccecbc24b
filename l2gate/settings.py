"""What each core is told, from the configuration."""

from collections.abc import Mapping
from ipaddress import IPv4Address, IPv6Address, ip_address

from ipsec.authentication import BY_CERTIFICATE
from ipsec.config import IkeConfig, PresharedKey, PresharedKeys
from ipsec.constants import IdType
from ipsec.payloads import Identification
from ipsec.policy import LAB, POLICIES
from l2gate.configuration.eap import tls_context
from l2gate.configuration.model import (
    AuthenticationMethod,
    Configuration,
    EapMethod,
    IpsecSettings,
)
from l2tp.config import L2tpConfig
from ppp import config as ppp_config
from ppp.config import LinkConfig, Method

METHODS = {
    AuthenticationMethod.MS_CHAPV2: Method.MS_CHAP_V2,
    AuthenticationMethod.CHAP_MD5: Method.CHAP_MD5,
    AuthenticationMethod.PAP: Method.PAP,
    AuthenticationMethod.EAP: Method.EAP,
}

EAP_METHODS = {
    EapMethod.TLS: ppp_config.EapMethod.TLS,
    EapMethod.MSCHAPV2: ppp_config.EapMethod.MS_CHAP_V2,
}


def ike_config(configuration: Configuration) -> IkeConfig:
    """Return the settings of IKE."""
    ipsec = configuration.ipsec
    return IkeConfig(
        preshared_keys=_preshared_keys(ipsec),
        groups=_groups(ipsec),
        policy=POLICIES.get(ipsec.proposals.value, LAB),
        identity=_identification(ipsec),
        force_encapsulation=ipsec.force_encapsulation,
        dpd_interval=ipsec.dpd_interval,
        half_open_limit=ipsec.max_half_open,
        peer_limit=configuration.server.max_sessions,
        credentials=ipsec.credentials,
    )


def lns_config(configuration: Configuration) -> L2tpConfig:
    """Return the settings of the LNS."""
    l2tp = configuration.l2tp
    return L2tpConfig(
        host_name=l2tp.tunnel_name,
        secret=l2tp.secret,
        require_authentication=l2tp.secret is not None,
        hello_interval=l2tp.hello_interval,
        max_tunnels=configuration.server.max_sessions,
        max_sessions=configuration.server.max_sessions,
    )


def link_config(configuration: Configuration) -> LinkConfig:
    """Return the settings of each PPP link."""
    ppp, radius = configuration.ppp, configuration.radius
    return LinkConfig(
        methods=tuple(METHODS[method] for method in ppp.authentication),
        eap_methods=tuple(EAP_METHODS[method] for method in ppp.eap_methods),
        relay_eap=radius is not None and radius.relay_eap,
        tls=tls_context(ppp.certificates) if ppp.certificates else None,
        authentication_attempts=ppp.authentication_attempts,
        name=configuration.l2tp.tunnel_name,
        mru=ppp.mru,
    )


def key_names(ipsec: IpsecSettings) -> list[str]:
    """Return the names of all pre-shared keys in the order of the configuration, then the
    certificates' one.
    """
    keys = _in_force(ipsec.psk, ipsec.psk_next, "")
    for entry in ipsec.keys:
        keys += _in_force(entry.psk, entry.psk_next, f" {entry}")
    names = [key.name for key in keys]
    return names if ipsec.credentials is None else [*names, BY_CERTIFICATE]


def _preshared_keys(ipsec: IpsecSettings) -> PresharedKeys:
    """Return what finds the keys of the smallest network that an address is in, else the common."""
    common = _in_force(ipsec.psk, ipsec.psk_next, "")
    networks = [
        (entry.network, _in_force(entry.psk, entry.psk_next, f" {entry}"))
        for entry in ipsec.keys
        if entry.network is not None
    ]
    networks.sort(key=lambda found: found[0].prefixlen, reverse=True)

    def find(host: str) -> list[PresharedKey]:
        address = ip_address(host)
        return next((keys for network, keys in networks if address in network), common)

    return find


def _in_force(psk: bytes | None, psk_next: bytes | None, whose: str) -> list[PresharedKey]:
    named = (("psk", psk), ("psk_next", psk_next))
    return [PresharedKey(secret, f"{key}{whose}") for key, secret in named if secret is not None]


def _groups(ipsec: IpsecSettings) -> Mapping[bytes, PresharedKey]:
    return {
        entry.group.encode(): PresharedKey(entry.psk, f"psk {entry}")
        for entry in ipsec.keys
        if entry.group is not None
    }


def _identification(ipsec: IpsecSettings) -> Identification | None:
    identity = ipsec.identity
    if identity is None:
        return None
    if isinstance(identity, IPv4Address | IPv6Address):
        return Identification.of_address(str(identity))
    return Identification(IdType.FQDN, 0, 0, identity.encode())
