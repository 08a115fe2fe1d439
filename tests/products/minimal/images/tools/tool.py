"""A tool that an operator runs by hand."""

import sys

sys.stdout.write("nothing to do\n")
