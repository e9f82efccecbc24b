"""What is wrong with a configuration, and where."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple


class Place(NamedTuple):
    """A line of a file; line 0 is the file as a whole."""

    file: str
    line: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}" if self.line else self.file


class Problem(NamedTuple):
    """One mistake: where it is, what was expected there, how to mend it."""

    place: Place
    text: str

    def __str__(self) -> str:
        return f"{self.place}: {self.text}"


@dataclass(slots=True)
class Problems:
    """Collects what is found in one run: errors forbid the configuration, warnings do not."""

    errors: list[Problem] = field(default_factory=list)
    warnings: list[Problem] = field(default_factory=list)

    def error(self, place: Place, text: str) -> None:
        self.errors.append(Problem(place, text))

    def warn(self, place: Place, text: str) -> None:
        self.warnings.append(Problem(place, text))


class ConfigurationError(Exception):
    """The configuration cannot be used; the text has one line for each problem."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__("\n".join(map(str, problems)))
        self.problems = tuple(problems)
