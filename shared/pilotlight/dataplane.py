"""The data plane: validated tensors in, tensors out, for any transport."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

from pilotlight.codec.decode import read_instance, read_instances
from pilotlight.codec.encode import check_outputs
from pilotlight.errors import Forbidden
from pilotlight.frozen import EMPTY, TYPE_CHECKING
from pilotlight.model.lock import Description
from pilotlight.model.tensor import Tensor
from pilotlight.start.loading import Loader

if TYPE_CHECKING:
    from pathlib import Path

    from pilotlight.features.lookup import FeatureLookup
    from pilotlight.model.golden import Sample

# Seconds: how long a request waits for the model if the platform sets no deadline, how much of a deadline is reserved
# for the response, and how long a probe waits.
REQUEST_TIMEOUT = 25.0
RESERVE = 0.5
_PROBE_TIMEOUT = 1.0

# The minimum in seconds that a prediction gets, out of the reserve: most need a thousandth of it.
_MIN_PREDICTION_TIME = 0.2


ReadObject: TypeAlias = "Callable[[str, int, float, str], bytearray]"
"""Returns an object's bytes, from its URL, its size, a deadline on the data plane's clock, and its place in a body."""

Predict: TypeAlias = "Callable[[Any, Sequence[Tensor], float], tuple[Tensor, ...]]"
"""Returns the outputs of a `runtimes.Model` from its inputs and a timeout in seconds, and raises what its own does."""

Watch: TypeAlias = "Callable[[Sequence[Tensor], Sequence[Tensor]], None]"
"""Sees the inputs and the outputs of each call of the model that succeeded, and never raises."""


class DataPlane:
    """The served model, behind every transport. Threads may call it at the same time."""

    def __init__(
        self,
        model: Description,
        loader: Loader,
        *,
        clock: Callable[[], float],
        golden: Path | None = None,
        read_object: ReadObject | None = None,
        features: FeatureLookup | None = None,
    ) -> None:
        """`clock` is the monotonic clock of deadlines, in seconds. `golden` is the file of the golden samples.

        `read_object` is None where no input may be read by reference, `features` where no feature is looked up.
        """
        self.model = model
        self._loader = loader
        self._clock = clock
        self._golden = golden
        self._read_object = read_object
        self.features = features
        self.predict: Predict = run_model  # a server may set one that runs the inputs of several callers together
        self.watch: Watch | None = None

    @property
    def sample(self) -> Sample | None:
        """The first golden sample of the package, or None."""
        from pilotlight.model.golden import first_sample  # noqa: PLC0415 - few requests need it

        return first_sample(self._golden)

    def read_instances(
        self, instances: object, path: str, deadline: float | None = None, within: str = ""
    ) -> tuple[Tensor, ...]:
        """Return the inputs for a batch as `codec.decode.read_instances` does, with the features that are looked up.

        Raise InvalidRequest, and FeatureMissing, BadFeature or FeaturesUnavailable by the deadline of the request.
        """
        if self.features is not None:
            instances = self.features.complete(instances, lambda index: f"{path}[{index}]{within}", self._end(deadline))
        return read_instances(self.model.signature, instances, path, within)

    def read_instance(self, instance: object, path: str, deadline: float | None = None) -> tuple[Tensor, ...]:
        """Return the inputs for one instance, as `read_instances` does."""
        if self.features is not None:
            instance = self.features.complete([instance], lambda _: path, self._end(deadline))[0]
        return read_instance(self.model.signature, instance, path)

    def complete_each(self, instances: list[Any], place: Callable[[int], str], deadline: float | None) -> list[Any]:
        """Return instances with the features that are looked up, or the error of one in its place."""
        return (
            instances if self.features is None else self.features.complete_each(instances, place, self._end(deadline))
        )

    def wait(self, deadline: float, trace: Mapping[str, object] = EMPTY) -> None:
        """Wait for a model that is being loaded, as `run` does. Raise NotReady."""
        self._loader.model(deadline - RESERVE, trace)

    def read_object(self, url: str, size: int, path: str, deadline: float | None = None) -> bytearray:
        """Return the `size` bytes of the object that an input names at `path`, by the deadline of its request.

        Raise Forbidden, and what `fetch.inputs.InputObjects.read` does.
        """
        if self._read_object is None:
            raise Forbidden("no input may be read by reference: PILOTLIGHT_INPUT_PREFIXES is empty", path)
        return self._read_object(url, size, self._end(deadline), path)

    def run(
        self,
        inputs: Sequence[Tensor],
        rows: int | None,
        deadline: float | None = None,
        trace: Mapping[str, object] = EMPTY,
    ) -> tuple[Tensor, ...]:
        """Return the model's outputs, in the order of its signature, waiting for a model that is being loaded.

        Each output must have `rows` rows; if it is None, only the signature's shapes count. `trace` has the platform's
        fields for every log line of this call. Raise NotReady, PredictionTimeout, InvalidRequest if the model refuses
        the values, and whatever else its library raises.
        """
        deadline = self._end(deadline)
        model = self._loader.model(deadline, trace)
        outputs = self.predict(model, inputs, max(deadline - self._clock(), _MIN_PREDICTION_TIME))
        check_outputs(self.model.signature, outputs, rows)
        if self.watch is not None:
            self.watch(inputs, outputs)
        return outputs

    def _end(self, deadline: float | None) -> float:
        """Return when the work on a request has to end."""
        return deadline - RESERVE if deadline is not None else self._clock() + REQUEST_TIMEOUT

    def check_ready(self, trace: Mapping[str, object] = EMPTY) -> None:
        """Raise NotReady while the model is not loaded, after starting another attempt if the last one gave up.

        The caller waits briefly for that attempt: between requests Lambda freezes the process. Raise
        FeaturesUnavailable while the store of features, if there is one, does not answer.
        """
        if self._loader.state != "ready":
            self._loader.retry(self._clock() + _PROBE_TIMEOUT, trace)
        if self._loader.state != "ready":
            raise self._loader.not_ready()
        if self.features is not None:
            self.features.check(self._clock() + _PROBE_TIMEOUT)


def run_model(model: Any, inputs: Sequence[Tensor], timeout: float) -> tuple[Tensor, ...]:  # noqa: ANN401 - a Model
    """Run a `runtimes.Model`: what predicts where nothing else is set."""
    outputs: tuple[Tensor, ...] = model.predict(inputs, timeout)
    return outputs
