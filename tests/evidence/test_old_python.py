"""Debian 12's Python (3.11.2) reads a possessive group wrongly, so there is none."""

import io
import re
import tokenize
from pathlib import Path

import wehr

SOURCES = sorted(Path(wehr.__file__).parent.rglob("*.py"))


def test_no_pattern_repeats_a_group_possessively() -> None:
    """``(...)*+``, ``(...)++`` and ``(...)?+`` match too little there; atomic groups do not."""
    found = [
        f"{source.name}:{token.start[0]}: {token.string}"
        for source in SOURCES
        for token in tokenize.generate_tokens(io.StringIO(source.read_text("utf-8")).readline)
        if token.type == tokenize.STRING and re.search(r"\)(?:[*+?]|\{\d*,?\d*\})\+", token.string)
    ]

    assert found == []
