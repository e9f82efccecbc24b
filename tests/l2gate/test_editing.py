"""Changes of users in files: whole or not at all, and everything else as it was."""

import fcntl
import os
import stat
import threading
from collections.abc import Mapping
from pathlib import Path

import pytest

from l2gate.configuration import editing, load
from l2gate.configuration.editing import (
    EditError,
    Kind,
    NoSuchUser,
    add_user,
    change_user,
    remove_user,
    set_disabled,
    set_password,
    set_totp,
)
from ppp.mschapv2 import nt_password_hash
from ppp.proofs import PapProof

TEXT = """\
# The main file
ipsec: {psk: ZZp4u9mVbC7kTqRx3sWd8yNe}   # no "users" here
departments: {default: {pool: 172.16.9.0/24, gateway: 172.16.9.1}}
users:
  - {name: alice, password: 'old'}  # A
  - name: bob
    nt_hash: 0123456789abcdef0123456789abcdef
"""
FURTHER = "users:\r\n- name: carol # C\r\n  password: old\r\n"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "l2gate.yaml"
    path.write_bytes(TEXT.encode())
    path.chmod(0o640)
    (tmp_path / "conf.d").mkdir()
    (tmp_path / "conf.d" / "further.yaml").write_bytes(FURTHER.encode())
    return path


def further(path: Path) -> Path:
    return path.parent / "conf.d" / "further.yaml"


def leftovers(path: Path) -> list[str]:
    return sorted(file.name for file in path.parent.rglob("*") if file.is_file())


def test_a_password_stays_of_its_kind(path: Path) -> None:
    set_password(path, "alice", "new: # one")
    assert path.read_text() == TEXT.replace("'old'", "'new: # one'")
    set_password(path, "bob", "pässword")
    assert nt_password_hash("pässword").hex() in path.read_text()
    set_password(path, "carol", "new")
    assert further(path).read_bytes() == FURTHER.replace("old", "new").encode()
    assert leftovers(path) == ["further.yaml", "l2gate.yaml"]


def test_a_new_password_is_one_that_need_not_be_changed(path: Path) -> None:
    set_password(path, "alice", "first", must_change=True)
    expected = TEXT.replace("'old'", "first, must_change_password: true")
    assert path.read_text() == expected
    assert load(path).configuration.directory.users["alice"].must_change_password
    set_password(path, "alice", "second", must_change=True)
    assert path.read_text() == expected.replace("first", "second")
    set_password(path, "alice", "third")
    assert path.read_text() == TEXT.replace("'old'", "third")


def test_a_password_of_another_kind(path: Path) -> None:
    set_password(path, "alice", "new", Kind.ARGON2)
    user = load(path).configuration.directory.users["alice"]
    assert user.argon2 is not None
    assert user.password is None
    set_password(path, "alice", "newer")
    assert load(path).configuration.directory.users["alice"].argon2 not in (None, user.argon2)
    set_password(path, "alice", "newest", Kind.NT)
    user = load(path).configuration.directory.users["alice"]
    assert PapProof("alice", b"newest").verify(None, user.nt_hash) is not None
    set_password(path, "alice", "old", Kind.PLAIN)
    assert path.read_text() == TEXT.replace("'old'", "old")


@pytest.mark.parametrize("password", ["", "x" * 256, "\ud800"])
def test_what_is_no_password_is_refused(path: Path, password: str) -> None:
    for name in ("alice", "bob"):
        with pytest.raises(EditError):
            set_password(path, name, password)
    assert path.read_text() == TEXT


def test_disabling_and_enabling(path: Path) -> None:
    for name in ("alice", "bob", "carol"):
        assert set_disabled(path, name, True)
        assert not set_disabled(path, name, True)
        assert load(path).configuration.directory.users[name].disabled
    for name in ("alice", "bob", "carol"):
        assert set_disabled(path, name, False)
        assert not set_disabled(path, name, False)
    assert path.read_text() == TEXT
    assert further(path).read_bytes() == FURTHER.encode()


def test_adding_and_removing(path: Path) -> None:
    assert add_user(path, {"name": "dan", "password": "p w"}) == path
    assert load(path).configuration.directory.users["dan"].password == "p w"
    with pytest.raises(EditError, match=r"there is a user 'carol' already, in .*further\.yaml"):
        add_user(path, {"name": "carol", "password": "x"})
    remove_user(path, "dan")
    assert path.read_text() == TEXT
    for name in ("alice", "bob", "carol"):
        remove_user(path, name)
    assert "users:\n  []\n" in path.read_text()
    assert list(load(path).configuration.directory.users) == []
    add_user(path, {"name": "dan", "password": "x"})
    assert list(load(path).configuration.directory.users) == ["dan"]


def test_users_go_where_users_are(path: Path) -> None:
    path.write_text(TEXT[: TEXT.index("users:")])
    assert add_user(path, {"name": "dan", "password": "x"}) == further(path)


