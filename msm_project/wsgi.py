"""The WSGI application that gunicorn serves."""

import gc
import os
from importlib import import_module

from django.conf import settings
from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "msm_project.settings")
settings.STATIC_ROOT.mkdir(parents=True, exist_ok=True)  # WhiteNoise warns when it is not there
application = get_wsgi_application()
import_module(settings.ROOT_URLCONF)  # the pages and all that they import, before the first request asks for them
# What is loaded by now stays as long as the process: 350,000 objects, through which each full collection would go anew,
# a quarter of a second in the middle of some request.
gc.collect()
gc.freeze()
