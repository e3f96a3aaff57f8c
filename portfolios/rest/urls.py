"""Routes of portfolios."""

from rest_framework.routers import SimpleRouter

from portfolios.rest.portfolios import PortfolioViewSet

router = SimpleRouter()
router.register("portfolio", PortfolioViewSet, basename="portfolio")

urlpatterns = router.urls
