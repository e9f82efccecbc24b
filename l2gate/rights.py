"""What the user of `server.user` must be allowed in the file system, seen before it is too late.

The server becomes that user after its start: a file that it cannot read would be found out at
the first reload, and the mend is another for each file. So all is tried beforehand, as that user.
"""

import os
from collections.abc import Iterator, Sequence
from os.path import exists
from pathlib import Path

import yaml

from l2gate.configuration import Configuration, ConfigurationError, Loaded, Problem, load
from l2gate.configuration.ipv6 import AnyNetwork
from l2gate.configuration.load import files_of
from l2gate.configuration.problems import Place
from l2gate.event_log import STANDARD_OUTPUT
from l2gate.privileges import (
    PrivilegeError,
    SystemUser,
    as_user,
    become,
    give_directory,
    may_become,
)

PROGRAM = tuple(map(Path, (os.__file__, yaml.__file__, __file__)))
"""One file of each place that modules come from: Python's, those of others, our own."""


def drop_privileges(configuration: Configuration) -> None:
    """Become the user of `server.user`, if there is one. Raises PrivilegeError."""
    if configuration.server.user is None:
        return
    user = SystemUser.named(configuration.server.user)
    if os.geteuid() == 0:
        for directory, mode in _directories(configuration).items():
            try:
                give_directory(directory, mode, user)
            except OSError as error:
                raise PrivilegeError(
                    f"{directory} cannot be made for {user.name}: {error.strerror}"
                ) from error
    become(user)


def check_rights(
    path: Path, loaded: Loaded, own_networks: Sequence[AnyNetwork]
) -> tuple[Problem, ...]:
    """Try what the user of `server.user` has to read and write; return what is unwise.

    `path` and `own_networks` are those that `loaded` was read with. Raises ConfigurationError
    with all that would keep the server from its work, and PrivilegeError where it can never
    become that user.
    """
    configuration = loaded.configuration
    if configuration.server.user is None:
        return ()
    user = SystemUser.named(configuration.server.user)
    if not may_become(user):
        raise PrivilegeError(
            f"server.user is {user.name}, and only root can become another user: "
            f"start as root or as {user.name}"
        )

    def problem(text: str) -> Problem:
        return Problem(Place(str(path), 0), f"server.user: {text}")

    with as_user(user):
        hidden = [file for file in PROGRAM if not _may(file, os.R_OK)]
        if hidden:
            text = f"{user.name} cannot read {hidden[0]}, a part of this program: install it where"
            raise ConfigurationError([problem(f"{text} everybody can, such as /opt")])
        errors = [problem(text) for text in _not_writable(configuration, user)]
        try:
            load(path, own_networks)
        except ConfigurationError as unreadable:
            mend = f"chgrp {user.group} FILE && chmod g+r FILE (g+rx for a directory)"
            errors += unreadable.problems
            errors.append(problem(f"{user.name} must be able to read these files: {mend}"))
        if errors:
            raise ConfigurationError(errors)
        return tuple(problem(text) for text in _not_changeable(path, configuration, user))


def _directories(configuration: Configuration) -> dict[Path, int]:
    """Return those that the server makes where there are none, with their modes."""
    directories = {configuration.server.control_socket.parent: 0o755}
    if configuration.state is not None and configuration.state.file is not None:
        directories.setdefault(configuration.state.file.parent, 0o700)
    return directories


def _not_writable(configuration: Configuration, user: SystemUser) -> Iterator[str]:
    """Say what the server could not write."""
    for directory in _directories(configuration):
        if exists(directory) and not _may(directory, os.W_OK | os.X_OK):
            yield (
                f"{user.name} cannot make files in {directory}: let it be a directory of the "
                f"server's own, and chown {user.name}: {directory}"
            )
    log = configuration.server.event_log
    if log == STANDARD_OUTPUT:
        log = None
    for file in (log, configuration.state and configuration.state.file):
        if isinstance(file, Path) and exists(file) and not _may(file, os.R_OK | os.W_OK):
            yield f"{user.name} cannot write {file}: chown {user.name}: {file}*"
    if log is not None and not _may(log.parent, os.W_OK | os.X_OK):
        yield (
            f"{user.name} cannot make {log} anew after it is renamed: let it be in a directory of "
            f"the server's own, and chown {user.name}: {log.parent}"
        )


def _not_changeable(path: Path, configuration: Configuration, user: SystemUser) -> Iterator[str]:
    """Say why new passwords could not be written, if somebody is to choose one."""
    if not any(each.must_change_password for each in configuration.directory.users.values()):
        return
    for file in files_of(path):
        # What takes the place of a file gets its owner, whom only root can give it.
        if file.stat().st_uid != user.uid or not _may(file.parent, os.W_OK | os.X_OK):
            yield (
                f"users who must change their password cannot do so, because {user.name} cannot "
                f"write {file}: chown -R {user.name}: {file.parent}"
            )


def _may(path: Path, mode: int) -> bool:
    return os.access(path, mode, effective_ids=True)
