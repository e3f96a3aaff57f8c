"""Packs a column for a parameter that is an array of PostgreSQL, with numpy instead of a driver's look at each value.

Format: `array_send` and `array_recv` of the server's source; the elements as in its binary COPY.
"""

import struct

import numpy as np

from markets.engine.binary_copy import Field, FixedField, TextField

ELEMENT_OIDS = {  # of pg_type, which are the same in every server
    "float64": 701,
    "float32": 700,
    "int64": 20,
    "int32": 23,
    "int16": 21,
    "bool": 16,
    "timestamp with time zone": 1184,
    "date": 1082,
    "string": 25,
}
ARRAY_OIDS = {
    "float64": 1022,
    "float32": 1021,
    "int64": 1016,
    "int32": 1007,
    "int16": 1005,
    "bool": 1000,
    "timestamp with time zone": 1185,
    "date": 1182,
    "string": 1009,
}
_HEADER = struct.Struct(">iiIii")  # dimensions, whether there are nulls, element type, length, first position


def pack_array(field: Field, token: str) -> bytes:
    """The elements in their order as a one-dimensional array of the token's type."""
    count = len(field.codes if isinstance(field, TextField) else field.values)
    has_nulls = field.is_null is not None and bool(field.is_null.any())
    header = _HEADER.pack(1, int(has_nulls), ELEMENT_OIDS[token], count, 1)
    body = _texts(field) if isinstance(field, TextField) else _numbers(field)
    return header + body


def _numbers(field: FixedField) -> bytes:
    wire = np.dtype(field.wire)
    elements = np.empty(len(field.values), dtype=[("size", ">i4"), ("value", wire)])
    elements["size"], elements["value"] = wire.itemsize, field.values
    if field.is_null is None:
        return elements.tobytes()
    elements["size"][field.is_null] = -1
    kept = np.ones((len(elements), elements.dtype.itemsize), dtype=bool)
    kept[field.is_null, 4:] = False  # a null has a size and no value
    return elements.view(np.uint8).reshape(kept.shape)[kept].tobytes()


def _texts(field: TextField) -> bytes:
    encoded = [label.encode() for label in field.labels]
    packed = [struct.pack(">i", len(text)) + text for text in encoded]
    codes = field.codes.tolist()
    if field.is_null is None:
        return b"".join([packed[code] for code in codes])
    null = struct.pack(">i", -1)
    return b"".join(
        [null if is_null else packed[code] for code, is_null in zip(codes, field.is_null.tolist(), strict=True)]
    )
