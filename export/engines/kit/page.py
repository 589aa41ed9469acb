"""Page that explains a kit."""

from __future__ import annotations

from ....plugins.compiler.library.autoload import AUTOLOAD
from ....plugins.compiler.library.linking import LIBRARY
from ....runtime.errors import quote
from .order import KitOrder
from .script import SCRIPT

PAGE = "README.md"
"""Name of the file."""

_TEXT = """# Kit for {description}

Made by `spair build --target {target}` on another machine. **Nothing of it was run on a board by its authors.**

## On the board

Copy the whole bundle and the wheel of spair-rt to the board, and run there:

```sh
sh plugins/{target}/{script} spair_rt-VERSION-ARCHITECTURE.whl
```

The script checks board, L4T and Python, makes an environment that sees the packages of JetPack, installs the wheel,
runs `spair doctor`, and builds the engines:

```sh
spair build BUNDLE --target local --library BUNDLE/plugins/{target}/{library} {words}
```

A build takes at most half of the memory that is free, and at most 2 GiB on boards of 8 GB. It says how far it is, and
how long earlier builds took. TensorRT runs in a process of its own: when the system ends that for want of memory, the
bundle stays as it was and a sentence says so. Then:

```sh
spair restore BUNDLE photos --out restored --backend tensorrt
spair profile BUNDLE --backend tensorrt --html profile.html
```

## Stacks it is for

| JetPack | L4T | Python | CUDA | TensorRT | sources |
|---|---|---|---|---|---|
{stacks}

## Files

| file | what it is |
|---|---|
| `{library}` | the plugins, with machine code for {architectures} and code that later GPUs compile |
| `{autoload}` | registers the plugins in programs that only open plugin libraries |
| `kernels.txt`, `kernels.json` | registers, memory and occupancy of each kernel |
| `../../engines/{target}/*.onnx` | graphs for trtexec; absent after `--no-engines` |
| `{script}` | the installation |

A library that came as a file (`--library`) has no report on kernels, and may lack `{autoload}`.
"""


def write_page(order: KitOrder) -> str:
    """Write the page.

    Args:
        order: the target, which is a Jetson, and the engines.
    """
    rows = [
        f"| {stack.name} | {stack.l4t} | {_join(stack.python)} | {_join(stack.cuda)} | {_join(stack.tensorrt)} | "
        f"{'; '.join(stack.sources)} |"
        for stack in order.stacks
    ]
    return _TEXT.format(
        description=order.target.description,
        target=order.target.name,
        script=SCRIPT,
        library=LIBRARY,
        autoload=AUTOLOAD,
        words=quote(*order.words),
        architectures=", ".join(f"sm_{architecture}" for architecture in order.target.architectures),
        stacks="\n".join(rows),
    )


def _join(version: tuple[int, int]) -> str:
    return f"{version[0]}.{version[1]}"
