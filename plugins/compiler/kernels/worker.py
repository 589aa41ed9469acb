"""Process that runs Triton and compiles kernels.

It reads a job from each line of standard input and writes the result as a line to standard output. It is a process of
its own because Triton prints at will, may abort the process, and compiles nothing where its interpreter was asked for.
Run as `python -m spair.plugins.compiler.kernels.worker`.
"""

from __future__ import annotations

import base64
import contextlib
import importlib
import json
import subprocess
import sys
from typing import Any

from ....temporary.places import scratch_folder


def compile_kernel(job: dict[str, Any]) -> dict[str, Any]:
    """Compile one kernel.

    Args:
        job: module, function, parameters, constants, aligned, warps, stages as in `Variant`; architecture; ptx (its
            version, 85 for 8.5); ptxas (path) and name (of the machine code, "sm_90a").

    Returns:
        code (machine code, base64), ptx (text), log (of ptxas), symbol, warps, shared (bytes), scratch (bytes that the
        kernel would need in global memory).
    """
    import triton
    from triton import knobs
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    function = getattr(importlib.import_module(job["module"]), job["function"])
    constants = {name: _resolve(value) for name, value in job["constants"].items()}
    _check_names(function, [*job["parameters"], *constants])
    order = {name: index for index, name in enumerate(function.arg_names)}
    source = ASTSource(
        fn=function,
        signature={name: job["parameters"].get(name, "constexpr") for name in function.arg_names},
        constexprs=constants,
        attrs={(order[name],): [["tt.divisibility", number]] for name, number in job["aligned"].items()},
    )
    assembler = _Assembler(job["ptxas"], job["name"])
    knobs.runtime.add_stages_inspection_hook = assembler.replace_stage
    options = {
        "num_warps": job["warps"],
        "num_stages": job["stages"],
        "ptx_version": job["ptx"],
        "enable_fp_fusion": True,
    }
    compiled = triton.compile(source, target=GPUTarget("cuda", job["architecture"], 32), options=options)
    facts = compiled.metadata
    return {
        "code": base64.b64encode(compiled.asm["cubin"]).decode(),
        "ptx": compiled.asm["ptx"],
        "log": assembler.log,
        "symbol": facts.name,
        "warps": facts.num_warps,
        "shared": facts.shared,
        "scratch": facts.global_scratch_size + facts.profile_scratch_size,
    }


class _Assembler:
    """Replacement for the last stage of Triton.

    It runs the ptxas of the target's CUDA instead of the newest one, and keeps its report.
    """

    def __init__(self, ptxas: str, name: str) -> None:
        self.ptxas, self.name = ptxas, name
        self.log = ""

    def replace_stage(self, *hook: Any) -> tuple[str, str] | None:
        """Replace the stage that makes machine code.

        Triton calls this hook without arguments to ask for a key of its cache, and else with the stages to change.
        """
        if not hook:
            return self.ptxas, self.ptxas
        hook[1]["cubin"] = lambda ptx, metadata: self.assemble(ptx)
        return None

    def assemble(self, ptx: str) -> bytes:
        """Turn PTX text into machine code."""
        with scratch_folder("ptxas") as folder:
            source, code = folder / "kernel.ptx", folder / "kernel.cubin"
            source.write_text(ptx)
            # Triton passes the register option too: it avoids a fault of ptxas 13.
            command = [
                self.ptxas,
                "-v",
                "--regAllocOptLevel=2",
                f"--gpu-name={self.name}",
                str(source),
                "-o",
                str(code),
            ]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode:
                raise RuntimeError(f"ptxas: {done.stderr.strip()}")
            self.log = done.stderr
            return code.read_bytes()


def _resolve(value: int | str) -> Any:
    if isinstance(value, int):
        return value
    return getattr(importlib.import_module("spair.plugins.layouts"), value).value


def _check_names(function: Any, names: list[str]) -> None:
    if list(function.arg_names) != names:
        raise TypeError(f"{function.__name__} takes {', '.join(function.arg_names)}, not {', '.join(names)}")


def main() -> None:
    """Answer jobs until the input ends."""
    answers = sys.stdout
    with contextlib.redirect_stdout(sys.stderr), scratch_folder("triton") as cache:
        from triton import knobs

        knobs.cache.dir = str(cache)
        for line in sys.stdin:
            try:
                answer = compile_kernel(json.loads(line))
            except Exception as error:  # any exception of Triton is one kernel's failure, which the caller reports
                answer = {"error": f"{type(error).__name__}: {error}"}
            answers.write(json.dumps(answer) + "\n")
            answers.flush()


if __name__ == "__main__":
    main()
