"""The Snapshots tab of an asset's page: how it was named and listed since when, and a form for what holds from now."""

from typing import Any

from django import forms
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from unfold.widgets import UnfoldAdminSplitDateTimeWidget, UnfoldAdminTextInputWidget

from markets.admin.asset_form_tabs import form_tab
from markets.admin.formatting import NOTHING, utc
from markets.admin.selecting import ReasonField
from markets.admin.tables import Column, Pages, Table
from markets.data_nodes.snapshots import COLUMNS, LABELS, LONGEST
from markets.models import Asset, AssetSnapshot
from markets.services import snapshots

VIEW, ADD = "markets.view_assetsnapshot", "markets.add_assetsnapshot"


class SnapshotForm(forms.Form):
    time_index = forms.SplitDateTimeField(
        label="Holds from (UTC)",
        widget=UnfoldAdminSplitDateTimeWidget(),
        help_text="Since when it is named and listed so. A correction is a snapshot with a later time.",
    )
    reason = ReasonField(help_text="It is kept in the log of the run that writes the snapshot.")

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        texts = {
            name: forms.CharField(
                label=LABELS[name][0],
                help_text=LABELS[name][1],
                required=False,
                max_length=LONGEST,
                widget=UnfoldAdminTextInputWidget(attrs={"autocomplete": "off"}),
            )
            for name in COLUMNS
        }
        self.fields = {"time_index": self.fields["time_index"], **texts, "reason": self.fields["reason"]}

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        if not self.errors and not any(cleaned[name] for name in COLUMNS):
            raise forms.ValidationError("Say at least one thing of the asset: its name, ticker, exchange or group.")
        return cleaned


class SnapshotTab:
    """For the page of assets, before the other bases."""

    def more_tabs(self, request: HttpRequest, obj: Any) -> list[dict[str, Any]]:
        link = reverse("admin:asset_snapshots", args=(obj.pk,))
        shown = [{"title": "Snapshots", "link": link}] if request.user.has_perm(VIEW) else []
        return [*super().more_tabs(request, obj), *shown]  # type: ignore[misc]

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.snapshots_view)  # type: ignore[attr-defined]
        return [path("<int:pk>/snapshots/", view, name="asset_snapshots"), *super().get_urls()]  # type: ignore[misc]

    def snapshots_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        return form_tab(
            self,
            request,
            pk,
            title="Snapshots",
            what="a snapshot",
            view=VIEW,
            add=ADD,
            form_class=SnapshotForm,
            initial=_initial,
            save=_record,
            table=_table,
        )


def _record(asset: Asset, said: dict[str, Any]) -> str:
    snapshots.record_snapshots({"asset_identifier": asset.unique_identifier, **said})
    return f"The snapshot of {asset} is stored."


def _initial(asset: Asset) -> dict[str, Any]:
    (latest,) = snapshots.asset_reference_details_by_uids([asset.uid])
    return {
        "time_index": timezone.now().replace(microsecond=0),
        **{name: getattr(latest, name) or "" for name in COLUMNS},
    }


def _table(request: HttpRequest, asset: Asset) -> Table:
    rows = AssetSnapshot.objects.filter(asset_identifier=asset.unique_identifier)
    pages = Pages(
        request,
        rows,
        prefix="snapshots",
        sorts={"-time": "time_index", "time": "time_index"},
        then="asset_identifier",
    )
    return Table(
        label="Snapshots",
        columns=[Column("Holds from (UTC)", sort="time"), *(Column(LABELS[name][0]) for name in COLUMNS)],
        rows=[
            (utc(row.time_index, zone=False), *(getattr(row, name) or NOTHING for name in COLUMNS))
            for row in pages.items
        ],
        pages=pages,
        empty=(
            "No snapshot is stored: nothing is known of how this asset was named and listed. Add the first one, send "
            "some to /api/v1/asset-snapshot/, or run AssetSnapshot().set_snapshots(rows) in Python."
        ),
    )
