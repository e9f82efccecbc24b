"""The files of a capture: the packets, and beside them a Wireshark configuration with the keys.

    FILE.pcapng                                     0600
    FILE.pcapng.wireshark/                          0700
        ikev1_decryption_table  esp_sa  preferences 0600

None of them may exist before, so that nothing is overwritten or written through a link.
"""

import os
from base64 import b64decode
from collections.abc import Generator, Iterator, Mapping
from contextlib import ExitStack, suppress
from pathlib import Path
from shlex import quote
from typing import BinaryIO, Final

from l2gate.control import ControlError, Json, ProtocolError
from l2gate.pcapng import header, packet_block
from l2gate.wireshark import PREFERENCES, TABLES

_FLAGS: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


class Recording:
    """The files, open. `packets` and `keys` count what was written."""

    def __init__(self, path: Path) -> None:
        """Make them. Raises OSError, and then has made none."""
        self.path = path
        self.directory = path.with_name(path.name + ".wireshark")
        self.packets = 0
        self.keys = 0
        self._open = ExitStack()
        self._made = ExitStack()
        self._tables: dict[str, BinaryIO] = {}
        try:
            self._capture = self._create(path)
            self.directory.mkdir(mode=0o700)
            self._made.callback(self.directory.rmdir)
            self._write(self._create(self.directory / "preferences"), PREFERENCES.encode())
            for name in TABLES:
                self._tables[name] = self._create(self.directory / name)
            self._write(self._capture, header())
        except OSError:
            self.discard()
            raise

    def add(self, message: Mapping[str, Json]) -> None:
        """Write a packet or a key as the server tells it. Raises OSError and ProtocolError."""
        match message:
            case {"packet": str(octets), "time": float(seconds), "inbound": bool(inbound)}:
                self._write(self._capture, packet_block(b64decode(octets), seconds, inbound))
                self.packets += 1
            case {"table": str(name), "line": str(line)} if name in self._tables:
                self._write(self._tables[name], f"{line}\n".encode())
                self.keys += 1
            case _:
                raise ProtocolError("the server tells something else: is it of another version?")

    def close(self) -> None:
        """Close the files."""
        self._open.close()

    def discard(self) -> None:
        """Close and remove the files, and nothing that was there before."""
        with suppress(OSError):
            self._open.close()
        self._made.close()

    def instructions(self) -> str:
        """Return what to type to read the capture."""
        file, directory = quote(str(self.path)), quote(str(self.directory))
        return (
            f"Read it with Wireshark, or in text:\n"
            f"    WIRESHARK_CONFIG_DIR={directory} wireshark {file}\n"
            f"    WIRESHARK_CONFIG_DIR={directory} tshark -r {file}\n"
            f"Who has both can read all that was said: delete {directory} when you have done."
        )

    def _create(self, path: Path) -> BinaryIO:
        file = self._open.enter_context(os.fdopen(os.open(path, _FLAGS, 0o600), "wb"))
        self._made.callback(path.unlink, missing_ok=True)
        return file

    @staticmethod
    def _write(file: BinaryIO, octets: bytes) -> None:
        file.write(octets)
        file.flush()


def record(path: Path, answer: Generator[dict[str, Json], None, None]) -> Iterator[str]:
    """Write to `path` what a server answers; return the lines for whoever waits for it.

    Raises OSError and ControlError; unless the server has begun, no file is left then.
    """
    recording = Recording(path)
    try:
        watched = next(answer).get("watched")
    except BaseException:
        recording.discard()
        raise
    yield f"recording {watched}; Ctrl-C ends it"
    end: Mapping[str, Json] | None = None
    try:
        end = _add_all(recording, answer)
    except KeyboardInterrupt:
        answer.close()
        end = {"end": "interrupted"}
    finally:
        recording.close()
    if end is None:
        raise ControlError(f"the server is gone; {path} has what it recorded until then")
    yield f"{recording.packets} packets and {recording.keys} keys: {end.get('end')}"
    if left_out := end.get("left_out"):
        yield f"{left_out} packets are missing: they came faster than they were taken"
    yield recording.instructions()


def _add_all(recording: Recording, answer: Iterator[dict[str, Json]]) -> Mapping[str, Json] | None:
    """Write what is recorded; return the last message, or None if it never came."""
    for message in answer:
        if "end" in message:
            return message
        recording.add(message)
    return None
