"""Gives the project's management commands and checks to Django."""

from django.apps import AppConfig


class ProjectConfig(AppConfig):
    name = "msm_project"
    label = "msm_project"
    verbose_name = "MSM"

    def ready(self) -> None:
        from msm_project import checks  # noqa: F401  (registers the checks)
        from msm_project.logs import configure_structlog

        configure_structlog()
