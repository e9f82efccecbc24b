"""Who else is on this machine: read from /proc (proc(5)), for error messages."""

from pathlib import Path
from typing import Final

_TABLES: Final = ("udp", "udp6")


def who_holds_udp_port(port: int, proc: Path = Path("/proc")) -> str | None:
    """Return "charon (process 812)" for the holder of a UDP port, None if it is not to be seen."""
    links = {f"socket:[{inode}]" for table in _TABLES for inode in _inodes(proc, table, port)}
    for process in proc.glob("[0-9]*"):
        try:
            if any(str(fd.readlink()) in links for fd in (process / "fd").iterdir()):
                return f"{(process / 'comm').read_text().strip()} (process {process.name})"
        except OSError:
            continue  # it has ended meanwhile, or is not ours to look at
    return None


def _inodes(proc: Path, table: str, port: int) -> list[str]:
    try:
        rows = (proc / "net" / table).read_text().splitlines()[1:]
    except OSError:
        return []
    fields = [row.split() for row in rows]
    return [row[9] for row in fields if int(row[1].rpartition(":")[2], 16) == port]