def test_several_changes_are_one(path: Path) -> None:
    seen: list[Mapping[Path, str]] = []
    changes = {"name": "bobby", "address": "172.16.9.7", "expires": "2030-01-01"}
    assert change_user(path, "bob", changes, seen.append)
    assert len(seen) == 1
    user = load(path).configuration.directory.users["bobby"]
    assert (str(user.address), str(user.expires)) == ("172.16.9.7", "2030-01-01")
    assert set_totp(path, "bobby", "JBSWY3DPEHPK3PXP")
    again = {"name": "bob", "address": None, "expires": None, "totp": None}
    assert change_user(path, "bobby", again)
    assert path.read_text() == TEXT


@pytest.mark.parametrize(
    ("name", "mend"),
    [("Alice", "'alice'"), ("alice@sales", "'alice'"), ("bbo", "'bob'"), ("nobody", None)],
)
def test_a_name_that_does_not_exist(path: Path, name: str, mend: str | None) -> None:
    with pytest.raises(NoSuchUser) as caught:
        remove_user(path, name)
    end = f": did you mean {mend}?" if mend else ""
    assert str(caught.value) == f"there is no user {name!r}{end}"


def test_owner_mode_and_link_stay(path: Path, tmp_path: Path) -> None:
    link = tmp_path / "etc" / "l2gate.yaml"
    link.parent.mkdir()
    link.symlink_to(path)
    if os.geteuid() == 0:
        os.chown(path, 1234, 5678)
    before = path.stat()
    set_disabled(link, "alice", True)
    assert link.is_symlink()
    after = path.stat()
    assert (after.st_uid, after.st_gid) == (before.st_uid, before.st_gid)
    assert stat.S_IMODE(after.st_mode) == 0o640
    assert "disabled" in path.read_text()


def test_a_byte_order_mark_stays(path: Path) -> None:
    path.write_bytes(b"\xef\xbb\xbf" + TEXT.encode())
    set_password(path, "alice", "new")
    assert path.read_bytes() == b"\xef\xbb\xbf" + TEXT.replace("'old'", "new").encode()


@pytest.mark.parametrize(
    "text",
    [
        "users: [",
        "users: {alice: x}\n",
        "- users\n",
        "users: &u\n  - {name: alice, password: *u}\n",
        "a: &p secret\nusers:\n  - {name: alice, password: *p}\n",
        "users:\n  - {name: alice, password: [a]}\n",
        "users:\n  - {name: alice, password: a, nt_hash: b}\n",
        "users: [{name: alice, password: a}]\n---\nb: c\n",
        "\x00",
    ],
)
def test_what_cannot_be_edited_is_left_alone(path: Path, text: str) -> None:
    path.write_text(text)
    further(path).unlink()
    with pytest.raises(EditError):
        set_password(path, "alice", "new")
    assert path.read_text() == text
    assert leftovers(path) == ["l2gate.yaml"]


def test_what_the_check_refuses_is_not_written(path: Path) -> None:
    def refuse(texts: Mapping[Path, str]) -> None:
        assert list(texts) == [path]
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        set_disabled(path, "alice", True, refuse)
    assert path.read_text() == TEXT
    assert leftovers(path) == ["further.yaml", "l2gate.yaml"]


@pytest.mark.parametrize("call", ["fsync", "fchmod", "replace"])
def test_a_full_disk_leaves_the_old_file(
    path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(editing.os, call, fail)
    with pytest.raises(EditError, match="cannot be written: No space left on device"):
        set_disabled(path, "alice", True)
    assert path.read_text() == TEXT
    assert leftovers(path) == ["further.yaml", "l2gate.yaml"]


def test_what_another_program_has_just_written_is_not_lost(path: Path) -> None:
    def editor(texts: Mapping[Path, str]) -> None:
        path.write_text(TEXT + "# by hand\n")

    with pytest.raises(EditError, match="was changed by another program just now: try again"):
        set_disabled(path, "alice", True, editor)
    assert path.read_text() == TEXT + "# by hand\n"


def test_there_is_one_editor_at_a_time(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(editing, "PATIENCE", 0.0)
    descriptor = os.open(path.parent, os.O_RDONLY)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    with pytest.raises(EditError, match="another program changes the users: try again"):
        set_disabled(path, "alice", True)
    os.close(descriptor)
    assert set_disabled(path, "alice", True)


def test_many_editors_lose_nothing(path: Path) -> None:
    names = [f"user{number}" for number in range(12)]
    editors = [
        threading.Thread(target=add_user, args=(path, {"name": name, "password": "x"}))
        for name in names
    ]
    for editor in editors:
        editor.start()
    for editor in editors:
        editor.join()
    assert set(names) < set(load(path).configuration.directory.users)


def test_a_missing_file(tmp_path: Path) -> None:
    for path in (tmp_path / "l2gate.yaml", tmp_path / "none" / "l2gate.yaml"):
        with pytest.raises(EditError, match="No such file or directory"):
            set_disabled(path, "alice", True)
