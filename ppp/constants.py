"""The numbers of PPP: RFC 1661, 1332, 1334, 1570, 1877, 1994, 2759, 3748, 5072; and RFC 4861."""

from wire import OpenEnum

DEFAULT_MRU = 1500
"""What every end takes that asks for nothing else (RFC 1661 section 6.1)."""

MINIMUM_MRU = 576
"""The smallest MRU that we send to: what every host takes as an IPv4 packet (RFC 791)."""


class Protocol(OpenEnum):
    """PPP Protocol field (RFC 1661 section 2)."""

    IPV4 = 0x0021
    IPV6 = 0x0057
    IPCP = 0x8021
    IPV6CP = 0x8057
    LCP = 0xC021
    PAP = 0xC023
    CHAP = 0xC223
    EAP = 0xC227


class Code(OpenEnum):
    """Codes of LCP and of every NCP (RFC 1661 section 5); from 8 on LCP alone (RFC 1570)."""

    CONFIGURE_REQUEST = 1
    CONFIGURE_ACK = 2
    CONFIGURE_NAK = 3
    CONFIGURE_REJECT = 4
    TERMINATE_REQUEST = 5
    TERMINATE_ACK = 6
    CODE_REJECT = 7
    PROTOCOL_REJECT = 8
    ECHO_REQUEST = 9
    ECHO_REPLY = 10
    DISCARD_REQUEST = 11
    IDENTIFICATION = 12
    TIME_REMAINING = 13


class LcpOption(OpenEnum):
    """LCP Configuration Options (RFC 1661 section 6; ACCM is RFC 1662 section 7.1)."""

    MAXIMUM_RECEIVE_UNIT = 1
    ASYNC_CONTROL_CHARACTER_MAP = 2
    AUTHENTICATION_PROTOCOL = 3
    MAGIC_NUMBER = 5
    PROTOCOL_FIELD_COMPRESSION = 7
    ADDRESS_AND_CONTROL_FIELD_COMPRESSION = 8


class IpcpOption(OpenEnum):
    """IPCP Configuration Options (RFC 1332 section 3, RFC 1877 section 1)."""

    IP_ADDRESS = 3
    PRIMARY_DNS = 129
    PRIMARY_NBNS = 130
    SECONDARY_DNS = 131
    SECONDARY_NBNS = 132


class Ipv6cpOption(OpenEnum):
    """IPV6CP Configuration Options (RFC 5072 section 4)."""

    INTERFACE_IDENTIFIER = 1


class Icmpv6Type(OpenEnum):
    """ICMPv6 messages that concern a link (RFC 4443 section 4, RFC 4861 section 4)."""

    ECHO_REQUEST = 128
    ECHO_REPLY = 129
    ROUTER_SOLICITATION = 133
    ROUTER_ADVERTISEMENT = 134
    NEIGHBOR_SOLICITATION = 135
    NEIGHBOR_ADVERTISEMENT = 136


class NdpOption(OpenEnum):
    """Options of Router Advertisements (RFC 4861 section 4.6, RFC 4191, RFC 8106)."""

    PREFIX_INFORMATION = 3
    MTU = 5
    ROUTE_INFORMATION = 24
    RECURSIVE_DNS_SERVER = 25
    DNS_SEARCH_LIST = 31


class PapCode(OpenEnum):
    """PAP codes (RFC 1334 section 2.2)."""

    AUTHENTICATE_REQUEST = 1
    AUTHENTICATE_ACK = 2
    AUTHENTICATE_NAK = 3


class ChapCode(OpenEnum):
    """CHAP codes (RFC 1994 section 4); the last is MS-CHAPv2's (RFC 2759 section 7)."""

    CHALLENGE = 1
    RESPONSE = 2
    SUCCESS = 3
    FAILURE = 4
    CHANGE_PASSWORD = 7


class ChapAlgorithm(OpenEnum):
    """The Algorithm of CHAP's Authentication-Protocol option (RFC 1994 section 3, RFC 2759)."""

    MD5 = 5
    MS_CHAP_V2 = 0x81


class EapCode(OpenEnum):
    """EAP codes (RFC 3748 section 4)."""

    REQUEST = 1
    RESPONSE = 2
    SUCCESS = 3
    FAILURE = 4


class EapType(OpenEnum):
    """EAP types (RFC 3748 section 5, RFC 5216 section 3.1, draft-kamath-pppext-eap-mschapv2)."""

    IDENTITY = 1
    NOTIFICATION = 2
    NAK = 3
    MD5_CHALLENGE = 4
    TLS = 13
    TTLS = 21
    PEAP = 25
    MS_CHAP_V2 = 26
