"""The event log: its lines, what docs/events.md says of them, and a disk that is slow or full."""

import errno
import json
import os
import re
import stat
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from l2gate import event_log
from l2gate.event_log import STANDARD_OUTPUT, EventLog, as_line
from l2gate.events import Happening, Noted, Stage

DOCUMENT = (Path(__file__).resolve().parents[2] / "docs" / "events.md").read_text()
NOTED = Noted(
    Stage.LOGIN,
    "login refused",
    "192.0.2.1:4500",
    "b\nob",
    4711,
    True,
    "mend",
    691,
    17,
    Happening.LOGIN_REFUSED,
    {"why": "wrong"},
)
PLAIN = Noted(Stage.SERVER, "all is well")


@contextmanager
def opened(path: Path) -> Iterator[EventLog]:
    log = EventLog(path)
    try:
        yield log
    finally:
        log.close()


def events(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_line() -> None:
    line = as_line(NOTED, 1_700_000_000.1239)
    assert line.count("\n") == 1
    assert json.loads(line) == {
        "time": "2023-11-14T22:13:20.123Z",
        "event": "login-refused",
        "attempt": 17,
        "peer": "192.0.2.1:4500",
        "user": "b\nob",
        "session": 4711,
        "text": "login refused",
        "mend": "mend",
        "windows": 691,
        "why": "wrong",
    }
    assert set(json.loads(as_line(PLAIN, 0.0))) == {"time", "event", "text"}


def test_every_event_is_documented() -> None:
    rows = re.findall(r"^\| `([a-z-]+)` \|", DOCUMENT.split("## The events")[1], re.MULTILINE)
    assert rows == [happening.value for happening in Happening]


def test_lines_are_appended_in_their_order(tmp_path: Path) -> None:
    path = tmp_path / "events.json"
    for turn in range(2):
        with opened(path) as log:
            for number in range(100):
                log.write(PLAIN, 100.0 * turn + number)
    times = [event["time"] for event in events(path)]
    assert len(times) == 200
    assert times == sorted(map(str, times))
    assert not stat.S_IMODE(path.stat().st_mode) & 0o027, "the group may read, no more"


def test_a_file_that_was_moved_away_is_made_again(tmp_path: Path) -> None:
    path, old = tmp_path / "events.json", tmp_path / "events.json.1"
    with opened(path) as log:
        log.write(NOTED, 0.0)
        wait_for(lambda: path.stat().st_size > 0)
        path.rename(old)
        log.reopen()
        log.write(PLAIN, 0.0)
    assert [event["event"] for event in events(old)] == ["login-refused"]
    assert [event["event"] for event in events(path)] == ["noted"]


def test_standard_output(capfd: pytest.CaptureFixture[str]) -> None:
    with opened(STANDARD_OUTPUT) as log:
        log.write(PLAIN, 0.0)
        log.reopen()
        log.write(PLAIN, 0.0)
    assert len(capfd.readouterr().out.splitlines()) == 2
    print("still open")


def test_a_file_that_cannot_be_made(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        EventLog(tmp_path / "no" / "events.json")


def test_a_full_disk_is_said_once_and_so_is_its_end(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "events.json"
    path.symlink_to("/dev/full")
    caplog.set_level("INFO")
    with opened(path) as log:
        for _ in range(3):
            log.write(PLAIN, 0.0)
        wait_for(lambda: "cannot be written" in caplog.text)
        path.unlink()
        log.reopen()
        log.write(PLAIN, 0.0)
    (trouble, end) = [record.getMessage() for record in caplog.records]
    assert trouble.endswith("cannot be written, events are lost: No space left on device")
    assert end.endswith("is written again")
    assert events(path)[-1]["text"] == "all is well"


def test_half_a_line_spoils_no_other(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "events.json"
    write, room = os.write, [40]

    def into_little_room(fd: int, octets: bytes) -> int:
        written = write(fd, octets[: room[0]]) if room[0] else 0
        room[0] -= written
        if not written:
            raise OSError(errno.ENOSPC, "No space left on device")
        return written

    with opened(path) as log:
        with monkeypatch.context() as full:
            full.setattr(os, "write", into_little_room)
            log.write(PLAIN, 0.0)
            wait_for(lambda: "cannot be written" in caplog.text)
        log.write(PLAIN, 0.0)
        log.write(PLAIN, 0.0)
    half, *whole = path.read_text().splitlines()
    assert len(half) == 40
    assert [json.loads(line)["text"] for line in whole] == ["all is well"] * 2


def test_a_file_that_cannot_be_made_anew_is_made_once_it_can(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    directory = tmp_path / "log"
    directory.mkdir()
    with opened(directory / "events.json") as log:
        directory.rename(tmp_path / "away")
        log.reopen()
        log.write(PLAIN, 0.0)
        wait_for(lambda: "cannot be written" in caplog.text)
        directory.mkdir()
        log.write(PLAIN, 0.0)
    assert len(events(directory / "events.json")) == 1


def test_who_does_not_read_stops_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_log, "MAX_WAITING", 10)
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    log = EventLog(pipe)
    for _ in range(2000):
        log.write(Noted(Stage.SERVER, "x" * 1000), 0.0)
    read: list[bytes] = []
    os.set_blocking(reader, True)
    thread = threading.Thread(target=lambda: read.extend(iter(lambda: os.read(reader, 65536), b"")))
    thread.start()
    wait_for(log._queue.empty)
    log.write(PLAIN, 0.0)
    log.close()
    thread.join()
    os.close(reader)
    lines = [json.loads(line) for line in b"".join(read).splitlines()]
    assert lines[-1]["text"] == "all is well"
    left_out = [line["count"] for line in lines if line["event"] == "left-out"]
    assert sum(left_out) > 1000
    assert sum(left_out) + len(lines) - len(left_out) - 1 == 2000


def wait_for(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.001)
