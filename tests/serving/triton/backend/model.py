"""Backend `onnxruntime` for a Triton that carries none, as Triton's Python-based backends are written.

Repositories name the platform onnxruntime_onnx, which NVIDIA's container runs with its own backend.
"""

import json
from pathlib import Path

import onnxruntime
import triton_python_backend_utils as pb_utils

THREADS = "intra_op_thread_count"


class TritonPythonModel:
    @staticmethod
    def auto_complete_config(config):
        return config

    def initialize(self, args):
        config = json.loads(args["model_config"])
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = int(config["parameters"].get(THREADS, {"string_value": "1"})["string_value"])
        self.inputs = [one["name"] for one in config["input"]]
        self.outputs = [one["name"] for one in config["output"]]
        file = Path(pb_utils.get_model_dir()) / "model.onnx"
        self.session = onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
        self.check_shapes(config)

    def check_shapes(self, config):
        """Refuse other sizes than the graph's, as the backend of the container does."""
        batches = config["max_batch_size"] > 0
        graph = {one.name: one.shape for one in (*self.session.get_inputs(), *self.session.get_outputs())}
        for one in (*config["input"], *config["output"]):
            dims = one["reshape"]["shape"] if "reshape" in one else one["dims"]
            given = [-1] * batches + [int(size) for size in dims]
            own = [size if isinstance(size, int) else -1 for size in graph[one["name"]]]
            if given != own:
                raise pb_utils.TritonModelException(f"{one['name']} has the shape {own} in the graph, not {given}")

    def execute(self, requests):
        return [self.answer(request) for request in requests]

    def answer(self, request):
        given = {name: pb_utils.get_input_tensor_by_name(request, name).as_numpy() for name in self.inputs}
        try:
            found = self.session.run(self.outputs, given)
        except Exception as error:
            return pb_utils.InferenceResponse([], pb_utils.TritonError(str(error)))
        return pb_utils.InferenceResponse(list(map(pb_utils.Tensor, self.outputs, found)))
