"""Routes of the market."""

from markets.rest.asset_types import AssetTypeViewSet
from markets.rest.assets import AssetViewSet
from markets.rest.bulk import RegistryRouter
from markets.rest.calendars import CalendarViewSet
from markets.rest.categories import CategoryViewSet
from markets.rest.data_nodes import DataNodeViewSet
from markets.rest.jobs import JobViewSet

router = RegistryRouter()
router.register("asset", AssetViewSet, basename="asset")
router.register("asset-type", AssetTypeViewSet, basename="asset-type")
router.register("asset-category", CategoryViewSet, basename="asset-category")
router.register("calendar", CalendarViewSet, basename="calendar")
router.register("data-node", DataNodeViewSet, basename="data-node")
router.register("job", JobViewSet, basename="job")

urlpatterns = router.urls
