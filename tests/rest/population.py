"""Many assets in a moment, made inside the server, so that query plans can be judged at a size where they matter."""

from django.db import connection

from markets.models import AssetCategory
from tests import factories

WORDS = "ARRAY['Alpine','Baltic','Cobalt','Delta','Global']"
KINDS = "ARRAY['equity','equity','equity','bond','option']"


def assets(count: int) -> None:
    """Assets A0000001 … with OpenFIGI details; every thousandth is rare and custom. Statistics are fresh."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"""
            INSERT INTO markets_asset (uid, unique_identifier, asset_type, is_custom_by_organization, created_at,
                updated_at)
            SELECT gen_random_uuid(), 'A' || lpad(n::text, 7, '0'),
                CASE WHEN mod(n, 1000) = 0 THEN 'rare' ELSE ({KINDS})[mod(n, 5) + 1] END, mod(n, 1000) = 0,
                '2026-01-01Z'::timestamptz + make_interval(secs => n / 100), '2026-01-01Z'
            FROM generate_series(1, %s) AS n
            """,
            [count],
        )
        cursor.execute(
            f"""
            INSERT INTO markets_openfigidetails (asset_id, figi, composite, share_class, isin, ticker, name, updated_at)
            SELECT id, 'BBG' || lpad(id::text, 9, '0'), 'BBC' || lpad(id::text, 9, '0'),
                'BBS' || lpad(id::text, 9, '0'), 'US' || lpad(id::text, 10, '0'),
                upper(substr(md5(unique_identifier), 1, 4)),
                ({WORDS})[mod(id, 5) + 1] || ' Machines ' || substr(md5(unique_identifier), 5, 4) || ' Inc', now()
            FROM markets_asset
            """
        )
        cursor.execute("ANALYZE markets_asset, markets_openfigidetails")


def category(every: int) -> AssetCategory:
    """A category with each `every`th asset."""
    row = factories.category()
    with connection.cursor() as cursor:
        cursor.execute(
            """
            INSERT INTO markets_assetcategorymembership (uid, created_at, updated_at, valid_from, category_id, asset_id)
            SELECT gen_random_uuid(), now(), now(), '2026-01-01Z', %s, id FROM markets_asset
            WHERE mod(abs(hashint8(id)), %s) = 0
            """,
            [row.pk, every],
        )
        cursor.execute("ANALYZE markets_assetcategorymembership")
    return row
