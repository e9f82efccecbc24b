"""A check of our own logic."""

from typing import TypeVar

from wire import LocalError

Thing = TypeVar("Thing")


def known(thing: Thing | None) -> Thing:
    """Return what the state of an exchange says must be there. Raises LocalError if it is not."""
    if thing is None:
        raise LocalError("an exchange is in a state that it has not come to")
    return thing
