"""Values of an index from a script."""

import pandas as pd
import pytest

import msm
from markets.exceptions import DuplicateKeys
from markets.models import Index as IndexModel
from markets.models import IndexValue
from msm import runtime
from msm.api.indices import Index
from msm.services import delete_index_values, read_index_values, write_index_values

pytestmark = pytest.mark.django_db


def test_an_index_writes_and_reads_its_values(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runtime, "_runtime", None)
    msm.start_engine(models=["Index"])
    sofr = Index.upsert(unique_identifier="SOFR", index_type="interest_rate", display_name="SOFR")
    frame = pd.DataFrame(
        {"value": [0.0531, 0.0532]},
        index=pd.DatetimeIndex(["2026-05-25T21:00Z", "2026-05-26T21:00Z"], name="time_index"),
    )

    assert sofr.write_values(frame, cadence="1d").inserted == 2
    with pytest.raises(DuplicateKeys):
        sofr.write_values(frame, cadence="1d")
    assert sofr.write_values(frame, cadence="1d", mode="upsert").unchanged == 2

    assert sofr.get_values(order="asc")["value"].tolist() == [0.0531, 0.0532]
    assert sofr.get_values(limit=1)["value"].tolist() == [0.0532]
    assert read_index_values("SOFR", cadence="1h").empty
    assert "index_identifier" not in frame
    assert write_index_values(frame.assign(index_identifier="SOFR"), cadence="1h").inserted == 2
    assert IndexValue.objects.count() == 4
    assert delete_index_values(IndexModel.objects.get(), cadence="1h") == 2
    assert IndexValue.objects.count() == 2
