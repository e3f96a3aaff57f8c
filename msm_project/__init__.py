"""The Django project: settings, URLs, servers and workers; no domain logic."""

from msm_project.celery import app as celery_app

__all__ = ["celery_app"]
