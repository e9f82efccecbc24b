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


def run(command: str) -> str:
    """Run a command in the current namespace; return what it prints."""
    return subprocess.run(command.split(), check=True, capture_output=True, text=True).stdout


def _current() -> int:
    return os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)


def _enter(fd: int) -> None:
    if _libc.setns(fd, _CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "setns")
