"""Edits of the list `users` in a YAML text that leave every other character as it is.

How this works. The nodes that the parser composes know where they begin and end in the text, so
an edit cuts out or puts in the characters of one user, or of one key of it, in the style of what
is around: `- name: bob` or `- {name: bob}`. What the marks do not say is found between them,
where there are only white space, comments, commas and dashes. Nothing here is trusted: whoever
edits calls `verified`, which parses the result and compares it with what was wanted.

A comment stays, unless it is on a line of its own inside of a user that is removed, or at the
end of a line that is.
"""

import re
from collections.abc import Callable, Mapping

import yaml

from l2gate.configuration.files import compose
from l2gate.configuration.section import NULL

Plain = None | str | list["Plain"] | list[tuple["Plain", "Plain"]]
"""A node without its place: a mapping is a list of pairs, in order."""

Fields = list[tuple[Plain, Plain]]

Value = str | list[str]
"""What a key of a user can be given."""

_BREAKS = "\r\n\x85\u2028\u2029"
_BREAK = re.compile(r"\r\n|[\r\n\x85\u2028\u2029]")
_BETWEEN = re.compile(r"(?:[ \t\r\n\x85\u2028\u2029]|#[^\r\n\x85\u2028\u2029]*)*")
_PLAIN = re.compile(r"[A-Za-z0-9./$][A-Za-z0-9_.@+/$=,-]*")
_BLOCK_SCALARS = ("|", ">")


class CannotEdit(Exception):  # noqa: N818 (an answer, not a fault of the program)
    """The text is written in a way that this module does not edit."""


