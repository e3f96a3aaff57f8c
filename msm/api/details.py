"""What rows of an asset's terms share: the asset's identity beside the terms."""

import uuid
from typing import Any

from pydantic import Field

from msm.api.rows import Row


class DetailsRow(Row):
    """`uid` is the asset's. `delete` removes the terms; the asset stays."""

    asset_uid: uuid.UUID = Field(validation_alias="uid")
    unique_identifier: str
    asset_type: str | None

    @classmethod
    def _field(cls, name: str) -> str:
        return _COLUMNS.get(name, name) if name in cls.model_fields else super()._field(name)


_COLUMNS: dict[str, Any] = {"asset_uid": "uid"}
