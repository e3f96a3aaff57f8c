"""Routes of accounts and portfolios."""

from markets.rest.bulk import RegistryRouter
from portfolios.rest.accounts import (
    AccountGroupViewSet,
    AccountViewSet,
    AllocationModelViewSet,
    HoldingsSetViewSet,
    PositionSetViewSet,
    TargetAllocationViewSet,
)
from portfolios.rest.portfolios import PortfolioViewSet
from portfolios.rest.virtual_funds import VirtualFundViewSet

router = RegistryRouter()
router.register("portfolio", PortfolioViewSet, basename="portfolio")
router.register("account", AccountViewSet, basename="account")
router.register("account-group", AccountGroupViewSet, basename="account-group")
router.register("account-allocation-model", AllocationModelViewSet, basename="account-allocation-model")
router.register("account-target-allocation", TargetAllocationViewSet, basename="account-target-allocation")
router.register("position-set", PositionSetViewSet, basename="position-set")
router.register("account-holdings-set", HoldingsSetViewSet, basename="account-holdings-set")
router.register("virtualfund", VirtualFundViewSet, basename="virtualfund")

urlpatterns = router.urls
