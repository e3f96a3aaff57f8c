"""Issuers of bonds."""

from typing import Any, Self, TypedDict, Unpack

from markets.models import Issuer as IssuerModel
from markets.services import issuers
from msm.api.payloads import Payload, Services
from msm.api.rows import Row, Uid


class IssuerFields(TypedDict, total=False):
    unique_identifier: str
    display_name: str
    metadata_json: dict[str, Any] | None


class Issuer(Row):
    __model__ = IssuerModel
    __required_tables__ = ("Issuer",)
    __writable__ = IssuerFields
    __services__ = Services(
        create=issuers.create_issuer,
        upsert=issuers.upsert_issuer,
        update=issuers.update_issuer,
        bulk_upsert=issuers.bulk_upsert_issuers,
    )

    unique_identifier: str
    display_name: str
    metadata_json: dict[str, Any] | None

    @classmethod
    def create(cls, payload: Payload | None = None, /, **fields: Unpack[IssuerFields]) -> Self:
        """A new issuer. Raises Conflict when the identifier is taken."""
        return cls._create(payload, fields)

    @classmethod
    def upsert(cls, payload: Payload | None = None, /, **fields: Unpack[IssuerFields]) -> Self:
        """The issuer with this identifier, made or changed; omitted keeps, None clears. A new one needs a name."""
        return cls._upsert(payload, fields)

    @classmethod
    def update(cls, uid: Uid, payload: Payload | None = None, /, **fields: Unpack[IssuerFields]) -> Self:
        """Change an issuer; its identifier never changes. Raises NotFound."""
        return cls._update(uid, payload, fields)
