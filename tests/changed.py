"""Run the tests of what changed since a commit.

This is what `make fast` calls.

A changed test runs itself, a changed module runs the tests that mirror it. What has no test of its own runs the tests
of its folder. This is the quick look before `make test`, which stays the whole check.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

ROOT = Path(__file__).resolve().parents[1]
DOCUMENTS = ("tests/test_docs.py", "tests/docs")
SETTINGS = {
    "setup.cfg": ("tests/test_architecture.py", "tests/test_wheel.py"),
    "Makefile": DOCUMENTS,
    "CONTRIBUTING.md": ("tests/test_architecture.py",),
}
"""Files that are no modules, and the tests that read them."""


def list_changed(since: str, root: Path = ROOT) -> list[str]:
    """List the files that differ from a commit.

    New files are included, deleted ones are not. Paths are relative to the root.

    Raises:
        RuntimeError: git does not know the commit; the message is git's.
    """
    commands = (["diff", "--name-only", "--diff-filter=d", since], ["ls-files", "--others", "--exclude-standard"])
    found: list[str] = []
    for command in commands:
        done = subprocess.run(["git", *command], cwd=root, text=True, capture_output=True, check=False)
        if done.returncode != 0:
            raise RuntimeError(done.stderr.strip().splitlines()[0].removesuffix("."))
        found += done.stdout.splitlines()
    return sorted(set(found))


def find_tests(changed: Iterable[str], root: Path = ROOT) -> list[str]:
    """Find the tests to run for changed files.

    Paths are relative to the root, each listed once.
    """
    found: set[str] = set()
    for name in changed:
        path = PurePosixPath(name)
        found.update(SETTINGS.get(name, ()))
        if path.suffix == ".md" or path.parts[0] == "docs":
            found.update(DOCUMENTS)
        if path.parts[0] == "examples":
            found.add("tests/examples")
        elif path.parts[0] == "tests":
            found.update(_tests_of_test(path, root))
        elif path.suffix in (".py", ".cpp", ".h") and len(path.parts) > 1 and path.parts[0] != "docs":
            found.add("tests/test_architecture.py")
            found.update(_tests_of_source(path, root))
    existing = {name for name in found if (root / name).exists()}
    folders = {name for name in existing if (root / name).is_dir()}
    return sorted(name for name in existing if not any(name.startswith(f"{folder}/") for folder in folders))


def _tests_of_test(path: PurePosixPath, root: Path) -> list[str]:
    """List a test itself, or the tests beside a helper.

    A room of helpers without tests runs those of the folder around it.
    """
    if path.suffix not in (".py", ".c", ".cpp", ".h", ".inc"):
        return []
    if path.name.startswith("test_"):
        return [str(path)]
    folder = path.parent
    while len(folder.parts) > 2 and not _tests_in(folder, root):
        folder = folder.parent
    return _tests_in(folder, root)


def _tests_of_source(path: PurePosixPath, root: Path) -> list[str]:
    """List the test that mirrors a source file.

    Without one, these are the tests of the nearest folder that mirrors the folder of the file.
    """
    own = PurePosixPath("tests", *path.parts[:-1], f"test_{path.stem}.py")
    if (root / own).is_file():
        return [str(own)]
    folder = own.parent
    while not (root / folder).is_dir():
        folder = folder.parent
    return _tests_in(folder, root) if len(folder.parts) > 1 else []


def _tests_in(folder: PurePosixPath, root: Path) -> list[str]:
    return [path.relative_to(root).as_posix() for path in sorted((root / folder).glob("test_*.py"))]


def main() -> int:
    """Run pytest on these tests and return its code.

    The code is 2 where git fails.
    """
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--since", default="main", help="a commit, branch or tag")
    since = parser.parse_args().since
    try:
        tests = find_tests(list_changed(since))
    except RuntimeError as error:
        print(f"make fast: {error}; name a commit with make fast SINCE=HEAD~1", file=sys.stderr)
        return 2
    if not tests:
        print(f"make fast: no test belongs to what changed since {since}")
        return 0
    print("\n".join(tests), flush=True)
    return subprocess.run([sys.executable, "-m", "pytest", *tests], cwd=ROOT, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
