"""Seed 002, Asset Categories: each block in an interpreter of its own; `mainsequence.client` is `msm.client`."""

import pytest

from tests.scripts import Scripts
from tests.seeds.documents import APPEND, APPEND_IDS, CLIENT, GET, GET_OR_CREATE, PRACTICE, REMOVE, UPDATE

pytestmark = pytest.mark.xdist_group("processes")

START = CLIENT.replace("mainsequence.client", "msm.client") + "msc.start_engine()\n"
# The document writes ids that its reader has; here are assets with these ids.
ASSETS = """
from markets.models import Asset as Model
for number in (101, 102, 103, 201, 202, 203):
    Model.objects.get_or_create(id=number, defaults={"unique_identifier": f"A{number}"})

def ensure_test_assets():
    return [msc.Asset.upsert(unique_identifier=text) for text in ("MOCK 1", "MOCK 2")]

assets = ensure_test_assets()
"""
TELL = "print([asset.unique_identifier for asset in asset_category.assets])\n"
GIVEN = START + ASSETS + GET_OR_CREATE


def test_create_or_fetch(scripts: Scripts) -> None:
    asked = "print(asset_category.uid, asset_category.display_name, '/', asset_category.description)\n"
    first = scripts.output(START + GET_OR_CREATE + asked)
    assert first.endswith("Mock Category Assets Tutorial / Tutorial asset universe for mock fixed-income examples.\n")
    assert scripts.output(START + GET_OR_CREATE + asked) == first


def test_append_read_remove_and_replace(scripts: Scripts) -> None:
    """Each block finds what the interpreter before it left."""
    assert scripts.output(GIVEN + APPEND + TELL) == "['MOCK 1', 'MOCK 2']\n"
    assert scripts.output(GIVEN + APPEND_IDS + TELL) == "['A101', 'A102', 'A103', 'MOCK 1', 'MOCK 2']\n"
    read = scripts.output(GIVEN + GET + "print(len(category_assets), type(category_assets[0]).__name__)\n")
    assert read == "5 Asset\n"
    assert scripts.output(GIVEN + REMOVE + TELL) == "['A103', 'MOCK 1', 'MOCK 2']\n"
    assert scripts.output(GIVEN + UPDATE + TELL) == "['A201', 'A202', 'A203']\n"
    assert scripts.rows("SELECT count(*) FROM markets_asset") == [(8,)], "no asset went with its membership"


def test_unknown_ids_add_nothing(scripts: Scripts) -> None:
    with_an_unknown_one = START + GET_OR_CREATE + APPEND_IDS
    assert "3 identifiers (101, 102, 103) are not registered as assets" in scripts.last_error(with_an_unknown_one)
    assert scripts.rows("SELECT count(*) FROM markets_assetcategorymembership") == [(0,)]


def test_the_practical_example(scripts: Scripts) -> None:
    assert scripts.output(START + ASSETS + PRACTICE + TELL) == "['MOCK 1', 'MOCK 2']\n"
    assert scripts.output(START + ASSETS + PRACTICE + TELL) == "['MOCK 1', 'MOCK 2']\n"
