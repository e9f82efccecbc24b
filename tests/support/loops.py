"""Tests that are coroutines."""

import asyncio
from collections.abc import Callable, Coroutine
from functools import wraps
from typing import ParamSpec

P = ParamSpec("P")


def in_loop(
    test: Callable[P, Coroutine[object, object, None]],
) -> Callable[P, None]:
    """Return a test that runs this one in an event loop of its own."""

    @wraps(test)
    def run(*arguments: P.args, **named: P.kwargs) -> None:
        asyncio.run(test(*arguments, **named))  # type: ignore[arg-type]

    return run
