"""What runs the model: a GPU where there is one that can be used, else the processor. One image serves on both."""

from __future__ import annotations

from pilotlight.errors import SettingsError
from pilotlight.frozen import dataclass

GPU, PROCESSOR = "cuda", "cpu"


@dataclass(frozen=True, slots=True)
class Device:
    """What was found: GPU or PROCESSOR, or nothing in an image that has no choice.

    `refusal` says why it is not the GPU, where that was not chosen.
    """

    name: str = ""
    refusal: str = ""

    @property
    def is_gpu(self) -> bool:
        """Whether it is a GPU."""
        return self.name == GPU


def find(wanted: str) -> Device:
    """Find GPU, PROCESSOR, or with an empty text whichever can be used, by a session on it.

    Raise SettingsError if a GPU is wanted and cannot be used.
    """
    from pilotlight.runtimes.onnx import cuda  # noqa: PLC0415 - a model of scikit-learn needs none of it

    if not cuda.is_installed():
        if wanted == GPU:
            raise SettingsError(
                "PILOTLIGHT_SERVER_DEVICE is cuda, but onnxruntime is installed without CUDA; build the target gpu of "
                "functions/container/Dockerfile"
            )
        return Device()
    refusal = "" if wanted == PROCESSOR else cuda.refusal()
    if refusal and wanted:
        raise SettingsError(f"PILOTLIGHT_SERVER_DEVICE is cuda, but no GPU can be used: {refusal}")
    return Device(PROCESSOR if refusal or wanted == PROCESSOR else GPU, refusal)
