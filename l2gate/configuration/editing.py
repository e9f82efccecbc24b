"""Changes of users in the files of a configuration, which leave all else in them as it is.

How a change goes. One editor at a time holds a lock on the configuration's directory. The text
is edited (`yamltext`), parsed again and compared with what was wanted; the result goes into a
new file beside the old one, onto the disk, and then in its place. So the file is the old or the
new one at every moment, and where anything is wrong, it is the old one.
"""

import fcntl
import os
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from difflib import get_close_matches
from enum import Enum
from pathlib import Path
from typing import NamedTuple

import yaml
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

from l2gate.configuration.departments import CREDENTIALS
from l2gate.configuration.files import without_collector
from l2gate.configuration.load import files_of
from l2gate.configuration.section import Expected
from l2gate.configuration.values import password as valid_password
from l2gate.configuration.yamltext import CannotEdit, Fields, Plain, UsersText, Value, verified
from ppp.mschapv2 import nt_password_hash

PATIENCE = 5.0
"""Seconds to wait for another editor."""

MUST_CHANGE = "must_change_password"

BYTE_ORDER_MARK = "\ufeff"

Check = Callable[[Mapping[Path, str]], None]
"""Looks at the configuration with new texts of files, and raises where they must not be."""


class Kind(Enum):
    """How a password is kept: as itself, or as a hash from which nobody reads it."""

    PLAIN = "plain"
    NT = "nt"
    ARGON2 = "argon2"

    @property
    def key(self) -> str:
        """The key in the file."""
        return {Kind.PLAIN: "password", Kind.NT: "nt_hash", Kind.ARGON2: "argon2"}[self]

    def keep(self, password: str) -> str:
        """Return what is written for a password. Raises EditError where it cannot be one."""
        try:
            valid_password(password)
            octets = password.encode()
        except (Expected, UnicodeEncodeError) as error:
            text = str(error) if isinstance(error, Expected) else "a password in UTF-8"
            raise EditError(f"expected {text}") from None
        if self is Kind.PLAIN:
            return password
        if self is Kind.NT:
            return nt_password_hash(password).hex()
        # The least that OWASP advises: the server does nothing else while it verifies one.
        kdf = Argon2id(salt=os.urandom(16), length=32, iterations=2, lanes=1, memory_cost=19 * 1024)
        return kdf.derive_phc_encoded(octets)


class EditError(Exception):
    """A change was not made, and the files are as they were; the text is for the admin."""


class NoSuchUser(EditError):  # noqa: N818
    """There is no user of a name."""


def nothing(texts: Mapping[Path, str]) -> None:
    """Allow every change."""


def add_user(path: Path, fields: Mapping[str, Value], check: Check = nothing) -> Path:
    """Add a user with these keys, of which `name` is one; return the file that it is in now.

    That is the first file which has users, or `path` itself. Raises EditError.
    """
    with _locked(path):
        files = [_read(file) for file in files_of(path)]
        for file in files:
            if file.users.find(str(fields["name"])) is not None:
                raise EditError(f"there is a user {fields['name']!r} already, in {file.path}")
        file = next((file for file in files if "users" in file.users), files[0])

        def change(users: list[Plain]) -> None:
            pairs: Fields = [(key, _plain(value)) for key, value in fields.items()]
            users.append(pairs)

        file.edited(lambda users: users.add(fields), change).write(check)
        return file.path


def remove_user(path: Path, name: str, check: Check = nothing) -> None:
    """Remove a user. Raises EditError."""
    with _locked(path):
        file, index = _find(path, name)

        def change(users: list[Plain]) -> None:
            del users[index]

        file.edited(lambda users: users.remove(index), change).write(check)


def set_password(
    path: Path,
    name: str,
    password: str,
    kind: Kind | None = None,
    check: Check = nothing,
    must_change: bool = False,
) -> None:
    """Give a user another password, kept as `kind`, or as the present one is kept.

    `must_change` says whether the user has to change it at the next login. Takes a second with
    some 20000 users, most of it in the YAML parser, and may wait for another editor for
    PATIENCE. Raises EditError.
    """
    with _locked(path):
        file, index = _find(path, name)
        present = [key for key in file.users.keys(index) if key in CREDENTIALS]
        if len(present) != 1:
            raise EditError(f"{file.path}: {name!r} has not one password: see 'l2gate check'")
        kind = kind or next(kind for kind in Kind if kind.key == present[0])
        file = _with(file, index, kind.key, kind.keep(password), present[0])
        _changed(file, index, {MUST_CHANGE: "true" if must_change else None}).write(check)


def change_user(
    path: Path, name: str, changes: Mapping[str, Value | None], check: Check = nothing
) -> bool:
    """Give keys of a user these values, or remove them (None); return whether that is a change.

    Raises EditError.
    """
    with _locked(path):
        before, index = _find(path, name)
        file = _changed(before, index, changes)
        if file.users.text == before.users.text:
            return False
        file.write(check)
        return True


