"""Script of the process that runs an engine."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import numpy as np

from ....runtime.engine.errors import EngineError
from ....runtime.errors import GateError, UserError
from ....runtime.restorer import Restorer


def main() -> None:
    """Restore the pictures of a folder.

    The first argument is the folder. It has "job.json" with the bundle, the options of `Restorer.open` and the number
    of samples, and for each sample a picture and perhaps a mask. Restored pictures and found masks are written beside
    them. The second argument is the number of a pipe, which gets the number of each sample before it runs. What the
    runtime, TensorRT or the GPU refuses goes to the file "error".
    """
    folder, pipe = Path(sys.argv[1]), int(sys.argv[2])
    job = json.loads((folder / "job.json").read_text())
    try:
        with Restorer.open(job["bundle"], **job["options"]) as restorer:
            for number in range(job["samples"]):
                os.write(pipe, f"{number}\n".encode())
                given = folder / f"mask{number}.npy"
                result = restorer(
                    np.load(folder / f"picture{number}.npy"), mask=np.load(given) if given.is_file() else None
                )
                assert result.mask is not None  # bundles of networks without masks have no plugins
                np.save(folder / f"restored{number}.npy", result.image)
                np.save(folder / f"found{number}.npy", result.mask)
    except (UserError, GateError, EngineError, MemoryError) as error:
        words = str(error) or "there is not enough memory"  # Python's own MemoryError has no words
        (folder / "error").write_text(words)


if __name__ == "__main__":
    main()
