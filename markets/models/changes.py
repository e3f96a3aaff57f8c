"""The record of what changed in the registry: written by triggers of its tables, kept for ever, changed by nobody."""

import json
from decimal import Decimal
from typing import Any

from django.contrib.postgres.indexes import BrinIndex
from django.db import models


class ExactNumbers(json.JSONDecoder):
    """Reads what JSON writes with a point as Decimal: a NUMERIC keeps its digits."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**{**options, "parse_float": Decimal})


class Operation(models.TextChoices):
    INSERT = "I", "Created"
    UPDATE = "U", "Changed"
    DELETE = "D", "Deleted"
    TRUNCATE = "T", "Table emptied"


class Change(models.Model):
    """One row written. It refers to others by value only: what it tells outlives them.

    `row_uid` is the row's uid, of an asset's details the asset's. `owner_uid` is what the row belongs to (a membership
    to its asset, a session to its calendar), `group_uid` what gathers it (a membership: its category). An update keeps
    the fields that differ, an insert the new row, a deletion the whole row as it was.
    """

    id = models.BigAutoField(primary_key=True)
    at = models.DateTimeField("when (UTC)")
    transaction_id = models.BigIntegerField("transaction", help_text="Changes of one transaction share it.")
    table_name = models.CharField("entity", max_length=63)
    operation = models.CharField("what", max_length=1, choices=Operation)
    row_key = models.BigIntegerField(null=True)
    row_uid = models.UUIDField("uid", null=True)
    owner_uid = models.UUIDField(null=True)
    group_uid = models.UUIDField(null=True)
    row_name = models.TextField("row", blank=True, default="")
    old = models.JSONField(null=True, decoder=ExactNumbers)
    new = models.JSONField(null=True, decoder=ExactNumbers)
    source = models.CharField("from", max_length=32)
    actor = models.CharField("who", max_length=150, null=True)
    actor_id = models.BigIntegerField(null=True, help_text="The user's id, when the actor was a user of MSM.")
    reason = models.TextField("why", null=True)

    class Meta:
        ordering = ["-id"]
        verbose_name = "change"
        default_permissions = ("view",)
        indexes = [
            models.Index(fields=["row_uid", "id"], name="markets_change_row"),
            models.Index(
                fields=["owner_uid", "id"], name="markets_change_owner", condition=models.Q(owner_uid__isnull=False)
            ),
            models.Index(
                fields=["group_uid", "id"], name="markets_change_group", condition=models.Q(group_uid__isnull=False)
            ),
            models.Index(fields=["table_name", "id"], name="markets_change_table"),
            models.Index(fields=["actor", "id"], name="markets_change_actor"),
            # names what is gone, for those that still refer to it
            models.Index(
                fields=["table_name", "row_key"], name="markets_change_deleted", condition=models.Q(operation="D")
            ),
            BrinIndex(fields=["at"], name="markets_change_at"),
        ]

    def __str__(self) -> str:
        return f"{self.get_operation_display()} {self.row_name}"
