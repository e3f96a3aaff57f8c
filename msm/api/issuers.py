"""Issuers of bonds."""

import uuid
from typing import Any, Self

from markets.models import Issuer as IssuerModel
from markets.services import issuers
from markets.services.values import UNSET
from msm.api.rows import Row


class Issuer(Row):
    __model__ = IssuerModel
    __required_tables__ = ("Issuer",)

    unique_identifier: str
    display_name: str
    metadata_json: dict[str, Any] | None

    @classmethod
    def create(cls, *, unique_identifier: str, display_name: str, metadata_json: Any = None) -> Self:
        """A new issuer. Raises Conflict when the identifier is taken."""
        cls._rows()
        row = issuers.create_issuer(
            unique_identifier=unique_identifier, display_name=display_name, metadata_json=metadata_json
        )
        return cls._of(row)

    @classmethod
    def upsert(cls, *, unique_identifier: str, display_name: Any = UNSET, metadata_json: Any = UNSET) -> Self:
        """The issuer with this identifier, made or changed; omitted keeps, None clears."""
        cls._rows()
        saved = issuers.upsert_issuer(
            unique_identifier=unique_identifier, display_name=display_name, metadata_json=metadata_json
        )
        return cls._of(saved.row)

    @classmethod
    def update(cls, uid: uuid.UUID | str, *, display_name: Any = UNSET, metadata_json: Any = UNSET) -> Self:
        """Change an issuer; its identifier never changes. Raises NotFound."""
        row = issuers.update_issuer(cls._stored(uid), display_name=display_name, metadata_json=metadata_json)
        return cls._of(row)
