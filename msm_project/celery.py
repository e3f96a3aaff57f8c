"""The Celery application; a connection to the embedded broker starts that broker when it is not running."""

import os
from typing import Any

from celery import Celery

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "msm_project.settings")


class MSMCelery(Celery):
    """Celery whose first connection makes sure that the embedded Redis runs."""

    def connection_for_write(self, *args: Any, **kwargs: Any) -> Any:
        _ensure_broker()
        return super().connection_for_write(*args, **kwargs)

    def connection_for_read(self, *args: Any, **kwargs: Any) -> Any:
        _ensure_broker()
        return super().connection_for_read(*args, **kwargs)


def _ensure_broker() -> None:
    from django.conf import settings

    if settings.EMBEDDED_REDIS:
        from msm_project.embedded.servers import ensure_redis

        ensure_redis(settings.DATA_DIR)


app = MSMCelery("msm")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
