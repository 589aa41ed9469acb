"""Command line `spair`."""

import os
import sys


def main() -> None:
    """Run the command.

    This is where the process starts. Half a second of imports comes first, and the command is put together from them;
    Ctrl-C ends both as it ends the verb: without a traceback.
    """
    try:
        from .main import main as run

        run()
    except KeyboardInterrupt:
        sys.stderr.write("interrupted\n")
        sys.stderr.flush()
        os._exit(130)  # no verb ran, and what was half imported has nothing to tidy up
