"""Asset types and assets: the identity of an instrument, and nothing else."""

from django.contrib.postgres.indexes import GinIndex, OpClass
from django.contrib.postgres.search import SearchVector
from django.db import models
from django.db.models.functions import Lower, Upper

from markets.models.base import RegistryRow, identifier_field, not_blank


class AssetType(RegistryRow):
    asset_type = models.CharField(
        "key", max_length=64, unique=True, help_text="Lower case, words joined by _: currency_spot."
    )
    display_name = models.CharField(max_length=255, blank=True, null=True, db_index=True)
    description = models.TextField(blank=True, null=True)
    metadata_json = models.JSONField("metadata", blank=True, null=True)

    class Meta:
        ordering = ["asset_type"]
        verbose_name = "asset type"
        constraints = [
            models.CheckConstraint(
                condition=models.Q(asset_type__regex=r"^\S+$") & models.Q(asset_type=Lower("asset_type")),
                name="markets_assettype_key_normalised",
            )
        ]

    def __str__(self) -> str:
        return self.display_name or self.asset_type


class Asset(RegistryRow):
    unique_identifier = identifier_field(
        "identifier",
        unique=True,
        help_text="The FIGI of a public asset, or the identifier that your organisation gives. It never changes.",
    )
    asset_type = models.CharField(max_length=64, blank=True, null=True)
    is_custom_by_organization = models.BooleanField(
        "custom", default=True, help_text="Kept by your organisation, not by a public master."
    )
    merged_into = models.ForeignKey(
        "self",
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        editable=False,
        related_name="merged_assets",
        db_index=False,  # nearly all are null: the partial index below serves
        help_text="The asset that this one was a duplicate of; whoever asks for this one is sent there.",
    )

    class Meta:
        ordering = ["unique_identifier"]
        constraints = [
            not_blank("unique_identifier", "markets_asset_identifier_not_blank"),
            models.CheckConstraint(
                condition=~models.Q(merged_into=models.F("id")), name="markets_asset_not_merged_into_itself"
            ),
        ]
        indexes = [  # each order of the lists, and each filter in the order of the identifiers
            models.Index(Upper("unique_identifier"), name="markets_asset_identifier_upper"),
            models.Index(fields=["asset_type", "unique_identifier"], name="markets_asset_type"),
            models.Index(fields=["is_custom_by_organization", "unique_identifier"], name="markets_asset_custom"),
            models.Index(fields=["created_at", "id"], name="markets_asset_created"),
            models.Index(fields=["updated_at", "id"], name="markets_asset_updated"),
            models.Index(
                fields=["merged_into"],
                name="markets_asset_merged",
                condition=models.Q(merged_into__isnull=False),
            ),
            # what lists show and count: the merged ones are left out
            models.Index(fields=["id"], name="markets_asset_unmerged", condition=models.Q(merged_into__isnull=True)),
        ]
        permissions = [
            ("force_delete_public_asset", "Can delete an asset of the public master"),
            ("merge_asset", "Can merge duplicate assets"),
        ]

    def __str__(self) -> str:
        return self.unique_identifier


class FoldedName(models.Func):
    """A name without case, blanks and ASCII punctuation: ACME Corp. and Acme CORP are one.

    Characters are taken out one by one: a pattern would cost ten times as much at a million names.
    """

    PUNCTUATION = " !\"#$&''()*+,-./:;<=>?@[\\]^_`{|}~"  # quoted for SQL
    template = f"upper(translate(%(expressions)s, '{PUNCTUATION}', ''))"
    output_field = models.TextField()


class OpenFigiDetails(models.Model):
    """What OpenFIGI says of an asset; the asset is its primary key."""

    asset = models.OneToOneField(Asset, on_delete=models.CASCADE, primary_key=True, related_name="openfigi_details")
    figi = models.CharField("FIGI", max_length=12, blank=True, null=True)
    composite = models.CharField("composite FIGI", max_length=12, blank=True, null=True)
    share_class = models.CharField("share class FIGI", max_length=12, blank=True, null=True)
    isin = models.CharField("ISIN", max_length=12, blank=True, null=True)
    ticker = models.CharField(max_length=50, blank=True, null=True)
    name = models.CharField(max_length=255, blank=True, null=True)
    exchange_code = models.CharField(max_length=50, blank=True, null=True)
    security_type = models.CharField(max_length=50, blank=True, null=True)
    security_type_2 = models.CharField(max_length=50, blank=True, null=True)
    security_market_sector = models.CharField(max_length=50, blank=True, null=True)
    security_description = models.CharField(max_length=255, blank=True, null=True)
    unique_id = models.CharField("unique id", max_length=255, blank=True, null=True)
    unique_id_fut_opt = models.CharField("unique id of future or option", max_length=255, blank=True, null=True)
    metadata_text = models.TextField("metadata", blank=True, null=True, db_column="metadata")
    raw_payload = models.JSONField(blank=True, null=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        verbose_name = "OpenFIGI details"
        verbose_name_plural = "OpenFIGI details"
        constraints = [models.UniqueConstraint(fields=["figi"], name="markets_openfigidetails_figi_unique")]
        indexes = [
            models.Index(fields=["composite"], name="markets_openfigi_composite"),
            models.Index(fields=["share_class"], name="markets_openfigi_share_class"),
            models.Index(fields=["isin"], name="markets_openfigi_isin"),
            models.Index(fields=["ticker"], name="markets_openfigi_ticker"),
            # the pattern operator class serves `LIKE 'AA%'` whatever the database's collation is
            models.Index(OpClass(Upper("ticker"), name="text_pattern_ops"), name="markets_openfigi_ticker_upper"),
            models.Index(OpClass(Upper("name"), name="text_pattern_ops"), name="markets_openfigi_name"),
            GinIndex(SearchVector("name", config="simple"), name="markets_openfigi_words"),
            models.Index(FoldedName("name"), name="markets_openfigi_folded_name"),  # for duplicates
        ]

    def __str__(self) -> str:
        return self.figi or self.ticker or str(self.asset_id)
