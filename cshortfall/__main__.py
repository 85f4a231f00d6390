"""``python -m cshortfall``: the same as the ``cshortfall`` command."""

import sys

from cshortfall.cli import main

if __name__ == "__main__":
    sys.exit(main())
