"""Settings of the documentation site.

Sphinx builds the site from the Markdown files of the repository.
"""

import configparser
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
_setup = configparser.ConfigParser()
_setup.read(ROOT / "setup.cfg", encoding="utf-8")

project = "SPAIR-RT"
author = "the SPAIR-RT maintainers"
release = version = _setup["metadata"]["version"]
extensions = ["myst_parser"]
root_doc = "docs/index"
# The source folder is the repository, so that links between pages and the documents beside the code are checked.
include_patterns = [
    "docs/**.md",
    "examples/README.md",
    "examples/*/README.md",
    "network/weights/*.md",
    "plugins/*/README.md",
    "training/README.md",
    "CONTRIBUTING.md",
    "CHANGELOG.md",
    "SECURITY.md",
]
exclude_patterns = [".*", "build", "dist", "demo", "runs", "tests"]
myst_heading_anchors = 3
# Links to folders are for readers of the repository; the site has no page for them, and tests/test_docs.py checks them.
nitpick_ignore_regex = [("myst", r"(\.\./)+[\w/]+")]
html_theme = "furo"
html_title = f"SPAIR-RT {release}"
html_extra_path = ["site"]
html_copy_source = False
# Nothing of the reader's time goes to another machine: no fonts, scripts or analytics from elsewhere.
html_theme_options = {"footer_icons": []}
