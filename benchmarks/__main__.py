"""Run every benchmark, or those that are named: `python -m benchmarks [--full] [name …]`; each in a process of its own.

The tables of DataNodes have 5 million rows. With `--full` (or MSM_BENCH_FULL=1) the claims about 20 million are
measured, too, which takes some minutes and 8 GB of disk more.
"""

import os
import subprocess
import sys
from pathlib import Path

SCRIPTS = sorted(path.stem for path in Path(__file__).parent.glob("*.py") if not path.stem.startswith("_"))


def main() -> int:
    arguments = sys.argv[1:]
    if "--full" in arguments:
        arguments.remove("--full")
        os.environ["MSM_BENCH_FULL"] = "1"
    wanted = arguments or SCRIPTS
    unknown = sorted(set(wanted) - set(SCRIPTS))
    if unknown:
        print(f"There is no benchmark {', '.join(unknown)}. There are {', '.join(SCRIPTS)}.", file=sys.stderr)
        return 2
    failed = []
    for name in wanted:
        print(f"\n=== {name}", flush=True)
        if subprocess.run([sys.executable, "-m", f"benchmarks.{name}"], check=False).returncode:
            failed.append(name)
    if failed:
        print(f"\nFailed: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
