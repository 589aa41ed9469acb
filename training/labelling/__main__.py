"""Entry point of `python -m spair.training.labelling`."""

import sys

from .teaching import main

if __name__ == "__main__":
    sys.exit(main())
