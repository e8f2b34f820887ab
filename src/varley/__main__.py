"""`python -m varley`: the same as the command `varley`."""

import sys

from varley.cli import main

if __name__ == "__main__":
    sys.exit(main())
