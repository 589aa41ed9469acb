"""The plugin library for engines."""

from tests.plugins.conftest import kernel_settings, plugins  # noqa: F401
