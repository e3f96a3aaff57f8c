#!/usr/bin/env python3
"""Run a management command of MSM."""

import os
import sys


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "msm_project.settings")
    from msm_project.command_line import execute

    sys.exit(execute(sys.argv))


if __name__ == "__main__":
    main()
