"""A quick restorer, and a batch as the command line runs it."""

import numpy as np

from spair.runtime import Result
from spair.runtime.batch.jobs import run_jobs
from spair.runtime.batch.planning import plan_jobs
from spair.runtime.images.finding import find_inputs
from spair.runtime.tiling.network import TileCounts


def inverted(image):
    """A stand-in for a restorer: fast, and its effect is easy to recognise."""
    mask = np.zeros(image.shape[:2], bool)
    mask[0] = True
    return Result(255 - image, mask, float(mask.mean()), {"net_l": 0.5}, TileCounts(1, 0, 2))


def restore_files(restorer, specs, out, *, recursive=False, save_mask=False, saving=None, **options):
    """Restore into a folder as the command line does."""
    inputs = find_inputs(specs, recursive=recursive, exclude=out)
    return run_jobs(restorer, plan_jobs(inputs, out, save_mask=save_mask, saving=saving), **options)
