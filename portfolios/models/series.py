"""The time-indexed tables of portfolios: signal weights, portfolio weights, portfolio values.

Their natural keys make them readable by any SQL or BI tool; the DataNode engine writes and reads them.
"""

from django.db import models

from markets.models.base import identifier_field


class SignalWeight(models.Model):
    pk = models.CompositePrimaryKey("signal_uid", "time_index", "asset_identifier")
    signal_uid = identifier_field("signal")
    time_index = models.DateTimeField()
    asset_identifier = identifier_field("asset")
    signal_weight = models.FloatField()

    class Meta:
        verbose_name = "signal weight"

    def __str__(self) -> str:
        return f"{self.signal_uid} {self.time_index:%Y-%m-%d} {self.asset_identifier}"


class PortfolioWeight(models.Model):
    pk = models.CompositePrimaryKey("portfolio_identifier", "time_index", "asset_identifier")
    portfolio_identifier = identifier_field("portfolio")
    time_index = models.DateTimeField()
    asset_identifier = identifier_field("asset")
    weight = models.FloatField()
    weight_before = models.FloatField(null=True)
    price_current = models.FloatField(null=True)
    price_before = models.FloatField(null=True)
    volume_current = models.FloatField(null=True)
    volume_before = models.FloatField(null=True)
    price_is_stale = models.BooleanField()

    class Meta:
        verbose_name = "portfolio weight"

    def __str__(self) -> str:
        return f"{self.portfolio_identifier} {self.time_index:%Y-%m-%d} {self.asset_identifier}"


class PortfolioValue(models.Model):
    pk = models.CompositePrimaryKey("portfolio_identifier", "time_index")
    portfolio_identifier = identifier_field("portfolio")
    time_index = models.DateTimeField()
    close = models.FloatField(help_text="Value of 1 invested at the start.")
    period_return = models.FloatField("return", db_column="return")
    calculated_close = models.FloatField()
    close_time = models.DateTimeField()
    turnover = models.FloatField()
    is_incomplete = models.BooleanField(help_text="An asset with weight had no price recent enough.")
    signal_expired = models.BooleanField()

    class Meta:
        verbose_name = "portfolio value"

    def __str__(self) -> str:
        return f"{self.portfolio_identifier} {self.time_index:%Y-%m-%d}"
