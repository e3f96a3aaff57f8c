"""What can go wrong between MSM and OpenFIGI as a whole; what a single job meets is an outcome, not an error."""

from markets.exceptions import MSMError


class OpenFigiError(MSMError):
    """OpenFIGI refused a request that repeating it will not mend."""

    code = "openfigi_error"


class OpenFigiConfigurationError(OpenFigiError, RuntimeError):
    """The key is wrong or not allowed."""

    code = "openfigi_configuration"


class OpenFigiUnavailable(OpenFigiError):
    """OpenFIGI did not answer usefully within the bounded number of tries; ask again later."""

    code = "openfigi_unavailable"
