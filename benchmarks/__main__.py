"""Run every benchmark, or those that are named: `python -m benchmarks [name …]`; each in a process of its own."""

import subprocess
import sys
from pathlib import Path

SCRIPTS = sorted(path.stem for path in Path(__file__).parent.glob("*.py") if not path.stem.startswith("_"))


def main() -> int:
    wanted = sys.argv[1:] or SCRIPTS
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
