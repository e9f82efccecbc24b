"""Looking with another user's eyes, and what keeps a process from becoming that user."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from l2gate import rights
from l2gate.configuration import ConfigurationError, load
from l2gate.privileges import PrivilegeError, SystemUser, as_user, give_directory
from l2gate.rights import check_rights
from tests.support.prerequisites import need
from tests.support.program import ROOT, configure
from tests.support.unprivileged import open_directory

NOBODY = SystemUser.named("nobody")

BECOME = """\
import os, sys, threading
from l2gate.privileges import PrivilegeError, SystemUser, become
end = threading.Event()
other = threading.Thread(target=end.wait)
other.start()
try:
    become(SystemUser.named("nobody"))
except PrivilegeError as error:
    print(error, os.geteuid())
end.set()
other.join()
"""


@pytest.fixture(autouse=True)
def root() -> None:
    need("needs root" if os.geteuid() else "")


def test_root_is_itself_again_after_a_look() -> None:
    def ids() -> tuple[object, ...]:
        return os.getresuid(), os.getresgid(), sorted(os.getgroups())

    before = ids()
    with as_user(NOBODY):
        assert os.geteuid() == NOBODY.uid
        assert set(os.getgroups()) == set(NOBODY.groups)
        with pytest.raises(PermissionError):
            Path("/etc/shadow").read_text()
    assert ids() == before
    Path("/etc/shadow").read_text()


def test_a_thread_would_stay_root() -> None:
    done = subprocess.run(
        [sys.executable, "-c", BECOME], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert done.stdout == "a thread has begun already, which would stay root 0\n"


def test_who_is_not_there_cannot_be_become() -> None:
    with pytest.raises(PrivilegeError, match="there is no user 'nobody-of-this-name'"):
        SystemUser.named("nobody-of-this-name")


def test_a_directory_that_is_there_is_not_given_away(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "there")
    for name in ("there", "link", "new"):
        give_directory(tmp_path / name, 0o700, NOBODY)
    assert (tmp_path / "there").stat().st_uid == 0
    assert (tmp_path / "new").stat().st_uid == NOBODY.uid
    assert (tmp_path / "new").stat().st_mode & 0o777 == 0o700


def test_a_program_that_is_in_roots_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = configure(tmp_path, ", user: nobody")
    hidden = tmp_path / "module.py"
    hidden.touch()
    hidden.chmod(0o600)
    monkeypatch.setattr(rights, "PROGRAM", (hidden,))
    why = f"server.user: nobody cannot read {hidden}, a part of this program: install it where"
    with pytest.raises(ConfigurationError, match=why):
        check_rights(path, load(path), ())


def test_nothing_is_amiss(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rights, "PROGRAM", ())
    with open_directory() as directory:
        os.chown(directory, NOBODY.uid, NOBODY.gid)
        path = configure(directory, ", user: nobody, event_log: '-'")
        os.chown(path, NOBODY.uid, NOBODY.gid)
        assert check_rights(path, load(path), ()) == ()
