"""Accounts: who holds what, and what each is meant to hold. What the sets contain is stored beside them, by time."""

from django.db import models
from django.db.models.functions import Lower

from markets.models.base import RegistryRow, identifier_field, not_blank


class AccountGroup(RegistryRow):
    group_name = models.CharField("name", max_length=100, unique=True, help_text="It never changes.")
    group_description = models.TextField("description", blank=True, null=True)
    metadata_json = models.JSONField("metadata", blank=True, null=True)

    class Meta:
        ordering = ["group_name"]
        verbose_name = "account group"
        constraints = [not_blank("group_name", "portfolios_accountgroup_name_not_blank")]

    def __str__(self) -> str:
        return self.group_name


class Account(RegistryRow):
    unique_identifier = identifier_field("identifier", unique=True, help_text="It never changes.")
    account_name = models.CharField("name", max_length=255, db_index=True)
    is_paper = models.BooleanField("paper account", default=True, help_text="Simulated: no money is behind it.")
    account_is_active = models.BooleanField("active", default=False, db_index=True)
    account_group = models.ForeignKey(
        AccountGroup, on_delete=models.SET_NULL, null=True, blank=True, related_name="accounts"
    )
    metadata_json = models.JSONField("metadata", blank=True, null=True)

    class Meta:
        ordering = [Lower("account_name"), "unique_identifier"]
        constraints = [
            not_blank("unique_identifier", "portfolios_account_identifier_not_blank"),
            not_blank("account_name", "portfolios_account_name_not_blank"),
        ]

    def __str__(self) -> str:
        return self.account_name


class AccountAllocationModel(RegistryRow):
    allocation_model_name = models.CharField("name", max_length=100, unique=True, help_text="It never changes.")
    allocation_model_description = models.TextField("description", blank=True, null=True)
    metadata_json = models.JSONField("metadata", blank=True, null=True)

    class Meta:
        ordering = ["allocation_model_name"]
        verbose_name = "account allocation model"
        constraints = [not_blank("allocation_model_name", "portfolios_allocationmodel_name_not_blank")]

    def __str__(self) -> str:
        return self.allocation_model_name


class AccountTargetAllocation(RegistryRow):
    unique_identifier = identifier_field("identifier", unique=True, help_text="It never changes.")
    account = models.ForeignKey(
        Account, on_delete=models.CASCADE, related_name="target_allocations", help_text="It never changes."
    )
    account_allocation_model = models.ForeignKey(
        AccountAllocationModel,
        on_delete=models.PROTECT,
        related_name="target_allocations",
        verbose_name="allocation model",
    )
    display_name = models.CharField(max_length=255, blank=True, null=True)
    is_active = models.BooleanField("active", default=True, db_index=True)
    source = models.CharField(max_length=255, blank=True, null=True)
    metadata_json = models.JSONField("metadata", blank=True, null=True)

    class Meta:
        ordering = ["unique_identifier"]
        verbose_name = "account target allocation"
        constraints = [not_blank("unique_identifier", "portfolios_targetallocation_identifier_not_blank")]

    def __str__(self) -> str:
        return self.display_name or self.unique_identifier


class PositionSet(RegistryRow):
    account_target_allocation = models.ForeignKey(
        AccountTargetAllocation,
        on_delete=models.CASCADE,
        related_name="position_sets",
        db_index=False,  # the unique index begins with it
        verbose_name="target allocation",
        help_text="It never changes.",
    )
    position_set_time = models.DateTimeField("time (UTC)", help_text="It never changes.")
    source = models.CharField(max_length=255, blank=True, null=True)
    metadata_json = models.JSONField("metadata", blank=True, null=True)

    class Meta:
        ordering = ["account_target_allocation", "-position_set_time"]
        verbose_name = "position set"
        constraints = [
            models.UniqueConstraint(
                fields=["account_target_allocation", "position_set_time"], name="portfolios_positionset_unique"
            )
        ]

    def __str__(self) -> str:
        return f"{self.account_target_allocation} {self.position_set_time:%Y-%m-%d %H:%M:%S}"


class AccountHoldingsSet(RegistryRow):
    account = models.ForeignKey(
        Account,
        on_delete=models.CASCADE,
        related_name="holdings_sets",
        db_index=False,  # the unique index begins with it
        help_text="It never changes.",
    )
    time_index = models.DateTimeField("time (UTC)", help_text="It never changes.")
    source_data_node_uid = models.UUIDField(
        "source",
        blank=True,
        null=True,
        help_text="Uid of the DataNode that the holdings came from. It is kept as given and points at nothing.",
    )

    class Meta:
        ordering = ["account", "-time_index"]
        verbose_name = "account holdings set"
        constraints = [
            models.UniqueConstraint(fields=["account", "time_index"], name="portfolios_accountholdingsset_unique")
        ]

    def __str__(self) -> str:
        return f"{self.account} {self.time_index:%Y-%m-%d %H:%M:%S}"
