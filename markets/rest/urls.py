"""Routes of the market."""

from markets.rest.asset_types import AssetTypeViewSet
from markets.rest.assets import AssetViewSet
from markets.rest.bulk import RegistryRouter
from markets.rest.calendar_days import CalendarDateViewSet, CalendarEventViewSet
from markets.rest.calendars import CalendarViewSet
from markets.rest.categories import CategoryViewSet
from markets.rest.data_nodes import DataNodeViewSet
from markets.rest.details import BondViewSet, CurrencySpotViewSet, FutureViewSet
from markets.rest.duplicates import DuplicateViewSet, MergeViewSet
from markets.rest.home_markets import HomeMarketViewSet
from markets.rest.identifiers import IdentifierViewSet
from markets.rest.imports import ImportViewSet
from markets.rest.indices import IndexTypeViewSet, IndexViewSet
from markets.rest.issuers import IssuerViewSet
from markets.rest.jobs import JobViewSet
from markets.rest.node_classes import NodeClassViewSet
from markets.rest.pending_resolutions import PendingResolutionViewSet
from markets.rest.resolutions import ResolutionViewSet, ResolveViewSet
from markets.rest.review import ReviewViewSet
from markets.rest.snapshots import SnapshotViewSet

router = RegistryRouter()
router.register("asset", AssetViewSet, basename="asset")
router.register("asset-duplicate", DuplicateViewSet, basename="asset-duplicate")
router.register("asset-merge", MergeViewSet, basename="asset-merge")
router.register("asset-type", AssetTypeViewSet, basename="asset-type")
router.register("asset-snapshot", SnapshotViewSet, basename="asset-snapshot")
router.register("asset-identifier", IdentifierViewSet, basename="asset-identifier")
router.register("asset-category", CategoryViewSet, basename="asset-category")
router.register("calendar", CalendarViewSet, basename="calendar")
router.register("data-node", DataNodeViewSet, basename="data-node")
router.register("data-node-class", NodeClassViewSet, basename="data-node-class")
router.register("job", JobViewSet, basename="job")
router.register("import", ImportViewSet, basename="import")
router.register("openfigi/resolve", ResolveViewSet, basename="openfigi-resolve")
router.register("openfigi/resolution", ResolutionViewSet, basename="openfigi-resolution")
router.register("openfigi/review", ReviewViewSet, basename="openfigi-review")
router.register("openfigi/pending", PendingResolutionViewSet, basename="openfigi-pending")
router.register("openfigi/home-market", HomeMarketViewSet, basename="openfigi-home-market")
router.register("issuer", IssuerViewSet, basename="issuer")
router.register("index", IndexViewSet, basename="index")
router.register("index-type", IndexTypeViewSet, basename="index-type")
router.register("currency-spot", CurrencySpotViewSet, basename="currency-spot")
router.register("bond", BondViewSet, basename="bond")
router.register("future", FutureViewSet, basename="future")
router.register("calendar/(?P<calendar_uid>[^/]+)/dates", CalendarDateViewSet, basename="calendar-date")
router.register("calendar/(?P<calendar_uid>[^/]+)/events", CalendarEventViewSet, basename="calendar-event")

urlpatterns = router.urls
