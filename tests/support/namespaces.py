"""Network namespaces of a test's own (root only), which vanish with the test."""

import ctypes
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

from tests.support.prerequisites import need

_CLONE_NEWNET = 0x40000000
_libc = ctypes.CDLL(None, use_errno=True)


class Namespace:
    """A network namespace with its loopback up; `with` it, the calling thread is inside."""

    def __init__(self) -> None:
        need("network namespaces are for root" if os.geteuid() else "")
        outside = _current()
        if _libc.unshare(_CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), "unshare")
        self.fd = _current()
        self._outside: list[int] = []
        run("ip link set lo up")
        _enter(outside)
        os.close(outside)

    def __enter__(self) -> "Namespace":
        self._outside.append(_current())
        _enter(self.fd)
        return self

    def __exit__(self, *_: object) -> None:
        outside = self._outside.pop()
        _enter(outside)
        os.close(outside)

    @property
    def path(self) -> str:
        """What `ip link set netns` takes."""
        return f"/proc/{os.getpid()}/fd/{self.fd}"

    def close(self) -> None:
        os.close(self.fd)


@contextmanager
def new_namespace() -> Iterator[Namespace]:
    """A namespace for the time of a test, which is not inside of it yet."""
    namespace = Namespace()
    try:
        yield namespace
    finally:
        namespace.close()


@contextmanager
def lan_of_server(server: str, host: str) -> Iterator[Namespace]:
    """The test itself runs as the server; yields the one host of its network.

    `server` and `host` are their addresses with prefix length; the host's default route is to
    the server.
    """
    nodad = ("", " nodad")[":" in server]
    with new_namespace() as inside, new_namespace() as outside, inside:
        run("ip link add name inside type veth peer name host")
        run(f"ip link set host netns {outside.path}")
        run(f"ip addr add {server} dev inside{nodad}")
        run("ip link set inside up")
        gateway, address = server.partition("/")[0], host.partition("/")[0]
        with outside:
            run(f"ip addr add {host} dev host{nodad}")
            run("ip link set host up")
            run(f"ip route add default via {gateway}")
        assert "inside" in run("ip link show"), "not in the server's namespace"
        run(f"ping -q -c 1 -w 10 {address}")  # until the two have found each other
        yield outside


@contextmanager
def inside(name: str) -> Iterator[None]:
    """Let the calling thread, and what it starts, be in a namespace that `ip netns` has made."""
    outside, there = _current(), os.open(f"/run/netns/{name}", os.O_RDONLY | os.O_CLOEXEC)
    try:
        _enter(there)
        yield
    finally:
        _enter(outside)
        os.close(there)
        os.close(outside)


def run(command: str) -> str:
    """Run a command in the current namespace; return what it prints."""
    return subprocess.run(command.split(), check=True, capture_output=True, text=True).stdout


def _current() -> int:
    return os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)


def _enter(fd: int) -> None:
    if _libc.setns(fd, _CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "setns")
