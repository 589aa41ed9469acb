"""The engines of the runtime's own tests, on the emulated GPU."""

from tests.runtime.engine.conftest import *  # noqa: F403
