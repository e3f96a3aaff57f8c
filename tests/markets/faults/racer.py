"""One of two processes that run a node at the same instant: `python -m tests.markets.faults.racer`.

It reads a node's arguments, a line of JSON, says that it is set, and runs the node when the next line comes; then it
prints how that ended.
"""

import json
import sys
from typing import Any

import django


def main() -> None:
    django.setup()
    from tests.markets.faults.nodes import Staged

    say("ready")
    for line in sys.stdin:
        node = Staged(**json.loads(line))
        say("set")
        sys.stdin.readline()
        try:
            node.run()
            say([node.last_run.status, ""])
        except Exception as error:
            say([type(error).__name__, str(error)])


def say(what: Any) -> None:
    print(json.dumps(what), flush=True)


if __name__ == "__main__":
    main()
