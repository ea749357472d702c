"""Errors as programs are told them."""

from msgspec import Struct


class Problem(Struct, frozen=True):
    """An error, as RFC 9457 has it. ``detail`` is for people."""

    title: str
    status: int
    type: str = "about:blank"
    detail: str = ""
