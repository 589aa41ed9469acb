"""Programs that load TensorRT engines, and how each takes plugins.

The page `docs/tasks/hosts.md` shows this table.
"""

from __future__ import annotations

from dataclasses import dataclass

from ....plugins.compiler.library.autoload import AUTOLOAD
from ....plugins.compiler.library.linking import LIBRARY


@dataclass(frozen=True)
class Host:
    """Program that loads engines with plugins."""

    name: str
    file: str
    """Name of the library that it takes; empty where it can take none."""
    option: str
    """Words that hand the file over, as Markdown."""
    action: str
    """Description of what the program does with the file."""
    test: str
    """Test that hands the file over in this way, without a GPU; empty: the sources were only read."""
    source: str
    """Place in the program's sources that says so."""

    def __post_init__(self) -> None:
        if self.file not in (LIBRARY, AUTOLOAD, ""):
            raise ValueError(f"file must be {LIBRARY}, {AUTOLOAD} or empty, got {self.file!r}")
        if not self.test and not self.source:
            raise ValueError(f"{self.name} needs a test or a source")


_LAWS = "tests/plugins/native/laws"

HOSTS = (
    Host(
        "Python, `tensorrt` and `tensorrt_rtx`",
        LIBRARY,
        "`runtime.get_plugin_registry().load_library(path)`, which returns `None` for a refusal",
        "TensorRT's `loadLibrary`",
        "tests/export/engines/test_builder.py",
        "",
    ),
    Host(
        "Python, by `ctypes.CDLL` after the import of TensorRT",
        AUTOLOAD,
        "`ctypes.CDLL(path)`",
        "opens it",
        f"{_LAWS}/test_autoload.py",
        "",
    ),
    Host(
        "trtexec, `--dynamicPlugins`",
        LIBRARY,
        "`--dynamicPlugins=path`",
        "TensorRT's `loadLibrary`; it does not look at the result",
        "",
        "NVIDIA/TensorRT 11.1: samples/common/sampleEngines.cpp",
    ),
    Host(
        "trtexec, `--staticPlugins`",
        AUTOLOAD,
        "`--staticPlugins=path`",
        "opens it, after TensorRT",
        "",
        "NVIDIA/TensorRT 11.1: samples/trtexec/trtexec.cpp",
    ),
    Host(
        "Polygraphy 0.53.6",
        AUTOLOAD,
        "`--plugins` with TensorRT's own library before it",
        "opens both; some verbs do so before they import TensorRT",
        f"{_LAWS}/test_polygraphy.py",
        "",
    ),
    Host(
        "Triton Inference Server",
        AUTOLOAD,
        '`--backend-config=tensorrt,plugins="path"`',
        "opens it, in the TensorRT backend",
        "",
        "triton-inference-server/tensorrt_backend: src/tensorrt.cc",
    ),
    Host(
        "DeepStream, element `nvinfer`",
        AUTOLOAD,
        "`custom-lib-path=path` in the element's configuration",
        "opens it",
        "",
        "DeepStream SDK: sources/libs/nvdsinfer/nvdsinfer_context_impl.cpp",
    ),
    Host(
        "Isaac ROS, node `TensorRTNode`",
        AUTOLOAD,
        "parameter `custom_plugin_lib`",
        "opens it",
        "",
        "NVIDIA-ISAAC-ROS/isaac_ros_dnn_inference: isaac_ros_tensor_rt/src/tensor_rt_node.cpp",
    ),
    Host(
        "mmdeploy",
        AUTOLOAD,
        "`ctypes.CDLL(path)` in your own script, after the import of TensorRT",
        "has no option; it opens its own library in this way",
        "",
        "open-mmlab/mmdeploy: mmdeploy/backend/tensorrt/init_plugins.py",
    ),
    Host(
        "ONNX Runtime, TensorRT execution provider",
        "",
        "none",
        "opens what `trt_extra_plugin_lib_paths` names, but offers plugins as nodes of the domain `trt.plugins` only; "
        "ours are of the domain `spair`",
        "",
        "microsoft/onnxruntime: onnxruntime/core/providers/tensorrt/tensorrt_execution_provider_custom_ops.cc",
    ),
)
"""Programs in the order of the page."""


def format_hosts() -> str:
    """Write the table of programs as Markdown."""
    rows = ["| program | file | how it is handed over | what the program does | known from |", "|---|---|---|---|---|"]
    for host in HOSTS:
        file = f"`{host.file}`" if host.file else "none"
        known = f"test: {host.test}" if host.test else f"its sources: {host.source}"
        rows.append(f"| {host.name} | {file} | {host.option} | {host.action} | {known} |")
    return "\n".join(rows) + "\n"
