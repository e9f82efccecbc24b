"""Many peers, one IKE: demultiplexing, limits and the public surface of the package."""

from ipsec.path import Address, Datagram, Path

__all__ = ["Address", "Datagram", "Path"]
