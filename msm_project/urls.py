"""Every URL of the project."""

from django.contrib import admin
from django.urls import include, path
from django.views.generic import RedirectView
from drf_spectacular.views import SpectacularJSONAPIView, SpectacularRedocView, SpectacularSwaggerView

from msm_project.health import health, ready

urlpatterns = [
    path("", RedirectView.as_view(pattern_name="admin:index")),
    path("admin/", admin.site.urls),
    path("api/v1/", include("markets.rest.urls")),
    path("api/v1/", include("portfolios.rest.urls")),
    path("health", health, name="health"),
    path("ready", ready, name="ready"),
    path("openapi.json", SpectacularJSONAPIView.as_view(), name="openapi"),
    path("docs", SpectacularSwaggerView.as_view(url_name="openapi"), name="docs"),
    path("redoc", SpectacularRedocView.as_view(url_name="openapi"), name="redoc"),
]

handler400 = "msm_project.problems.bad_request"
handler403 = "msm_project.problems.not_allowed"
handler404 = "msm_project.problems.not_found"
handler500 = "msm_project.problems.failed"
