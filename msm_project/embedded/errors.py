"""What the embedded servers raise."""

from django.db import OperationalError


class EmbeddedServerError(OperationalError):
    """An embedded server cannot run here; the message names the remedy.

    It is a Django OperationalError, so that whoever survives an unreachable database survives this as well.
    """

    is_msm_error = True
