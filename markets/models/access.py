"""Access tokens for the REST API: hashed, named, expiring, revocable."""

from django.db import models
from knox.models import AbstractAuthToken


class AccessToken(AbstractAuthToken):
    name = models.CharField(max_length=100, blank=True, default="", help_text="What uses it.")
    is_read_only = models.BooleanField("read only", default=False, help_text="A read-only token writes nothing.")
    last_used_at = models.DateTimeField(null=True, blank=True, editable=False)

    class Meta(AbstractAuthToken.Meta):
        abstract = False
        ordering = ["-created"]
        verbose_name = "access token"

    def __str__(self) -> str:
        return self.name or self.token_key
