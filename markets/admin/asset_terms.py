"""The terms of an asset on its own page, with the way to where they are kept."""

from typing import Any

from django.db.models import Model
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from markets.admin.formatting import NOTHING, link, utc
from markets.admin.tables import Column, Table
from markets.models import Asset
from markets.services.type_changes import DETAILS_BY_TYPE


def terms_of(asset: Asset, user: Any) -> Table | None:
    """The asset's terms, and where they are kept; None for an asset whose type has none and that has none."""
    rows: list[tuple[Any, Any]] = []
    for model in DETAILS_BY_TYPE.values():
        found = model.objects.filter(pk=asset.pk).first()
        name = model._meta.model_name
        if found is None or not user.has_perm(f"markets.view_{name}"):
            continue
        for field in model._meta.concrete_fields:
            if field.name not in ("asset", "created_at", "updated_at"):
                rows.append((field.verbose_name, _term(found, field.name)))
        rows.append(("", link(reverse(f"admin:markets_{name}_change", args=(asset.pk,)), f"Open the {name}'s page")))
    wanted = DETAILS_BY_TYPE.get(asset.asset_type or "")
    if not rows and wanted is None:
        return None
    empty: SafeString | str = "No terms are kept."
    if wanted is not None:
        url = reverse(
            f"admin:markets_{wanted._meta.model_name}_add", query={"unique_identifier": asset.unique_identifier}
        )
        empty = format_html(
            "This {0} has no terms yet: <a class='msm-link' href='{1}'>add them</a>.", wanted._meta.verbose_name, url
        )
    return Table(label="Terms", columns=[Column("Term"), Column("Value")], rows=rows, empty=empty)


def _term(row: Any, name: str) -> Any:
    value = getattr(row, name)
    if value is None:
        return NOTHING
    if isinstance(value, Model):
        return link(reverse(f"admin:markets_{value._meta.model_name}_change", args=(value.pk,)), value)
    if name in ("expires_at", "settles_at"):
        return utc(value)
    if name == "contract_size":
        return f"{value.normalize():f}"
    return str(value)
