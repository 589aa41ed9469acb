"""Script that installs a kit on its board."""

from __future__ import annotations

from ....plugins.compiler.library.linking import LIBRARY
from ....runtime.errors import quote
from ....runtime.machine.board.findings import ALLOCATION_BUG
from .order import KitOrder

SCRIPT = "install.sh"
"""Name of the file."""

_TEXT = """#!/bin/sh
# Installs spair-rt on: {description}, and builds the engines of this bundle there.
#
#   sh {script} WHEEL [ENVIRONMENT]
#
# WHEEL is spair_rt-VERSION-ARCHITECTURE.whl, as make wheel makes it; ENVIRONMENT is the folder of the Python
# environment, ~/spair when left out, and is kept where it is there. This never ran on a board of its authors.
set -eu

fail() {{
  echo "{script}: $*" >&2
  exit 1
}}

wheel=${{1:-}}
environment=${{2:-$HOME/spair}}
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
bundle=$(CDPATH='' cd -- "$here/../.." && pwd)

[ -f "$wheel" ] || fail "give the wheel of spair-rt: sh {script} WHEEL [ENVIRONMENT]"
[ "$(uname -m)" = aarch64 ] || fail "this kit is for {target}, and this machine is $(uname -m)"
[ -r /etc/nv_tegra_release ] || fail "this machine is no Jetson: it has no /etc/nv_tegra_release"
tr '\\0' '\\n' < /proc/device-tree/compatible | grep -q '^nvidia,{chip}$' ||
  fail "this kit is for {target}, whose chip is {chip}, and this board has another one"

l4t=$(sed -n 's/^# R\\([0-9]*\\) (release), REVISION: \\([0-9.]*\\).*/\\1.\\2/p' /etc/nv_tegra_release)
case "$l4t" in
  {bug}) echo "{script}: L4T {bug} fails large allocations on the GPU; spair doctor says how to upgrade" >&2 ;;
  {series}) ;;
  *) fail "this kit is for L4T {releases}, and this board has L4T $l4t" ;;
esac

python=/usr/bin/python3
version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
[ "$version" = {python} ] || fail "$python is Python $version, and the TensorRT of JetPack is for {python}"
if ! "$python" -c 'import tensorrt, venv, ensurepip' 2> /dev/null; then
  sudo apt-get update
  sudo apt-get install -y nvidia-jetpack python3-venv
fi

[ -x "$environment/bin/python" ] || "$python" -m venv --system-site-packages "$environment"
"$environment/bin/python" -m pip install "$wheel[jetson]" {requirements}
"$environment/bin/spair" doctor
exec "$environment/bin/spair" build "$bundle" --target local --library "$here/{library}" \\
  {words}
"""


def write_script(order: KitOrder) -> str:
    """Write the script.

    Args:
        order: the target, which is a Jetson, and the engines.
    """
    return _TEXT.format(
        script=SCRIPT,
        description=order.target.description,
        target=order.target.name,
        chip=order.chip,
        bug=ALLOCATION_BUG,
        series=" | ".join(f"{series}.*" for series in order.series),
        releases=", ".join(order.series),
        python=order.python,
        requirements=" ".join(f"'{name}'" for name in order.requirements),
        library=LIBRARY,
        words=quote(*order.words),
    )
