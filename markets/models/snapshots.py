"""Asset snapshots: how an asset was named and listed from an instant on. Rows are added, never changed."""

from django.db import models

from markets.models.base import identifier_field


class AssetSnapshot(models.Model):
    """A text that the source does not tell is empty, never null."""

    pk = models.CompositePrimaryKey("asset_identifier", "time_index")
    asset_identifier = identifier_field("asset")
    time_index = models.DateTimeField(help_text="From when on this was known.")
    name = models.TextField()
    ticker = models.TextField()
    exchange_code = models.TextField()
    asset_ticker_group_id = models.TextField(
        "ticker group", help_text="What listings of one share class have in common: the share-class FIGI."
    )

    class Meta:
        ordering = ["asset_identifier", "time_index"]
        verbose_name = "asset snapshot"
        indexes = [models.Index(fields=["time_index", "asset_identifier"], name="markets_assetsnapshot_time")]

    def __str__(self) -> str:
        return f"{self.asset_identifier} {self.time_index:%Y-%m-%d %H:%M:%S}"
