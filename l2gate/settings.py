"""What each core is told, from the configuration."""

from ipaddress import IPv4Address, IPv6Address

from ipsec.config import IkeConfig
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
    keys = (ipsec.psk,)
    return IkeConfig(
        preshared_keys=lambda host: keys,
        policy=POLICIES.get(ipsec.proposals.value, LAB),
        identity=_identification(ipsec),
        force_encapsulation=ipsec.force_encapsulation,
        dpd_interval=ipsec.dpd_interval,
        half_open_limit=ipsec.max_half_open,
        peer_limit=configuration.server.max_sessions,
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
    ppp = configuration.ppp
    return LinkConfig(
        methods=tuple(METHODS[method] for method in ppp.authentication),
        eap_methods=tuple(EAP_METHODS[method] for method in ppp.eap_methods),
        tls=tls_context(ppp.certificates) if ppp.certificates else None,
        authentication_attempts=ppp.authentication_attempts,
        name=configuration.l2tp.tunnel_name,
        mru=ppp.mru,
    )


def _identification(ipsec: IpsecSettings) -> Identification | None:
    identity = ipsec.identity
    if identity is None:
        return None
    if isinstance(identity, IPv4Address | IPv6Address):
        return Identification.of_address(str(identity))
    return Identification(IdType.FQDN, 0, 0, identity.encode())