class UsersText:
    """The list `users` of a text, which is without a byte order mark.

    Raises yaml.YAMLError, and CannotEdit where `users` is no list.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        self.root = compose(text)
        self._key: yaml.Node | None = None
        self._value: yaml.Node | None = None
        if isinstance(self.root, yaml.MappingNode):
            for key, value in self.root.value:
                if key.value == "users":
                    self._key, self._value = key, value
        if isinstance(self._value, yaml.SequenceNode):
            self._items: list[yaml.Node] = self._value.value
        elif self._value is None or self._value.tag == NULL:
            self._items = []
        else:
            raise CannotEdit("users is no list")

    def __contains__(self, key: str) -> bool:
        return key == "users" and self._key is not None

    def find(self, name: str) -> int | None:
        """Return which user has a name, or None."""
        for index, item in enumerate(self._items):
            if isinstance(item, yaml.MappingNode):
                for key, value in item.value:
                    if key.value == "name" and value.value == name:
                        return index
        return None

    def names(self) -> list[str]:
        """Return the names of all users."""
        return [
            value.value
            for item in self._items
            if isinstance(item, yaml.MappingNode)
            for key, value in item.value
            if key.value == "name" and isinstance(value.value, str)
        ]

    def keys(self, index: int) -> list[str]:
        """Return the keys that a user has."""
        return [key.value for key, _ in self._pairs(index)]

    # The edits; each returns the new text

    def add(self, fields: Mapping[str, Value]) -> str:
        """Add a user as the last one."""
        if not self._items:
            return self._add_first(fields)
        last = self._items[-1]
        if _is_flow(self._value):
            return self._insert(_end(last), f", {_flow(fields)}")
        dash = self._dash(len(self._items) - 1)
        indent = self.text[_line_start(self.text, dash) : dash]
        if indent.strip(" "):
            raise CannotEdit("the users begin in the middle of a line")
        style = _flow if _is_flow(last) else _block
        return self._insert_lines(_end(last), f"{indent}- {style(fields, indent, self._break)}")

    def remove(self, index: int) -> str:
        """Remove a user."""
        item = self._items[index]
        if _is_flow(self._value):
            before = _end(self._items[index - 1]) if index else None
            return self._cut(_start(item), _end(item), before)
        dash, end = self._dash(index), _end(item)
        first = _line_start(self.text, dash)
        if self.text[first:dash].strip(" "):
            raise CannotEdit("the user begins in the middle of a line")
        if len(self._items) > 1:
            return self.text[:first] + self.text[self._line_end(end) :]
        nothing = "[]" if dash > first else " []"
        rest = self._break if self._is_line_start(end) else ""
        return self.text[:dash] + nothing + rest + self.text[end:]

    def set(self, index: int, key: str, value: Value, instead: str | None = None) -> str:
        """Give a key of a user a value; in place of the key `instead`, if there is one."""
        pairs = self._pairs(index)
        for old, node in pairs:
            if old.value == (instead or key):
                text = self._with_value(old, node, value)
                if instead is None:
                    return text
                return text[: _start(old)] + key + text[old.end_mark.index :]
        first, last = pairs[0][0], pairs[-1][1]
        pair = f"{key}: {_value(value)}"
        if _is_flow(self._items[index]):
            return self._insert(_end(last), f", {pair}")
        return self._insert_lines(_end(last), " " * first.start_mark.column + pair)

    def unset(self, index: int, key: str) -> str:
        """Remove a key of a user, which has further ones."""
        pairs = self._pairs(index)
        place = self.keys(index).index(key)
        start, end = _start(pairs[place][0]), _end(pairs[place][1])
        if _is_flow(self._items[index]):
            return self._cut(start, end, _end(pairs[place - 1][1]) if place else None)
        if place:
            first = _line_start(self.text, start)
            return self.text[:first] + self.text[self._line_end(end) :]
        # The first key shares its line with the dash, which stays.
        after = _start(pairs[1][0])
        return self.text[:start] + self.text[after if not self.text[end:after].strip() else end :]

    # How they do it

    @property
    def _break(self) -> str:
        found = _BREAK.search(self.text)
        return found[0] if found else "\n"

    def _pairs(self, index: int) -> list[tuple[yaml.Node, yaml.Node]]:
        pairs: list[tuple[yaml.Node, yaml.Node]] = self._items[index].value
        return pairs

    def _add_first(self, fields: Mapping[str, Value]) -> str:
        item = f"  - {_flow(fields)}"
        if self._key is None or self._value is None:
            return self._insert_lines(len(self.text), f"users:{self._break}{item}")
        start, end = _start(self._value), _end(self._value)
        while start > self._key.end_mark.index and self.text[start - 1] in " \t\r\n":
            start -= 1
        return self.text[:start] + self._break + item + self.text[end:]

    def _dash(self, index: int) -> int:
        """Return where the dash before a user is."""
        if index:
            place = _end(self._items[index - 1])
        else:
            place = _start(self._value) if self._value is not None else 0
        place = self._skip(place)
        if self.text[place : place + 1] != "-":
            raise CannotEdit("the user does not begin with a dash")
        return place

    def _skip(self, place: int) -> int:
        found = _BETWEEN.match(self.text, place)
        return found.end() if found else place

    def _with_value(self, key: yaml.Node, node: yaml.Node, value: Value) -> str:
        if isinstance(node, yaml.SequenceNode) and isinstance(value, list):
            return self._with_list(key, node, value)
        if not isinstance(node, yaml.ScalarNode):
            raise CannotEdit("the value is not a single one")
        start, end = _start(node), node.end_mark.index
        text = _value(value)
        if start == end:
            text = f" {text}" if self.text[start - 1 : start] == ":" else f": {text}"
        elif node.style in _BLOCK_SCALARS and self._is_line_start(end):
            text += self._break
        return self.text[:start] + text + self.text[end:]

    def _with_list(self, key: yaml.Node, node: yaml.SequenceNode, value: list[str]) -> str:
        """Give a key another list; one of several lines becomes one of one line."""
        end = _end(node)
        if "#" in self.text[_start(node) : end]:
            raise CannotEdit("there are comments in the list")
        start = self.text.index(":", key.end_mark.index) + 1
        if self.text[start : _start(node)].strip():
            raise CannotEdit("there is something before the list")
        return f"{self.text[:start]} {_value(value)}{self.text[end:]}"

    def _cut(self, start: int, end: int, before: int | None) -> str:
        """Remove an item of a flow collection and one comma beside it.

        `before` is where the item before it ends, if there is one.
        """
        text, after = self.text, self._skip(end)
        if text[after : after + 1] == ",":
            if text[end:after].strip():
                return text[:start] + text[end:after] + text[after + 1 :]
            after += 1
            first, rest = _line_start(text, start), self._line_end(after)
            if not text[first:start].strip() and not text[after:rest].strip():
                return text[:first] + text[rest:]
            following = text[after:].lstrip(" ")
            return text[:start] + (text[after:] if following.startswith("#") else following)
        if before is not None and text[before:start].strip() == ",":
            return text[:before] + text[end:]
        return text[:start] + text[end:]

    def _insert(self, place: int, text: str) -> str:
        return self.text[:place] + text + self.text[place:]

    def _insert_lines(self, end: int, lines: str) -> str:
        """Insert whole lines after the one in which something ends."""
        place = self._line_end(end)
        before = self.text[:place]
        missing = "" if not before or self._is_line_start(place) else self._break
        return before + missing + lines + self._break + self.text[place:]

    def _line_end(self, end: int) -> int:
        """Return where the line after the one begins in which something ends."""
        if self._is_line_start(end):
            return end
        found = _BREAK.search(self.text, end)
        return found.end() if found else len(self.text)

    def _is_line_start(self, place: int) -> bool:
        before, after = self.text[place - 1 : place], self.text[place : place + 1]
        return place == 0 or (before in _BREAKS and before + after != "\r\n")


def verified(before: UsersText, text: str, change: Callable[[list[Plain]], None]) -> UsersText:
    """Return the users of `text`, which is `before` with `change` made to its users alone.

    Raises CannotEdit where it is not.
    """
    try:
        after = UsersText(text)
        users, others = _content(before)
        change(users)
        if _content(after) != (users, others):
            raise CannotEdit("the result would be another than wanted")
    except (yaml.YAMLError, RecursionError):
        raise CannotEdit("the result would not be YAML") from None
    return after


def scalar(text: str) -> str:
    """Return a text as YAML, in quotes only if it needs them."""
    if _PLAIN.fullmatch(text) and text.lower() != "null" and "," not in text:
        return text
    if text.isprintable():
        return "'" + text.replace("'", "''") + "'"
    dumped: str = yaml.safe_dump(text, default_style='"', width=float("inf"), allow_unicode=True)
    return dumped.rstrip("\n")


def _value(value: Value) -> str:
    """Return a value as YAML that fits into any line."""
    if isinstance(value, str):
        return scalar(value)
    return f"[{', '.join(map(scalar, value))}]"


def _content(users: UsersText) -> tuple[list[Plain], Plain]:
    """Return the users, and all that is in the text beside them."""
    root = users.root
    if not isinstance(root, yaml.MappingNode):
        return [], [] if root is None or root.tag == NULL else _plain(root)
    others = [(_plain(key), _plain(value)) for key, value in root.value if key.value != "users"]
    return [_plain(item) for item in users._items], others


def _plain(node: yaml.Node) -> Plain:
    if isinstance(node, yaml.MappingNode):
        return [(_plain(key), _plain(value)) for key, value in node.value]
    if isinstance(node, yaml.SequenceNode):
        return [_plain(item) for item in node.value]
    text: str = node.value
    return None if node.tag == NULL else text


def _flow(fields: Mapping[str, Value], indent: str = "", line_break: str = "") -> str:
    return "{" + ", ".join(f"{key}: {_value(value)}" for key, value in fields.items()) + "}"


def _block(fields: Mapping[str, Value], indent: str, line_break: str) -> str:
    lines = (f"{key}: {_value(value)}" for key, value in fields.items())
    return f"{line_break}{indent}  ".join(lines)


def _is_flow(node: yaml.Node | None) -> bool:
    return isinstance(node, yaml.CollectionNode) and bool(node.flow_style)


def _start(node: yaml.Node) -> int:
    index: int = node.start_mark.index
    return index


def _end(node: yaml.Node) -> int:
    """Return where a node ends; the mark of a block collection is where the next thing begins."""
    if isinstance(node, yaml.CollectionNode) and not node.flow_style and node.value:
        last = node.value[-1]
        return _end(last[1] if isinstance(last, tuple) else last)
    index: int = node.end_mark.index
    return index


def _line_start(text: str, place: int) -> int:
    return max(text.rfind(line_break, 0, place) for line_break in _BREAKS) + 1
