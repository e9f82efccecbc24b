"""One end of a PPP link: LCP, authentication, IPCP, IPV6CP, DHCPINFORM, RA; server or client.

A `Link` takes frames and gives frames and events. It knows no clock and no network.
"""

from ppp.config import Assignment, Credentials, EapMethod, LinkConfig, Method
from ppp.link import Link

__all__ = ["Assignment", "Credentials", "EapMethod", "Link", "LinkConfig", "Method"]
