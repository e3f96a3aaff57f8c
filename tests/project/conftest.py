"""What the tests of the project's wiring need."""

import os

collect_ignore = [] if os.geteuid() == 0 else ["test_as_root.py"]  # root is what these tests are about
