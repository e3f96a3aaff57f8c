"""The OpenFIGI client that the settings describe."""

from django.conf import settings

from markets.broker import shared_redis
from markets.openfigi.client import LONGEST_REQUEST_SECONDS, OpenFigiClient
from markets.openfigi.limits import WITH_KEY, WITHOUT_KEY, Limit, Limits, SharedLimiter, caller_name


def openfigi_client() -> OpenFigiClient:
    """A client for one thread; close it, or use it as a context."""
    key = settings.OPENFIGI_API_KEY or None
    url = settings.OPENFIGI_BASE_URL
    limiter = SharedLimiter(
        shared_redis(), _limits(), caller=caller_name(url, key), longest_request=LONGEST_REQUEST_SECONDS
    )
    return OpenFigiClient(limiter, base_url=url, api_key=key)


def _limits() -> Limits:
    public = WITH_KEY if settings.OPENFIGI_API_KEY else WITHOUT_KEY
    mapping, search = settings.OPENFIGI_MAPPING_LIMIT, settings.OPENFIGI_SEARCH_LIMIT
    return Limits(
        mapping=Limit(*mapping) if mapping else public.mapping,
        search=Limit(*search) if search else public.search,
        jobs=settings.OPENFIGI_JOBS_PER_REQUEST or public.jobs,
    )
