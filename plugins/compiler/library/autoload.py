"""Second library, which registers the plugins when it is opened.

Many programs only open a plugin library, and then TensorRT knows nothing of it. They open this one instead.
"""

from __future__ import annotations

from dataclasses import asdict

from ....temporary.places import scratch_folder
from ..cache import hash_files, make_key
from ..kernels.compilation import Settings
from ..targets import Target
from ..tools import find_compiler
from .compiling import COMPILE, LINK, NATIVE, ROOT, run_compiler
from .symbols import check_symbols

AUTOLOAD = "libspair_plugins_autoload.so"
"""File name. The library loads `libspair_plugins.so` from the folder that it lies in."""
SOURCES = ("autoload.cpp", "generation.cpp")


def build_autoload(target: Target, settings: Settings) -> bytes:
    """Build the content of libspair_plugins_autoload.so for a target.

    It needs no headers but those of the C library, and is the same for every version of TensorRT.

    Raises:
        PluginError: the compiler is missing, the sources do not compile, or the library needs symbols that the target
            does not have.
    """
    compiler = find_compiler(target.machine)
    sources = [NATIVE / name for name in SOURCES]
    options = [*COMPILE, *LINK, f"-Wl,-soname,{AUTOLOAD}"]
    files = hash_files({path.name: path for path in (*sources, NATIVE / "generation.h")})
    version = run_compiler([compiler, "--version"], "its version known")
    facts = {"files": files, "compiler": version, "options": options, "target": asdict(target)}
    key = make_key({"autoload": facts})
    kept = settings.cache.load(key)
    if kept and "library" in kept:
        return kept["library"]
    with scratch_folder("autoload") as folder:
        library = folder / AUTOLOAD
        run_compiler(
            [compiler, *map(str, sources), *options, f"-ffile-prefix-map={ROOT}=plugins", "-o", str(library)], AUTOLOAD
        )
        check_symbols(library, target, ())
        content = library.read_bytes()
    settings.cache.store(key, {"library": content})
    return content
