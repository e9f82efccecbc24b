"""Running the program as somebody who is not root, wherever it and its Python are installed."""

import shutil
import stat
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.program import ROOT


def readable_by_all(directory: Path) -> list[str]:
    """Return the command before a command that lets everybody read the program.

    In its own mount namespace, whatever home of somebody the program may be in. `directory` is
    any that may be written to.
    """
    places = {Path(place).resolve() for place in (sys.prefix, sys.base_prefix, ROOT)}
    closed = {
        parent
        for place in places
        for parent in [*place.parents][::-1]
        if not parent.stat().st_mode & stat.S_IXOTH
    }
    outermost = [each for each in closed if not closed.intersection(each.parents)]
    hidden = [place for place in sorted(places) if closed.intersection(place.parents)]
    lines = ["set -e"]
    for number, place in enumerate(hidden):
        lines.append(f"mkdir -p {directory}/{number} && mount --rbind {place} {directory}/{number}")
    lines += (f"mount -t tmpfs -o mode=755 tmpfs {place}" for place in outermost)
    for number, place in enumerate(hidden):
        lines.append(f"mkdir -p {place} && mount --rbind {directory}/{number} {place}")
    lines.append(f'cd {ROOT} && exec "$@"')
    return ["unshare", "--mount", "sh", "-c", "\n".join(lines), "sh"]


@contextmanager
def open_directory() -> Iterator[Path]:
    """A directory that everybody can look into, as pytest's are not."""
    directory = Path(tempfile.mkdtemp())
    directory.chmod(0o755)
    try:
        yield directory
    finally:
        shutil.rmtree(directory)
