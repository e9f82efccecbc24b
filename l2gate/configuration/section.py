"""A mapping of the file, read key by key.

Works on the nodes that the YAML parser composes, so that every value still knows its line. Who
reads a section asks for each key that there is; what is left over in the end is unknown. A
mistake is noted and reading goes on with the default, so that one run finds them all.

A scalar counts as the text that stands in the file: `password: 0123` is those four characters
and `nt_hash: 12e45...` no number, whatever YAML takes them for.
"""

from collections.abc import Callable, Iterator, Sequence
from difflib import get_close_matches
from typing import TypeVar

import yaml

from l2gate.configuration.problems import Place, Problems

Value = TypeVar("Value")
Default = TypeVar("Default")

SECRETS = frozenset(
    {"password", "nt_hash", "argon2", "totp", "psk", "psk_next", "secret", "postgresql"}
)
"""Keys whose values are never shown."""

NULL = "tag:yaml.org,2002:null"


class Expected(ValueError):  # noqa: N818 (reads as "expected an IPv4 address")
    """A text is not what a key needs; says what it needs."""


Parse = Callable[[str], Value]
"""Makes a value of a text, or raises Expected."""


class Section:
    """The mapping `node` of `file`, known to its reader as `path` (departments.sales)."""

    __slots__ = ("_asked", "_found", "_pairs", "file", "line", "path", "problems")

    def __init__(self, node: yaml.Node | None, file: str, path: str, problems: Problems) -> None:
        self.file = file
        self.path = path
        self.problems = problems
        self.line = 0 if node is None else _line(node)
        self._asked: list[str] = []
        self._found = 0
        self._pairs: dict[str, tuple[yaml.Node, yaml.Node]] = {}
        if isinstance(node, yaml.MappingNode):
            self._index(node)
        elif node is not None and node.tag != NULL:
            self.error(None, f"expected keys and values, found {_kind(node)}")

    def place(self, key: str | None = None) -> Place:
        """Return where `key` stands, or the section where there is no such key."""
        pair = self._pairs.get(key) if key is not None else None
        return Place(self.file, self.line if pair is None else _line(pair[0]))

    def error(self, key: str | None, text: str) -> None:
        """Note a mistake in the value of `key`, or in the section as a whole."""
        self.problems.error(self.place(key), f"{self.named(key)}{text}")

    def warn(self, key: str | None, text: str) -> None:
        """Note what is allowed but unwise."""
        self.problems.warn(self.place(key), f"{self.named(key)}{text}")

    def named(self, key: str | None) -> str:
        """Return how messages begin that are about `key`."""
        path = ".".join(part for part in (self.path, key) if part)
        return f"{path}: " if path else ""

    def __contains__(self, key: str) -> bool:
        return key in self._pairs

    def take(self, key: str, parse: Parse[Value], default: Default) -> Value | Default:
        """Return the value of `key`, or `default` where it is missing or wrong."""
        node = self._ask(key)
        return default if node is None else self._value(key, node, parse, default)

    def require(self, key: str, parse: Parse[Value], example: str) -> Value | None:
        """Return the value of `key`; None, and a mistake noted, where it is missing or wrong."""
        if key not in self._pairs:
            self.error(None, f"{key} is missing: add for example '{key}: {example}'")
        return self.take(key, parse, None)

    def take_all(
        self,
        key: str,
        parse: Parse[Value],
        default: Sequence[Value] = (),
        at_most: int | None = None,
    ) -> tuple[Value, ...]:
        """Return the values of a list; a single value counts as a list of one."""
        node = self._ask(key)
        if node is None:
            return tuple(default)
        items = node.value if isinstance(node, yaml.SequenceNode) else [node]
        values = [self._value(key, item, parse, None) for item in items]
        if at_most is not None and len(values) > at_most:
            self.error(key, f"expected at most {at_most} values, found {len(values)}")
        return tuple(value for value in values if value is not None)

    def is_empty(self, key: str) -> bool:
        """Say whether the value of `key` is a list without values."""
        return key in self._pairs and _empty(self._pairs[key][1])

    def require_all(self, key: str, parse: Parse[Value], example: str) -> tuple[Value, ...]:
        """Return the values of a list that must be there, and notes where there are none."""
        if key not in self._pairs:
            self.error(None, f"{key} is missing: add for example '{key}: {example}'")
        elif self.is_empty(key):
            self.error(key, f"is empty: write for example '{key}: {example}'")
        return self.take_all(key, parse)

    def section(self, key: str) -> "Section":
        """Return the section that is the value of `key`; an empty one where there is none."""
        path = f"{self.path}.{key}" if self.path else key
        section = Section(self._ask(key), self.file, path, self.problems)
        section.line = self.place(key).line
        return section

    def sections(self, key: str) -> Iterator[tuple[str, "Section"]]:
        """Yield name and section of every entry of the section that is the value of `key`."""
        names = self.section(key)
        for name in names._pairs:
            yield name, names.section(name)

    def require_items(self, key: str, example: str) -> Iterator["Section"]:
        """Yield as `items` does, and note where there are none."""
        if key not in self._pairs:
            self.error(None, f"{key} is missing: add for example '{key}: [{example}]'")
        elif self.is_empty(key):
            self.error(key, f"is empty: write for example '{key}: [{example}]'")
        yield from self.items(key, f", such as {example}")

    def items(self, key: str, such_as: str = "") -> Iterator["Section"]:
        """Yield a section for every item of the list that is the value of `key`."""
        node = self._ask(key)
        if node is None:
            return
        if not isinstance(node, yaml.SequenceNode):
            self.error(key, f"expected a list of items that begin with '- ', found {_kind(node)}")
            return
        path = f"{self.path}.{key}" if self.path else key
        for item in node.value:
            if not isinstance(item, yaml.MappingNode):
                self._mistake(key, item, f"expected keys and values{such_as}, found {_kind(item)}")
                continue
            yield Section(item, self.file, path, self.problems)

    def finish(self) -> None:
        """Note every key that nobody has asked for."""
        if self._found == len(self._pairs):
            return
        for key in self._pairs:
            if key not in self._asked:
                close = get_close_matches(key, self._asked, n=1)
                mend = (
                    f"did you mean {close[0]!r}?"
                    if close
                    else f"known are {', '.join(self._asked)}"
                )
                self.problems.error(
                    self.place(key), f"{self.named(None)}unknown key {key!r}: {mend}"
                )

    def _index(self, node: yaml.MappingNode) -> None:
        for pair in node.value:
            key = pair[0].value
            if not isinstance(key, str):
                self.problems.error(
                    Place(self.file, _line(pair[0])),
                    f"{self.named(None)}expected a name before the colon, found {_kind(pair[0])}",
                )
            elif key in self._pairs:
                first = _line(self._pairs[key][0])
                self.problems.error(
                    Place(self.file, _line(pair[0])),
                    f"{self.named(key)}given twice, first in line {first}: remove one of them",
                )
            else:
                self._pairs[key] = pair

    def _ask(self, key: str) -> yaml.Node | None:
        """Return the value of a key, which is known from now on; None if there is none."""
        self._asked.append(key)
        pair = self._pairs.get(key)
        if pair is None:
            return None
        self._found += 1
        return pair[1]

    def _value(
        self, key: str, node: yaml.Node, parse: Parse[Value], default: Default
    ) -> Value | Default:
        if not isinstance(node, yaml.ScalarNode):
            self._mistake(key, node, f"expected a single value, found {_kind(node)}")
            return default
        if node.tag == NULL:
            self._mistake(key, node, "has no value: give one, or remove the line")
            return default
        try:
            return parse(node.value)
        except Expected as error:
            found = "something else" if key in SECRETS else repr(node.value)
            self._mistake(key, node, f"expected {error}, found {found}")
            return default

    def _mistake(self, key: str, node: yaml.Node, text: str) -> None:
        self.problems.error(Place(self.file, _line(node)), f"{self.named(key)}{text}")


def _line(node: yaml.Node) -> int:
    line: int = node.start_mark.line
    return line + 1


def _kind(node: yaml.Node) -> str:
    if isinstance(node, yaml.MappingNode):
        return "keys and values"
    if isinstance(node, yaml.SequenceNode):
        return "a list"
    return "nothing" if node.tag == NULL else "a single value"


def _empty(node: yaml.Node) -> bool:
    return isinstance(node, yaml.SequenceNode) and not node.value
