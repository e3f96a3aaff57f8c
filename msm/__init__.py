"""MSM's Python API, for scripts, notebooks and nodes of your own.

    import msm
    from msm.api.assets import Asset

    msm.start_engine(models=["Asset"])
    Asset.upsert(unique_identifier="example-asset-btc", asset_type="crypto")

    with msm.because("delisted on 2026-05-22"):
        Asset.get_by_unique_identifier("example-asset-btc").delete()

What is written is recorded with the reason, see the History of each row. Importing touches no
database; `start_engine` attaches to the one that DATABASE_URL names, or to the embedded one.
"""

import os

import django
from django.apps import apps


def _set_up_django() -> None:
    """Outside a Django process, load MSM's settings and models; inside one they are there already."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "msm_project.settings")
    if not apps.ready and not apps.apps_ready:
        django.setup(set_prefix=False)


_set_up_django()

from markets.services.audit import because  # noqa: E402
from msm.runtime import Runtime, start_engine  # noqa: E402

__all__ = ["Runtime", "because", "start_engine"]
