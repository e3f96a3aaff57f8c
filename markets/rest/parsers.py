"""The body of a request: JSON in UTF-8."""

import json
from collections.abc import Mapping
from typing import Any

from rest_framework.exceptions import ParseError
from rest_framework.parsers import JSONParser
from rest_framework.utils.json import strict_constant


class Utf8JSONParser(JSONParser):
    """JSON as RFC 8259 says: UTF-8 whatever `charset` claims, no NaN, no name twice, no nesting without end."""

    def parse(self, stream: Any, media_type: str | None = None, parser_context: Mapping[str, Any] | None = None) -> Any:
        try:
            text = stream.read().decode("utf-8")
            return json.loads(text, parse_constant=strict_constant, object_pairs_hook=_object)
        except RecursionError:
            raise ParseError("The body is nested too deeply. Flatten it.") from None
        except ValueError as error:
            raise ParseError(f"JSON parse error - {error}") from None


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object; a name given twice is refused, for either value may be the one that was meant."""
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise ParseError(f"The name {name[:60]!r} is given more than once in one object. Give it once.")
        found[name] = value
    return found
