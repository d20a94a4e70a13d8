"""``python -m scouter`` is the ``scouter`` command."""

import sys

from .cli import main

if __name__ == "__main__":
    sys.exit(main())
