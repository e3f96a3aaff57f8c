"""What every registry row has: an internal id, the public uid, and when it was made and changed."""

import uuid

from django.db import models
from uuid_utils import compat


def new_uid() -> uuid.UUID:
    """A UUIDv7: unique, and ordered by time so that its index grows at one end."""
    return compat.uuid7()


class RegistryRow(models.Model):
    id = models.BigAutoField(primary_key=True)
    uid = models.UUIDField("uid", unique=True, default=new_uid, editable=False)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        abstract = True


def not_blank(field: str, name: str) -> models.CheckConstraint:
    """A constraint: `field` neither is empty nor begins or ends with white space."""
    return models.CheckConstraint(
        condition=models.Q(**{f"{field}__regex": r"^\S(.*\S)?$"}),
        name=name,
        violation_error_message=f"{field.replace('_', ' ').capitalize()} must not be blank.",
    )


def identifier_field(verbose_name: str, **options: object) -> models.CharField:
    """A business key: byte order (collation "C"), so that its index is small and time-indexed tables join fast."""
    return models.CharField(verbose_name, max_length=255, db_collation="C", **options)  # type: ignore[arg-type]
