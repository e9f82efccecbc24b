"""The files of a configuration: YAML and secrets, and who may read them."""

import gc
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import yaml

from l2gate.configuration.problems import Place, Problems
from l2gate.configuration.section import NULL, Expected, Section
from l2gate.configuration.values import shared_secret

PARSER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""libyaml's parser where PyYAML was built with it: several times as fast."""

STR, SEQ, MAP = (f"tag:yaml.org,2002:{kind}" for kind in ("str", "seq", "map"))

NOTHING = frozenset(("", "~", "null", "Null", "NULL"))
"""The plain scalars that are null (YAML 1.1)."""


class Loader(PARSER):  # type: ignore[misc, valid-type]
    """Composes nodes without looking for numbers, dates and truth values in them.

    A `Section` reads the text of a scalar, whatever YAML takes it for; only what is nothing must
    be told apart. That looking is a third of the time that a large file takes.
    """

    def descend_resolver(self, parent: object, index: object) -> None:
        """There are no rules that depend on the place of a node."""

    def ascend_resolver(self) -> None:
        """There are no rules that depend on the place of a node."""

    def resolve(self, kind: type, value: str | None, implicit: object) -> str:
        """Return the tag of a node that has none."""
        if kind is yaml.ScalarNode:
            plain = isinstance(implicit, tuple) and implicit[0]
            return NULL if plain and value in NOTHING else STR
        return MAP if kind is yaml.MappingNode else SEQ


@contextmanager
def without_collector() -> Iterator[None]:
    """Keep Python from looking for garbage, of which reading leaves none.

    A large file makes so many objects that looking through them takes longer than reading.
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def compose(text: str) -> yaml.Node | None:
    """Return the root of the one document in a text. Raises yaml.YAMLError."""
    root: yaml.Node | None = yaml.compose(text, Loader=Loader)
    return root


LARGEST_SECRET = 4096
"""Octets of a secret's file that are read; a secret is one short line."""


def read_yaml(path: Path, problems: Problems, instead: str | None = None) -> Section:
    """Read one file of the configuration; what cannot be read is an empty section.

    A file that YAML cannot make sense of has one mistake: the first. `instead` is what counts
    as the text of the file, where it is to be another.
    """
    file = str(path)
    try:
        with path.open("rb") as stream:
            warn_if_exposed(path, stream.fileno(), problems)
            text = stream.read().decode() if instead is None else instead
        return Section(compose(text), file, "", problems)
    except OSError as error:
        problems.error(Place(file, 0), f"cannot be read: {error.strerror}")
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        problems.error(Place(file, line), "expected text in UTF-8: save the file in that encoding")
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        problems.error(
            Place(file, line), f"YAML allows no character {error.character:#x}: remove it"
        )
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = 0 if mark is None else mark.line + 1
        context = f" {error.context}" if error.context else ""
        problems.error(Place(file, line), f"not YAML: {error.problem}{context}")
    return Section(None, file, "", problems)


def read_secret_file(section: Section, key: str, file: Path) -> bytes | None:
    """Return the secret in a file, relative to the file that names it; None if there is none."""
    path = Path(section.file).parent / file
    try:
        with path.open("rb") as stream:
            warn_if_exposed(path, stream.fileno(), section.problems)
            content = stream.read(LARGEST_SECRET + 1)
    except OSError as error:
        section.error(key, f"{path} cannot be read: {error.strerror}")
        return None
    try:
        if len(content) > LARGEST_SECRET:
            raise Expected("one short line")
        return shared_secret(content.decode().rstrip("\r\n"))
    except UnicodeDecodeError:
        section.error(key, f"expected text in UTF-8 in {path}")
    except Expected as error:
        section.error(key, f"expected {error} in {path}")
    return None


def warn_if_exposed(path: Path, descriptor: int, problems: Problems) -> None:
    """Warn of a file with secrets that every user of the system may read or change."""
    mode = os.fstat(descriptor).st_mode
    if mode & (stat.S_IROTH | stat.S_IWOTH):
        may = "read" if mode & stat.S_IROTH else "change"
        problems.warn(
            Place(str(path), 0),
            f"holds secrets, and every user of this system may {may} it: chmod 600 {path}",
        )
