"""L2TPv2 (RFC 2661), both ends, sans-IO: `l2tp.lns.Lns` and `l2tp.lac.Lac`.

From the wire up: header and avp, hiding, attributes, messages; reliable delivers messages;
tunnel_states and session_states are the RFC's tables, tunnel and session what they do; endpoint
finds the tunnel for a datagram. The program needs lns or lac, config, events and constants.
"""
