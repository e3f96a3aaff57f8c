"""Resolutions: lists of identifiers put to OpenFIGI, what it answered to each, and what was decided."""

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q

from markets.models.assets import Asset
from markets.models.base import RegistryRow, not_blank
from markets.models.jobs import Job


class FigiAnswer(models.Model):
    """What OpenFIGI answered to one mapping job: the evidence of a decision, and the reason not to ask again."""

    id = models.BigAutoField(primary_key=True)
    job_hash = models.CharField(max_length=64, unique=True, db_collation="C", help_text="SHA-256 of the job.")
    job = models.JSONField(help_text="As it was sent.")
    outcome = models.CharField(
        max_length=16, choices=[("found", "Found"), ("not_found", "Not found"), ("rejected", "Rejected")]
    )
    rows = models.JSONField(default=list, help_text="As they came.")
    message = models.TextField(blank=True, default="")
    asked_at = models.DateTimeField()
    expires_at = models.DateTimeField(null=True, blank=True, help_text="Not found may change: then it is asked again.")

    class Meta:
        verbose_name = "answer of OpenFIGI"
        verbose_name_plural = "answers of OpenFIGI"
        constraints = [
            models.CheckConstraint(
                condition=Q(outcome__in=["found", "not_found", "rejected"]), name="markets_figianswer_outcome"
            ),
            models.CheckConstraint(
                condition=~Q(outcome="not_found") | Q(expires_at__isnull=False), name="markets_figianswer_expires"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.job.get('idType')} {self.job.get('idValue')}"


class HomeMarketPolicy(RegistryRow):
    """Which country's composite is meant when a source gives an identifier of many listings."""

    source = models.CharField(
        max_length=64, unique=True, help_text="The source that lists name, such as us_broker; default for all others."
    )
    exchange_codes = ArrayField(
        models.CharField(max_length=8),
        help_text="OpenFIGI's codes of composites in the order in which they are preferred: US, GR, LN.",
    )
    note = models.TextField(blank=True, default="")

    class Meta:
        ordering = ["source"]
        verbose_name = "home market"
        constraints = [
            not_blank("source", "markets_homemarketpolicy_source_not_blank"),
            models.CheckConstraint(condition=Q(exchange_codes__len__gte=1), name="markets_homemarketpolicy_has_codes"),
        ]

    def __str__(self) -> str:
        return f"{self.source}: {', '.join(self.exchange_codes)}"


class Resolution(RegistryRow):
    """One list of identifiers. It is done by its job; its items say what became of each."""

    title = models.CharField(max_length=255)
    source = models.CharField(max_length=64, blank=True, default="", help_text="Names the home markets to prefer.")
    exchange_codes = ArrayField(
        models.CharField(max_length=8),
        default=list,
        blank=True,
        help_text="The home markets as they were when the list was given.",
    )
    job = models.OneToOneField(Job, on_delete=models.SET_NULL, null=True, blank=True, related_name="resolution")
    requested_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True, related_name="+"
    )
    lines = models.PositiveIntegerField(default=0, help_text="Lines of the list that are no comment.")
    repeated = models.PositiveIntegerField(default=0, help_text="Lines that repeat an earlier one.")
    requests_sent = models.PositiveIntegerField(default=0, help_text="Requests to OpenFIGI, tries included.")

    class Meta:
        ordering = ["-id"]
        permissions = [("resolve_identifiers", "Can resolve identifiers"), ("decide_resolutions", "Can decide reviews")]

    def __str__(self) -> str:
        return self.title


class ItemStatus(models.TextChoices):
    PENDING = "pending", "Waiting"
    KNOWN = "known", "Known already"
    REGISTERED = "registered", "Registered"
    REVIEW = "review", "To be decided"
    DECLINED = "declined", "Declined"
    NOT_FOUND = "not_found", "Not found"
    REJECTED = "rejected", "Wrong"
    FAILED = "failed", "Failed"


WITH_ASSET = [ItemStatus.KNOWN, ItemStatus.REGISTERED]


class ResolutionItem(models.Model):
    """One identifier of a list; it ends in exactly one outcome."""

    id = models.BigAutoField(primary_key=True)
    resolution = models.ForeignKey(Resolution, on_delete=models.CASCADE, related_name="items")
    line = models.PositiveIntegerField(help_text="Where it stands first.")
    text = models.CharField(max_length=255)
    scheme = models.CharField(max_length=32, blank=True, default="", db_collation="C")
    value = models.CharField(max_length=64, blank=True, default="", db_collation="C")
    venue = models.CharField(max_length=4, blank=True, default="", db_collation="C")
    status = models.CharField(max_length=16, choices=ItemStatus, default=ItemStatus.PENDING)
    message = models.TextField(blank=True, default="", help_text="Why it ended so, or what is to be decided.")
    tries = models.PositiveSmallIntegerField(default=0)
    answer = models.ForeignKey(FigiAnswer, on_delete=models.PROTECT, null=True, blank=True, related_name="items")
    asset = models.ForeignKey(Asset, on_delete=models.SET_NULL, null=True, blank=True, related_name="+")
    figi = models.CharField("FIGI", max_length=12, blank=True, default="", help_text="The one that was chosen.")
    decided_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True, related_name="+"
    )
    decided_at = models.DateTimeField(null=True, blank=True)
    is_postponed = models.BooleanField(default=False, help_text="Put off: at the end of the inbox.")

    class Meta:
        ordering = ["resolution", "line"]
        verbose_name = "resolution item"
        constraints = [
            models.UniqueConstraint(fields=["resolution", "line"], name="markets_resolutionitem_line"),
            models.UniqueConstraint(
                fields=["resolution", "scheme", "value", "venue"],
                condition=~Q(value=""),
                name="markets_resolutionitem_once",
            ),
            models.CheckConstraint(condition=Q(status__in=ItemStatus.values), name="markets_resolutionitem_status"),
            models.CheckConstraint(
                condition=~Q(status__in=[ItemStatus.REVIEW]) | Q(answer__isnull=False),
                name="markets_resolutionitem_review_has_answer",
            ),
        ]
        indexes = [
            models.Index(fields=["resolution", "status"], name="markets_resolutionitem_status"),
            models.Index(
                fields=["is_postponed", "id"], condition=Q(status="review"), name="markets_resolutionitem_inbox"
            ),
        ]

    def __str__(self) -> str:
        return self.text


class RememberedDecision(RegistryRow):
    """What a person decided for an identifier, so that nobody is asked again."""

    scheme = models.CharField(max_length=32, db_collation="C")
    value = models.CharField(max_length=64, db_collation="C")
    venue = models.CharField(max_length=4, blank=True, default="", db_collation="C")
    source = models.CharField(max_length=64, blank=True, default="", help_text="Of lists of this source.")
    figi = models.CharField("FIGI", max_length=12, blank=True, default="", help_text="Empty: none of the candidates.")
    reason = models.TextField(blank=True, default="")
    decided_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True, related_name="+"
    )

    class Meta:
        ordering = ["scheme", "value", "venue", "source"]
        verbose_name = "remembered decision"
        constraints = [
            models.UniqueConstraint(
                fields=["scheme", "value", "venue", "source"], name="markets_remembereddecision_once"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.scheme} {self.value}: {self.figi or 'none'}"
