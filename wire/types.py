"""Names for the things that a core is given from outside."""

from collections.abc import Callable

Octets = bytes | bytearray | memoryview
"""Anything that holds octets and can be sliced."""

Entropy = Callable[[int], bytes]
"""`entropy(n)` returns n octets that nobody can predict (os.urandom in the program)."""
