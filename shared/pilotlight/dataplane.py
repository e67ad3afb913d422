"""The data plane: validated tensors in, tensors out. It knows no transport."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from pilotlight.codec.encode import check_outputs
from pilotlight.frozen import EMPTY, TYPE_CHECKING
from pilotlight.model.lock import Description
from pilotlight.model.tensor import Tensor
from pilotlight.start.loading import Loader

if TYPE_CHECKING:
    from pathlib import Path

    from pilotlight.model.golden import Sample

# Seconds: how long a request waits for the model where the platform names no deadline, what it keeps of a deadline to
# answer, and how long a probe waits.
_PATIENCE = 25.0
_RESERVE = 0.5
_PROBE_PATIENCE = 1.0

# The least time in seconds that a model gets, out of what is kept to answer: most need a thousandth of it.
_LEAST = 0.2


class DataPlane:
    """The served model, behind every transport. Threads may call it at the same time."""

    def __init__(
        self, model: Description, loader: Loader, *, clock: Callable[[], float], golden: Path | None = None
    ) -> None:
        """`clock` is monotonic, in seconds: deadlines are on it. `golden` is the file of the golden samples."""
        self.model = model
        self._loader = loader
        self._clock = clock
        self._golden = golden

    @property
    def sample(self) -> Sample | None:
        """The first golden sample of the package, where it has any."""
        from pilotlight.model.golden import first_sample  # noqa: PLC0415 - hardly a request needs it

        return first_sample(self._golden)

    def run(
        self,
        inputs: Sequence[Tensor],
        rows: int | None,
        deadline: float | None = None,
        trace: Mapping[str, object] = EMPTY,
    ) -> tuple[Tensor, ...]:
        """Return the model's outputs, in the order of its signature, waiting for a model that is being loaded.

        Each output must hold `rows` answers; None holds them to the signature's shapes alone. `trace` is what the
        platform wants in every log line of this call. Raises NotReady, PredictionTimeout, InvalidRequest where the
        model does not take the values, and whatever else its library raises.
        """
        deadline = deadline - _RESERVE if deadline is not None else self._clock() + _PATIENCE
        model = self._loader.model(deadline, trace)
        outputs = model.predict(inputs, max(deadline - self._clock(), _LEAST))
        check_outputs(self.model.signature, outputs, rows)
        return outputs

    def check_ready(self, trace: Mapping[str, object] = EMPTY) -> None:
        """Raise NotReady while the model is not loaded, after starting another attempt where the last one gave up.

        The caller waits for that attempt for a moment: between requests Lambda stops the process.
        """
        if self._loader.state != "ready":
            self._loader.retry(self._clock() + _PROBE_PATIENCE, trace)
        if self._loader.state != "ready":
            raise self._loader.not_ready()
