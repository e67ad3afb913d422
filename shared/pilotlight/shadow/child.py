"""The process of a shadow: it answers what it is sent, and says how far its answers are from the served ones.

It is a process of its own so that it can be ended whatever it does, has a limit of memory, and uses the processor time
that nobody else wants. `pilotlight.shadow.process` starts it, with a socket in the place of standard input.
"""

from __future__ import annotations

import os
import resource
import signal
import socket
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from pilotlight import runtimes
from pilotlight.codec.encode import check_outputs, json_values
from pilotlight.errors import InvalidRequest, ModelError, PredictionTimeout
from pilotlight.model.golden import Values
from pilotlight.model.json_document import Node
from pilotlight.model.lock import FIELDS, OPTIONAL_FIELDS, Description, read_description
from pilotlight.model.signature import Signature, read_signature
from pilotlight.model.tensor import DATATYPES, Tensor
from pilotlight.shadow.counts import Counts, count
from pilotlight.shadow.pairs import pair_values
from pilotlight.shadow.wire import processor_clock, receive, send


def main() -> None:
    """Load the model, and answer until the other side ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal sends it to both
    channel = socket.socket(fileno=0)
    job = receive(channel)
    _stand_back(job["memory"])
    model = read_description(Node(job["model"]).fields(*FIELDS, optional=OPTIONAL_FIELDS))
    control = read_signature(Node(job["control"]))
    try:
        loaded = runtimes.load(model, Path(job["folder"]), job["threads"])
    except Exception as error:  # noqa: BLE001 - whatever a library raises, the log of the function has it
        send(channel, {"error": f"{type(error).__name__}: {error}"})
        return
    send(channel, {"error": ""})
    clock = processor_clock(job["threads"], alone=True)
    with suppress(EOFError):
        while True:
            send(channel, _answer(receive(channel), loaded, model, control, clock))


def _stand_back(memory: int) -> None:
    """Use the processor when nobody else does, and at most so many bytes; be the first that the kernel ends."""
    os.nice(19)
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000")
    if memory:
        resource.setrlimit(resource.RLIMIT_DATA, (memory, memory))


def _answer(
    item: Any,  # noqa: ANN401 - as it arrives
    loaded: runtimes.Model,
    model: Description,
    control: Signature,
    clock: Callable[[], float],
) -> dict[str, object]:
    """Return the counts of one call of the model, and the microseconds that it took; or the reason of a failure."""
    inputs, served = ([Tensor(DATATYPES[name], tuple(shape), data) for name, shape, data in side] for side in item[:2])
    try:
        began = clock()
        outputs = loaded.predict(inputs, item[2])
        took = clock() - began
        rows = served[0].shape[0] if control.batch is not None and served[0].shape else 1
        check_outputs(model.signature, outputs, rows)
        return {"rows": rows, "us": round(took * 1e6), "outputs": _compare((control, model.signature), served, outputs)}
    except (MemoryError, PredictionTimeout, InvalidRequest, ModelError) as error:
        return {"failed": _REASONS[type(error)]}
    except Exception as error:  # noqa: BLE001 - the model's library may raise anything
        return {"failed": "memory" if "bad_alloc" in str(error) or "llocate memory" in str(error) else "error"}


_REASONS = {MemoryError: "memory", PredictionTimeout: "time", InvalidRequest: "refused", ModelError: "error"}


def _compare(
    signatures: tuple[Signature, Signature], served: Sequence[Tensor], outputs: Sequence[Tensor]
) -> list[Counts]:
    before, after = (
        {
            output.name: Values(output.name, tensor.datatype, tensor.shape, tuple(json_values(tensor)))
            for output, tensor in zip(signature.outputs, tensors, strict=True)
        }
        for signature, tensors in zip(signatures, (served, outputs), strict=True)
    )
    return count(pair_values(signatures, (before, after)), signatures[0].labels + signatures[1].labels)


if __name__ == "__main__":
    sys.stdout = sys.stderr
    main()
