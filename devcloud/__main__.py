"""`python -m devcloud`: see devcloud.cli.main."""

import sys

from devcloud.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
