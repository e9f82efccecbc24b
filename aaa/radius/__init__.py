"""RADIUS: authentication, accounting and dynamic authorization, without I/O.

packet.py      packets and what protects them           RFC 2865 section 3, RFC 3579
client.py      requests until a server answers          RFC 2865 section 2, RFC 5080
access.py      logins: what is asked, what is granted   RFC 2865 section 5, RFC 2548
eap.py         logins whose proof passes through       RFC 3579
accounting.py  reports of sessions                      RFC 2866, RFC 2869
dynamic.py     a server ends or changes a session       RFC 5176
"""
