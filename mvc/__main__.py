"""`python -m mvc`."""

from __future__ import annotations

import sys

from mvc.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
