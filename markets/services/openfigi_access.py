"""The OpenFIGI client that the settings describe."""

from django.conf import settings

from markets.broker import shared_redis
from markets.openfigi.client import LONGEST_REQUEST_SECONDS, MOST_TRIES, OpenFigiClient
from markets.openfigi.errors import OpenFigiConfigurationError
from markets.openfigi.limits import WITH_KEY, WITHOUT_KEY, Limit, Limits, SharedLimiter, caller_name


def openfigi_client(
    *, api_key: str | None = None, base_url: str | None = None, tries: int = MOST_TRIES
) -> OpenFigiClient:
    """A client for one thread; close it, or use it as a context. What is given goes before the settings.

    Raises OpenFigiConfigurationError where OpenFIGI is switched off.
    """
    key = api_key or settings.OPENFIGI_API_KEY or None
    url = base_url or settings.OPENFIGI_BASE_URL
    if not url:
        raise OpenFigiConfigurationError(
            "OpenFIGI is switched off here (MSM_OPENFIGI_BASE_URL=off). Unset it, or name a server of its kind."
        )
    limiter = SharedLimiter(
        shared_redis(), _limits(key), caller=caller_name(url, key), longest_request=LONGEST_REQUEST_SECONDS
    )
    return OpenFigiClient(limiter, base_url=url, api_key=key, tries=tries)


def _limits(key: str | None) -> Limits:
    public = WITH_KEY if key else WITHOUT_KEY
    mapping, search = settings.OPENFIGI_MAPPING_LIMIT, settings.OPENFIGI_SEARCH_LIMIT
    return Limits(
        mapping=Limit(*mapping) if mapping else public.mapping,
        search=Limit(*search) if search else public.search,
        jobs=settings.OPENFIGI_JOBS_PER_REQUEST or public.jobs,
    )
