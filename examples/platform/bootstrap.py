"""The namespace of the examples: `manage.py migrate_namespace mainsequence.examples` makes it.

import os
from examples.platform.bootstrap import EXAMPLE_METATABLE_NAMESPACE, EXAMPLE_NAMESPACE_ENV

os.environ.setdefault(EXAMPLE_NAMESPACE_ENV, EXAMPLE_METATABLE_NAMESPACE)
"""

EXAMPLE_NAMESPACE_ENV = "MSM_AUTO_REGISTER_NAMESPACE"
EXAMPLE_METATABLE_NAMESPACE = "mainsequence.examples"
