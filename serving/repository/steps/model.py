"""Models of Triton's Python backend for picture files.

Repositories hold copies of this file. Which of the two a copy is, its configuration says.
"""

from __future__ import annotations

import json
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import triton_python_backend_utils as pb_utils

from spair.runtime import GateError, Picture, UserError
from spair.runtime.images import check_encodable, decode_image, encode_image
from spair.runtime.pixels import from_bytes, to_bytes
from spair.serving.contract import FORMATS


class TritonPythonModel:
    """Reader or writer of picture files; Triton wants this name."""

    def initialize(self, args: Mapping[str, str]) -> None:
        """Read the configuration's parameters.

        They are "step" (decode or encode), "max_pixels", and "keeps_clean": whether pixels that the mask leaves out
        are those of the file.
        """
        given = json.loads(args["model_config"])["parameters"]
        facts = {name: value["string_value"] for name, value in given.items()}
        self._max_pixels, self._keeps_clean = int(facts["max_pixels"]), facts["keeps_clean"] == "1"
        self._run = {"decode": self._decode, "encode": self._encode}[facts["step"]]

    def execute(self, requests: Sequence[Any]) -> list[Any]:
        """Answer each request.

        What is wrong with one is told in its own answer.
        """
        return [self._answer(request) for request in requests]

    def _answer(self, request: Any) -> Any:
        try:
            return pb_utils.InferenceResponse([pb_utils.Tensor(*one) for one in self._run(request).items()])
        except UserError as error:
            return _refuse(str(error), pb_utils.TritonError.INVALID_ARG)
        except GateError as error:
            return _refuse(str(error), pb_utils.TritonError.INTERNAL)
        except Exception:
            pb_utils.Logger.log_error(traceback.format_exc())  # clients get no traceback
            return _refuse("an internal error; its traceback is in the log of Triton", pb_utils.TritonError.INTERNAL)

    def _decode(self, request: Any) -> dict[str, np.ndarray]:
        """Make pixels of a file."""
        picture = self._read(request)
        check_encodable(picture, _choose_format(request, picture))  # refused before the work, not after it
        return {"image": np.ascontiguousarray(np.moveaxis(to_bytes(picture.pixels), 2, 0)[None])}

    def _encode(self, request: Any) -> dict[str, np.ndarray]:
        """Make files of what the network gave for a picture."""
        picture, share = self._read(request), _take(request, "share")
        if not np.isfinite(share).all():
            raise GateError(
                "the network gave values that are not finite; write the repository with --precision fp32, or of "
                "another checkpoint"
            )
        mask = _take(request, "marks")[0, 0].astype(bool)
        restored = np.ascontiguousarray(np.moveaxis(_take(request, "pixels")[0], 0, 2))
        pixels = from_bytes(picture.pixels, restored, mask if self._keeps_clean else None)
        marks = Picture(mask[..., None].astype(np.uint8) * np.uint8(255))
        files = {
            "restored": encode_image(replace(picture, pixels=pixels), _choose_format(request, picture)),
            "mask": encode_image(marks, name="the mask"),
        }
        return {**{name: np.array([data], object) for name, data in files.items()}, "density": share}

    def _read(self, request: Any) -> Picture:
        (file,) = _take(request, "file")
        return decode_image(bytes(file), max_pixels=self._max_pixels)


def _take(request: Any, name: str) -> np.ndarray:
    return np.asarray(pb_utils.get_input_tensor_by_name(request, name).as_numpy())


def _choose_format(request: Any, picture: Picture) -> str:
    """Return the name of the format of the answer.

    Raises:
        UserError: its parameter `format` is none of `FORMATS`.
    """
    form = json.loads(request.parameters() or "{}").get("format", FORMATS[0])
    if form not in FORMATS:
        raise UserError(f"the parameter format is {form!r}, expected {' or '.join(FORMATS)}")
    return picture.format or "PNG" if form == "input" else "PNG"


def _refuse(sentence: str, code: Any) -> Any:
    return pb_utils.InferenceResponse([], pb_utils.TritonError(sentence, code))
