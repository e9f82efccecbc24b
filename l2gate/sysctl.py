"""Kernel settings below /proc/sys/net, changed for a while."""

import logging
from pathlib import Path
from typing import Final

_NET: Final = Path("/proc/sys/net")

_log = logging.getLogger(__name__)


class Sysctls:
    """Changes settings of the network namespace it runs in, and puts them back."""

    def __init__(self, root: Path = _NET) -> None:
        self._root = root
        self._changed: list[tuple[Path, str, str]] = []

    def names(self, pattern: str) -> list[str]:
        """Return the settings that there are, by a pattern such as `ipv6/conf/*/forwarding`."""
        return sorted(str(path.relative_to(self._root)) for path in self._root.glob(pattern))

    def get(self, name: str) -> str:
        """Return the value of a setting. Raises OSError."""
        return (self._root / name).read_text().strip()

    def set(self, name: str, value: str) -> None:
        """Change a setting, such as `ipv4/ip_forward`, if need be. Raises OSError."""
        path = self._root / name
        before = path.read_text().strip()
        if before != value:
            path.write_text(value)
            self._changed.append((path, before, value))

    def try_set(self, name: str, value: str) -> None:
        """Change a setting that the server can do without; a failure is logged."""
        try:
            self.set(name, value)
        except OSError as error:
            _log.warning("sysctl net/%s stays as it is: %s", name, error.strerror)

    def restore(self) -> None:
        """Put back what nobody else has changed since; what went with its device stays gone."""
        while self._changed:
            path, before, value = self._changed.pop()
            try:
                if path.read_text().strip() == value:
                    path.write_text(before)
            except OSError:
                continue
