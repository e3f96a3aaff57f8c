"""Serves BokehJS from the installed package: no CDN, no copied file."""

from pathlib import Path

import bokeh
from django.contrib.staticfiles.finders import BaseFinder
from django.contrib.staticfiles.storage import FileSystemStorage

DIRECTORY = Path(bokeh.__file__).parent / "server" / "static" / "js"
FILES = ("bokeh.min.js",)
PREFIX = "bokeh"


class BokehFinder(BaseFinder):
    """Finds `bokeh/bokeh.min.js`, the only file that the figures need."""

    storage = FileSystemStorage(location=DIRECTORY)
    storage.prefix = PREFIX  # type: ignore[attr-defined]

    def find(self, path, find_all=False, **kwargs):
        prefix, _, name = path.partition("/")
        found = str(DIRECTORY / name) if prefix == PREFIX and name in FILES else None
        if find_all:
            return [found] if found else []
        return found

    def list(self, ignore_patterns):
        for name in FILES:
            yield name, self.storage

    def check(self, **kwargs):
        return []
