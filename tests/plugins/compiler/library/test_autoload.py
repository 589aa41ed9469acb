"""The library that registers the plugins: one file for each processor, without TensorRT."""

from __future__ import annotations

import shutil

import pytest

from spair.plugins.compiler.kernels.compilation import Settings
from spair.plugins.compiler.library import autoload as autoload_module
from spair.plugins.compiler.library.autoload import AUTOLOAD, build_autoload
from spair.plugins.compiler.library.linking import list_sources
from spair.plugins.compiler.library.symbols import read_symbols
from spair.plugins.compiler.targets import TARGETS, find_target
from spair.plugins.compiler.tools import find_compiler
from spair.plugins.errors import PluginError


@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
def test_it_is_built_for_each_processor_and_needs_nothing_of_tensorrt(tmp_path, machine):
    target = next(target for target in TARGETS if target.machine == machine)
    try:
        find_compiler(machine)
    except PluginError as error:
        pytest.skip(str(error))
    path = tmp_path / AUTOLOAD
    path.write_bytes(build_autoload(target, Settings(1)))
    symbols = read_symbols(path)
    assert (symbols.machine, symbols.glibc <= target.glibc) == (machine, True)
    assert [name for name in symbols.undefined | symbols.needed if "nv" in name.lower() or "cuda" in name.lower()] == []
    assert [name for name in symbols.defined if not name.startswith("_")] == [], "it exports nothing"
    assert path.read_bytes() == build_autoload(target, Settings(1)), "equal sources give equal libraries"


def test_the_cache_keeps_it(plugins, monkeypatch):
    command = autoload_module.run_compiler
    built = []

    def watch(words, what):
        built.append(what)
        return command(words, what)

    monkeypatch.setattr(autoload_module, "run_compiler", watch)
    assert build_autoload(plugins.target, plugins.settings) == plugins.autoload.read_bytes()
    assert built == ["its version known"]


def test_sources_that_do_not_compile_are_told(tmp_path, monkeypatch):
    for name in (*autoload_module.SOURCES, "generation.h"):
        shutil.copy(autoload_module.NATIVE / name, tmp_path)
    (tmp_path / "autoload.cpp").write_text("int broken() { return }\n")
    monkeypatch.setattr(autoload_module, "NATIVE", tmp_path)
    with pytest.raises(PluginError, match=r"cannot make libspair_plugins_autoload\.so: .*autoload\.cpp:1.*error"):
        build_autoload(find_target("l4"), Settings(1))


def test_its_source_is_not_part_of_the_plugin_library():
    names = [path.name for path in list_sources()]
    assert "generation.cpp" in names and "autoload.cpp" not in names