def set_disabled(path: Path, name: str, disabled: bool, check: Check = nothing) -> bool:
    """Let a user in no more, or again; return whether that is a change. Raises EditError."""
    return change_user(path, name, {"disabled": "true" if disabled else None}, check)


def set_totp(path: Path, name: str, secret: str | None, check: Check = nothing) -> bool:
    """Demand one-time codes of a secret (base 32) from a user, or none. Raises EditError."""
    return change_user(path, name, {"totp": secret}, check)


class _File(NamedTuple):
    """A file of the configuration: what was read, and the users as they are to be."""

    path: Path
    octets: bytes
    mark: str
    users: UsersText

    def edited(
        self, edit: Callable[[UsersText], str], change: Callable[[list[Plain]], None]
    ) -> "_File":
        """Return the file after an edit of its text, which is to be a change of its users."""
        try:
            return self._replace(users=verified(self.users, edit(self.users), change))
        except (CannotEdit, IndexError) as error:
            raise EditError(
                f"{self.path}: cannot be edited by a program ({error}): use an editor"
            ) from None

    def write(self, check: Check) -> None:
        """Put it in the place of what was read."""
        check({self.path: self.users.text})
        _replace(self.path, self.octets, (self.mark + self.users.text).encode())


def _changed(file: _File, index: int, changes: Mapping[str, Value | None]) -> _File:
    """Return a file in which keys of a user have these values, or are no more (None)."""
    for key, value in changes.items():
        has = key in file.users.keys(index)
        if value is not None:
            file = _with(file, index, key, value, key if has else None)
        elif has:
            file = _without(file, index, key)
    return file


def _with(file: _File, index: int, key: str, value: Value, instead: str | None) -> _File:
    """Return a file in which a user has a key, in place of the key `instead`."""

    def change(users: list[Plain]) -> None:
        fields = _fields(users[index])
        if instead is None:
            users[index] = [*fields, (key, _plain(value))]
        else:
            users[index] = [(key, _plain(value)) if pair[0] == instead else pair for pair in fields]

    renamed = instead if instead != key else None
    return file.edited(lambda users: users.set(index, key, value, renamed), change)


def _without(file: _File, index: int, key: str) -> _File:
    """Return a file in which a user has a key no more."""

    def change(users: list[Plain]) -> None:
        users[index] = [pair for pair in _fields(users[index]) if pair[0] != key]

    return file.edited(lambda users: users.unset(index, key), change)


def _plain(value: Value) -> Plain:
    return value if isinstance(value, str) else list[Plain](value)


def _fields(user: Plain) -> Fields:
    return [pair for pair in user or () if isinstance(pair, tuple)]


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Be the only editor; a directory can be locked, and is not replaced as its files are."""
    try:
        descriptor = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    except OSError as error:
        raise EditError(f"{path.parent}: {error.strerror}") from error
    try:
        end = time.monotonic() + PATIENCE
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() >= end:
                    raise EditError("another program changes the users: try again") from None
                time.sleep(0.02)
        with without_collector():
            yield
    finally:
        os.close(descriptor)


def _read(path: Path) -> _File:
    try:
        octets = path.read_bytes()
        text = octets.decode()
        mark = BYTE_ORDER_MARK if text.startswith(BYTE_ORDER_MARK) else ""
        return _File(path, octets, mark, UsersText(text.removeprefix(mark)))
    except OSError as error:
        raise EditError(f"{path}: cannot be read: {error.strerror}") from error
    except (UnicodeDecodeError, yaml.YAMLError, RecursionError, CannotEdit):
        raise EditError(f"{path}: is not in order: see 'l2gate check'") from None


def _find(path: Path, name: str) -> tuple[_File, int]:
    files = [_read(file) for file in files_of(path)]
    for file in files:
        index = file.users.find(name)
        if index is not None:
            return file, index
    names = [known for file in files for known in file.users.names()]
    stem = name.partition("@")[0].casefold()
    alike = [known for known in names if known.partition("@")[0].casefold() == stem]
    close = alike or get_close_matches(name, names, n=1)
    mend = f": did you mean {close[0]!r}?" if close else ""
    raise NoSuchUser(f"there is no user {name!r}{mend}")


def _replace(path: Path, before: bytes, after: bytes) -> None:
    """Put a file with other content in the place of one, with its owner and mode."""
    target = path.resolve()
    temporary = ""
    try:
        status = target.stat()
        descriptor, temporary = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
        with os.fdopen(descriptor, "wb") as stream:
            if (os.geteuid(), os.getegid()) != (status.st_uid, status.st_gid):
                os.fchown(descriptor, status.st_uid, status.st_gid)
            os.fchmod(descriptor, status.st_mode & 0o7777)
            stream.write(after)
            stream.flush()
            os.fsync(descriptor)
        if target.read_bytes() != before:
            raise EditError(f"{path}: was changed by another program just now: try again")
        os.replace(temporary, target)
        temporary = ""
        directory = os.open(target.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)
    except OSError as error:
        raise EditError(f"{path}: cannot be written: {error.strerror}") from error
    finally:
        if temporary:
            with suppress(FileNotFoundError):
                os.unlink(temporary)
