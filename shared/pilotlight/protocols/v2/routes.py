"""The Open Inference Protocol V2: what its routes answer.

https://github.com/open-inference/open-inference-protocol. Requests are read in `request.py` beside it, tensors as bytes
in `binary.py`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pilotlight import __version__
from pilotlight.codec.body import read_body
from pilotlight.codec.encode import json_values, to_json
from pilotlight.dataplane import DataPlane
from pilotlight.http.messages import Action, Answer, Request, Values, check_model, predicted
