"""A configuration as TOML text: what is in force, or a reference with a comment on every key."""

import json
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, get_args, get_origin

import msgspec
from msgspec import Struct

from wehr.service.config import Config


def render(config: Config, *, comments: bool = False) -> str:
    """The configuration as TOML; with ``comments`` each key is explained."""
    lines = list(_table((), config, comments))
    return "\n".join(lines).strip() + "\n"


def _table(path: tuple[str, ...], value: Struct, comments: bool) -> Iterator[str]:
    """A table: its plain keys first, for TOML reads what follows a table's head as part of it."""
    fields = msgspec.structs.fields(value)
    inner = [field for field in fields if isinstance(getattr(value, field.name), Struct)]
    if path:
        yield ""
        if comments and (about := _first_line(type(value).__doc__)):
            yield f"# {about}"
        yield f"[{'.'.join(path)}]"
    for field in fields:
        if field in inner:
            continue
        if comments and (about := _description(field.type)):
            yield f"# {about}"
        plain = msgspec.to_builtins(getattr(value, field.name), builtin_types=())
        text = _value(plain)
        yield f"# {field.encode_name} =" if plain is None else f"{field.encode_name} = {text}"
    for field in inner:
        yield from _table((*path, field.encode_name), getattr(value, field.name), comments)


def _value(value: Any) -> str:
    if isinstance(value, Mapping):
        pairs = (f"{_key(key)} = {_value(item)}" for key, item in value.items() if item is not None)
        return "{ " + ", ".join(pairs) + " }"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_value, value)) + "]"
    # JSON's texts, numbers and booleans are TOML's, but for surrogate pairs: so no escapes beyond ASCII.
    return json.dumps(value, ensure_ascii=False)


def _key(key: str) -> str:
    return key if key.replace("_", "").replace("-", "").isalnum() and key.isascii() else json.dumps(key)


def _description(kind: Any) -> str:
    if get_origin(kind) is Annotated:
        for meta in get_args(kind)[1:]:
            if isinstance(meta, msgspec.Meta) and meta.description:
                return meta.description
    return ""


def _first_line(text: str | None) -> str:
    return (text or "").strip().split("\n")[0]
