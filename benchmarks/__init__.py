"""Benchmarks, one module for each question."""

import spair.runtime  # noqa: F401  turns the telemetry of ONNX Runtime off, which some benchmarks import first
