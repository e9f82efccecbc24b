"""A call as the program sees it, and as ICRQ and ICCN say it (RFC 2661 sections 6.6 and 6.8)."""

from dataclasses import fields

from l2tp.constants import ProxyAuthenType
from l2tp.events import Call, Proxy
from l2tp.messages import Iccn, Icrq
from l2tp.text import printable


def call_of(request: Icrq, connected: Iccn) -> Call:
    """Return what the peer said about a call."""
    return Call(
        serial_number=request.call_serial_number,
        tx_speed=connected.tx_connect_speed,
        rx_speed=connected.rx_connect_speed or connected.tx_connect_speed,
        framing_type=connected.framing_type,
        bearer_type=request.bearer_type or 0,
        calling_number=printable(request.calling_number),
        called_number=printable(request.called_number),
        sub_address=printable(request.sub_address),
        physical_channel=request.physical_channel_id,
        private_group=printable(connected.private_group_id),
    )


def proxy_of(connected: Iccn) -> Proxy | None:
    """Return what the LAC negotiated beforehand, or None if it said nothing about it."""
    kind = connected.proxy_authen_type
    proxy = Proxy(
        initial_received_confreq=connected.initial_received_lcp_confreq,
        last_sent_confreq=connected.last_sent_lcp_confreq,
        last_received_confreq=connected.last_received_lcp_confreq,
        authen_type=None if kind is None else ProxyAuthenType(kind),
        authen_name=connected.proxy_authen_name,
        authen_challenge=connected.proxy_authen_challenge,
        authen_id=connected.proxy_authen_id,
        authen_response=connected.proxy_authen_response,
    )
    said = any(getattr(proxy, field.name) is not None for field in fields(proxy))
    return proxy if said else None


def request_of(call: Call, session_id: int) -> Icrq:
    """Return the ICRQ that announces a call."""
    return Icrq(
        assigned_session_id=session_id,
        call_serial_number=call.serial_number,
        bearer_type=call.bearer_type,
        physical_channel_id=call.physical_channel,
        calling_number=_text(call.calling_number),
        called_number=_text(call.called_number),
        sub_address=_text(call.sub_address),
    )


def connected_of(call: Call, proxy: Proxy | None, sequencing: bool) -> Iccn:
    """Return the ICCN that says that a call is connected."""
    proxy = proxy or Proxy()
    return Iccn(
        tx_connect_speed=call.tx_speed,
        framing_type=call.framing_type,
        initial_received_lcp_confreq=proxy.initial_received_confreq,
        last_sent_lcp_confreq=proxy.last_sent_confreq,
        last_received_lcp_confreq=proxy.last_received_confreq,
        proxy_authen_type=proxy.authen_type,
        proxy_authen_name=proxy.authen_name,
        proxy_authen_challenge=proxy.authen_challenge,
        proxy_authen_id=proxy.authen_id,
        proxy_authen_response=proxy.authen_response,
        private_group_id=_text(call.private_group),
        rx_connect_speed=None if call.rx_speed == call.tx_speed else call.rx_speed,
        sequencing_required=sequencing,
    )


def _text(text: str) -> bytes | None:
    return text.encode() or None
