"""Where a key stands in a TOML text: ``tomllib`` tells values, not lines, and an error message needs both."""

import re
from collections import Counter
from collections.abc import Iterator, Sequence

Path = tuple[str | int, ...]

_TABLE = re.compile(r"^\s*\[\s*([^\[\]]+?)\s*\]\s*(?:#.*)?$")
_ARRAY = re.compile(r"^\s*\[\[\s*([^\[\]]+?)\s*\]\]\s*(?:#.*)?$")
_KEY = re.compile(
    r"""^\s*((?:[A-Za-z0-9_-]+|"[^"]*"|'[^']*')(?:\s*\.\s*(?:[A-Za-z0-9_-]+|"[^"]*"|'[^']*'))*)\s*="""
)
_PART = re.compile(r"""[A-Za-z0-9_-]+|"[^"]*"|'[^']*'""")


def line_of(text: str, path: Sequence[str | int]) -> int | None:
    """The line, from 1, of the key at ``path``, or of the nearest key or table around it, if any.

    ``path`` holds key names and, for arrays, indices from 0: ``("policy", "tenants", 1, "mode")``.
    """
    wanted = tuple(path)
    best: tuple[int, int] | None = None
    for number, found in _keys(text):
        if wanted[: len(found)] == found and (best is None or len(found) > best[0]):
            best = (len(found), number)
    return best[1] if best else None


def dotted(path: Sequence[str | int]) -> str:
    """A path as people write it: ``policy.tenants[1].mode``."""
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path).removeprefix(".")


def _keys(text: str) -> Iterator[tuple[int, Path]]:
    """Each line that names a table or a key, with its whole path."""
    table: Path = ()
    arrays: Counter[Path] = Counter()
    for number, line in enumerate(text.splitlines(), 1):
        if match := _ARRAY.match(line):
            name = _resolve(_parts(match[1]), arrays)
            table = (*name, arrays[name])
            arrays[name] += 1
            yield number, table
        elif match := _TABLE.match(line):
            table = _resolve(_parts(match[1]), arrays)
            yield number, table
        elif match := _KEY.match(line):
            yield number, (*table, *_parts(match[1]))


def _parts(dotted: str) -> Path:
    return tuple(part.strip("\"'") for part in _PART.findall(dotted))


def _resolve(name: Path, arrays: Counter[Path]) -> Path:
    """A table name with the index of the newest element put after each array of tables in it."""
    path: Path = ()
    for depth, part in enumerate(name):
        path = (*path, part)
        if depth < len(name) - 1 and arrays[path]:
            path = (*path, arrays[path] - 1)
    return path
