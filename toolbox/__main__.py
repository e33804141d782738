"""The ``toolbox`` command, also as ``python -m toolbox``."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command line and end the process with its exit code."""
    from toolbox.cli.app import run

    sys.exit(run(sys.argv[1:]))


if __name__ == "__main__":
    main()
