"""Tables of functions behind TensorRT's Python bindings.

Each becomes a class whose methods answer "nothing" and say so; the library overrides those that are emulated.

What TensorRT's Python bindings call are tables of functions in the order of the headers. Within a major version that
order only grows, so 10.14's headers serve 10.0 to 10.x; of 11's tables it is known what is missing from them.
"""

from __future__ import annotations

import re
from pathlib import Path

CLASSES = {
    "VRuntime": "NvInferImpl.h",
    "VCudaEngine": "NvInferImpl.h",
    "VExecutionContext": "NvInferImpl.h",
    "VRuntimeConfig": "NvInferImpl.h",
    "VEngineInspector": "NvInferImpl.h",
    "IPluginRegistry": "NvInferRuntimeCommon.h",
}
REMOVED = {
    "10": frozenset(),
    "11": frozenset(
        [
            "deserializeCudaEngine(IStreamReader&)",
            "registerCreator(IPluginCreator&)",
            "getPluginCreatorList",
            "getPluginCreator",
            "deregisterCreator(IPluginCreator)",
            "createExecutionContextWithoutDeviceMemory",
            "getDeviceMemorySize",
            "getProfileTensorValues",
            "hasImplicitBatchDimension",
            "getDeviceMemorySizeForProfile",
            "setWeightStreamingBudget",
            "getWeightStreamingBudget",
            "getMinimumWeightStreamingBudget",
            "allInputShapesSpecified",
        ]
    ),
}
REMOVED["rtx"] = REMOVED["11"]
"""Flavour -> methods of 10.x that its tables lack; an overload stands with the type of its first argument."""
ADDED = {
    ("VRuntime", "rtx"): [
        ("size_t", "getEngineHeaderSize", "", "const"),
        ("int32_t", "getEngineValidity", "void const* blob, int64_t size, uint64_t* diagnostics", "const"),
    ],
    ("VExecutionContext", "rtx"): [("bool", "isStreamCapturable", "cudaStream_t stream", "const")],
    ("VRuntimeConfig", "rtx"): [
        ("void*", "createRuntimeCache", "", "const"),
        ("bool", "setRuntimeCache", "void* cache", ""),
        ("void*", "getRuntimeCache", "", "const"),
        ("void", "setDynamicShapesKernelSpecializationStrategy", "int32_t strategy", ""),
        ("int32_t", "getDynamicShapesKernelSpecializationStrategy", "", "const"),
        ("void", "setCudaGraphStrategy", "int32_t strategy", ""),
        ("int32_t", "getCudaGraphStrategy", "", "const"),
    ],
}
"""Methods of TensorRT-RTX 1.7.1 behind 11's tables, found by the spare entries that its bindings call."""
SPARE = 24
"""Number of entries behind a table, for bindings that are newer than the headers."""
METHOD = re.compile(
    r"virtual\s+((?:[\w:]+\s+|const\s+)*[\w:]+(?:\s*const)?[\s*&]*(?:const[\s*]*)?)\b(\w+)\(([^;]*?)\)\s*(const)?\s*(?:noexcept)?\s*=\s*0;"
    r"|virtual\s+~(\w+)\(\)",
    re.S,
)


def read_methods(headers: Path, name: str) -> list[tuple[str, str, str, str]]:
    """Return the methods of a class in order.

    Each is (result, name, arguments, const); a destructor is ("", "~", "", "").
    """
    text = re.sub(r"//[^\n]*", "", (headers / CLASSES[name]).read_text())
    body = re.search(rf"class {name}\b[^;{{]*\{{(.*?)\n\}};", text, re.S)
    assert body, f"{headers / CLASSES[name]} has no class {name}"
    inner, skip = [], False
    for line in body[1].splitlines():  # features that are off
        skip = True if line.startswith("#if") else False if line.startswith("#endif") else skip
        inner += [] if skip or line.startswith("#") else [line]
    found = [] if name[0] == "I" else [("", "~", "", "")]  # of its base
    for kind, method, arguments, const, destructor in METHOD.findall("\n".join(inner)):
        plain = re.sub(r"\s*=\s*[^,]+", "", " ".join(arguments.split()))
        found.append(("", "~", "", "") if destructor else (" ".join(kind.split()), method, plain, const))
    return found


def list_methods(headers: Path, name: str, flavour: str) -> list[tuple[str, str, str, str]]:
    """Return the methods of a flavour's table."""

    def is_there(method: str, arguments: str) -> bool:
        first = arguments.split()[0] if arguments else ""
        return method not in REMOVED[flavour] and f"{method}({first})" not in REMOVED[flavour]

    kept = [entry for entry in read_methods(headers, name) if is_there(entry[1], entry[2])]
    return kept + ADDED.get((name, flavour), [])


def write_tables(headers: Path, flavour: str) -> str:
    """Return C++ source with a class for each table."""
    parts = [
        "namespace tables {",
        "using namespace nvinfer1;",
        "using PluginLibraryHandle = void*;",
        "void absent(char const* name);",
    ]
    for name in CLASSES:
        parts.append(f"class {name} {{\npublic:")
        for kind, method, arguments, const in list_methods(headers, name, flavour):
            if method == "~":
                parts.append(f"    virtual ~{name}() noexcept = default;")
                continue
            answer = "" if kind == "void" else "abort();" if kind.endswith("&") else "return {};"
            body = f'absent("{name}::{method}"); {answer}'
            parts.append(f"    virtual {kind} {method}({arguments}) {const} noexcept {{ {body} }}")
        for index in range(SPARE):
            body = f'absent("{name}: entry {index} behind the table"); return 0;'
            parts.append(f"    virtual int64_t spare{index}() noexcept {{ {body} }}")
        parts.append("};")
    return "\n".join([*parts, "}"])
