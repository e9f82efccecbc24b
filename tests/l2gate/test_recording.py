"""The files of a capture: who may read them, what they never overwrite, and a server that goes."""

import stat
from base64 import b64encode
from collections.abc import Generator
from pathlib import Path

import pytest

from l2gate.control import ControlError, Json, ProtocolError, Refused
from l2gate.recording import Recording, record
from tests.support import pcap

PACKET = bytes.fromhex("4500001c0000000040110000c6336407cb007101") + bytes(8)
MESSAGE: dict[str, Json] = {
    "packet": b64encode(PACKET).decode(),
    "time": 1_700_000_000.5,
    "inbound": True,
}
KEY: dict[str, Json] = {"table": "esp_sa", "line": "a key"}
END: dict[str, Json] = {"end": "the time is over", "left_out": 0}

Messages = Generator[dict[str, Json], None, None]


def server(*messages: dict[str, Json]) -> Messages:
    yield {"watched": "192.0.2.1"}
    yield from messages


def refusing() -> Messages:
    raise Refused("there is no session of 'bob'")
    yield


def interrupted() -> Messages:
    yield from server(MESSAGE)
    raise KeyboardInterrupt


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "x.pcapng"


def all_below(directory: Path) -> set[str]:
    return {str(each.relative_to(directory)) for each in directory.rglob("*")}


def test_what_is_there_in_the_end_and_for_whom(path: Path) -> None:
    lines = list(record(path, server(MESSAGE, KEY, MESSAGE, END)))
    assert lines[:2] == [
        "recording 192.0.2.1; Ctrl-C ends it",
        "2 packets and 1 keys: the time is over",
    ]
    assert f"WIRESHARK_CONFIG_DIR={path}.wireshark wireshark {path}" in lines[2]
    assert pcap.frames(path) == [pcap.Frame(pcap.RAW_IP, PACKET)] * 2
    directory = path.with_name("x.pcapng.wireshark")
    assert (directory / "esp_sa").read_text() == "a key\n"
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    files = [path, *directory.iterdir()]
    assert len(files) == 4
    assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}


def test_everything_is_written_at_once(path: Path) -> None:
    """So that it is there when the command is killed."""
    lines = record(path, server(MESSAGE, KEY, {"packet": None}))
    next(lines)
    with pytest.raises(ProtocolError):
        next(lines)
    recording = Recording(path.with_name("y.pcapng"))
    recording.add(MESSAGE)
    recording.add(KEY)
    for name in ("x", "y"):
        written = path.with_name(f"{name}.pcapng")
        assert len(pcap.frames(written)) == 1
        assert written.with_name(f"{name}.pcapng.wireshark").joinpath("esp_sa").read_text()
    recording.close()


@pytest.mark.parametrize("what", ["file", "link", "dangling link", "directory"])
def test_nothing_is_overwritten(path: Path, what: str) -> None:
    precious = path.with_name("precious")
    precious.write_text("precious")
    if what == "file":
        precious.rename(path)
        precious = path
    elif what == "directory":
        path.mkdir()
    else:
        path.symlink_to(precious if what == "link" else path.with_name("nothing"))
    before = all_below(path.parent)
    with pytest.raises(FileExistsError):
        next(record(path, server()))
    assert all_below(path.parent) == before
    assert precious.read_text() == "precious"


def test_the_keys_of_another_capture_stay(path: Path) -> None:
    directory = path.with_name("x.pcapng.wireshark")
    directory.mkdir()
    (directory / "esp_sa").write_text("old")
    with pytest.raises(FileExistsError):
        next(record(path, server()))
    assert all_below(path.parent) == {directory.name, f"{directory.name}/esp_sa"}


def test_no_file_is_left_if_the_server_refuses(path: Path) -> None:
    with pytest.raises(Refused):
        next(record(path, refusing()))
    assert all_below(path.parent) == set()


def test_an_interrupted_capture_is_whole(path: Path) -> None:
    lines = list(record(path, interrupted()))
    assert lines[1] == "1 packets and 0 keys: interrupted"
    assert len(pcap.frames(path)) == 1


def test_a_server_that_goes_away(path: Path) -> None:
    lines = record(path, server(MESSAGE, KEY))
    next(lines)
    with pytest.raises(ControlError, match=r"the server is gone; .*x.pcapng has what it recorded"):
        next(lines)
    assert len(pcap.frames(path)) == 1


def test_what_is_missing_is_said(path: Path) -> None:
    lines = list(record(path, server({"end": "the time is over", "left_out": 7})))
    assert lines[2] == "7 packets are missing: they came faster than they were taken"


@pytest.mark.parametrize(
    "message",
    [
        {},
        {"packet": "", "time": "now", "inbound": True},
        {"table": "../precious", "line": "x"},
        {"table": "preferences", "line": "x"},
        {"table": "esp_sa", "line": 7},
    ],
)
def test_what_no_server_says(path: Path, message: dict[str, Json]) -> None:
    recording = Recording(path)
    with pytest.raises(ProtocolError):
        recording.add(message)
    recording.discard()
    assert all_below(path.parent) == set()
