"""What a query string asks of the servers."""

from collections.abc import Mapping
from typing import Final

import msgspec

from wehr.ledger.listing import ServerQuery
from wehr.web.visit import Visitor

FIELDS: Final = tuple(name for name in ServerQuery.__struct_fields__ if name != "tenants")
"""What may be asked for; which tenants are seen is the visitor's."""


class BadQuery(ValueError):
    """A parameter has a value that it cannot have; the message names both."""


def server_query(parameters: Mapping[str, str], visitor: Visitor, **defaults: object) -> ServerQuery:
    """The question; parameters that are empty or unknown count as not given.

    Raises:
        BadQuery: a value is none that is allowed.
    """
    given = {name: parameters[name].strip() for name in FIELDS if parameters.get(name, "").strip()}
    try:
        query = msgspec.convert({**defaults, **given}, ServerQuery, strict=False)
    except msgspec.ValidationError as error:
        raise BadQuery(str(error).replace("`$.", "`")) from None
    return msgspec.structs.replace(query, tenants=visitor.tenants)
