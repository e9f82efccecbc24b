"""The numbers of L2TPv2: RFC 2661 sections 3.2 and 4.4, RFC 3145 section 2."""

from wire import OpenEnum

PORT = 1701
"""The UDP port of an LNS (RFC 2661 section 8.1)."""

VERSION = 2
"""Ver in the header of every message (RFC 2661 section 3.1); 1 is L2F."""

PROTOCOL_VERSION = 0x0100
"""Version 1, revision 0 in the Protocol Version AVP (RFC 2661 section 4.4.3)."""

DEFAULT_RECEIVE_WINDOW = 4
"""What a peer that sends no Receive Window Size AVP is assumed to have (section 4.4.3)."""

FRAMING_ASYNC_AND_SYNC = 3
"""Both bits of Framing Capabilities and Framing Type (section 4.4.3)."""


class MessageType(OpenEnum):
    """Control message types (RFC 2661 section 3.2)."""

    SCCRQ = 1
    SCCRP = 2
    SCCCN = 3
    StopCCN = 4
    HELLO = 6
    OCRQ = 7
    OCRP = 8
    OCCN = 9
    ICRQ = 10
    ICRP = 11
    ICCN = 12
    CDN = 14
    WEN = 15
    SLI = 16


class AttributeType(OpenEnum):
    """Attribute types of vendor 0 (RFC 2661 section 4.4; 46 is RFC 3145)."""

    MESSAGE_TYPE = 0
    RESULT_CODE = 1
    PROTOCOL_VERSION = 2
    FRAMING_CAPABILITIES = 3
    BEARER_CAPABILITIES = 4
    TIE_BREAKER = 5
    FIRMWARE_REVISION = 6
    HOST_NAME = 7
    VENDOR_NAME = 8
    ASSIGNED_TUNNEL_ID = 9
    RECEIVE_WINDOW_SIZE = 10
    CHALLENGE = 11
    Q931_CAUSE_CODE = 12
    CHALLENGE_RESPONSE = 13
    ASSIGNED_SESSION_ID = 14
    CALL_SERIAL_NUMBER = 15
    MINIMUM_BPS = 16
    MAXIMUM_BPS = 17
    BEARER_TYPE = 18
    FRAMING_TYPE = 19
    CALLED_NUMBER = 21
    CALLING_NUMBER = 22
    SUB_ADDRESS = 23
    TX_CONNECT_SPEED = 24
    PHYSICAL_CHANNEL_ID = 25
    INITIAL_RECEIVED_LCP_CONFREQ = 26
    LAST_SENT_LCP_CONFREQ = 27
    LAST_RECEIVED_LCP_CONFREQ = 28
    PROXY_AUTHEN_TYPE = 29
    PROXY_AUTHEN_NAME = 30
    PROXY_AUTHEN_CHALLENGE = 31
    PROXY_AUTHEN_ID = 32
    PROXY_AUTHEN_RESPONSE = 33
    CALL_ERRORS = 34
    ACCM = 35
    RANDOM_VECTOR = 36
    PRIVATE_GROUP_ID = 37
    RX_CONNECT_SPEED = 38
    SEQUENCING_REQUIRED = 39
    PPP_DISCONNECT_CAUSE = 46


class StopResult(OpenEnum):
    """Result Codes of StopCCN (RFC 2661 section 4.4.2)."""

    GENERAL_REQUEST = 1
    GENERAL_ERROR = 2
    ALREADY_EXISTS = 3
    NOT_AUTHORIZED = 4
    VERSION_NOT_SUPPORTED = 5
    SHUTTING_DOWN = 6
    STATE_MACHINE_ERROR = 7


class CallResult(OpenEnum):
    """Result Codes of CDN (RFC 2661 section 4.4.2)."""

    LOSS_OF_CARRIER = 1
    GENERAL_ERROR = 2
    ADMINISTRATIVE = 3
    NO_FACILITIES_NOW = 4
    NO_FACILITIES = 5
    INVALID_DESTINATION = 6
    NO_CARRIER = 7
    BUSY = 8
    NO_DIAL_TONE = 9
    TIMED_OUT = 10
    NO_FRAMING = 11


class ErrorCode(OpenEnum):
    """General Error Codes, beside result GENERAL_ERROR (RFC 2661 section 4.4.2)."""

    NONE = 0
    NO_CONTROL_CONNECTION = 1
    WRONG_LENGTH = 2
    OUT_OF_RANGE = 3
    NO_RESOURCES = 4
    INVALID_SESSION_ID = 5
    VENDOR_SPECIFIC = 6
    TRY_ANOTHER = 7
    UNKNOWN_MANDATORY_AVP = 8


class ProxyAuthenType(OpenEnum):
    """How a LAC authenticated the user already (RFC 2661 section 4.4.5)."""

    TEXTUAL = 1
    CHAP = 2
    PAP = 3
    NONE = 4
    MSCHAPV1 = 5
