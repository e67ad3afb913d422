"""Wrong requests, by what is wrong with them: each must get a 4xx of the one error shape, whichever way it comes."""

from __future__ import annotations

from catalogue.building import Wrong
from catalogue.structure import NAMES, SHAPES, TENSORS
from catalogue.text import FRONTS, PATHS, TEXT
from catalogue.transport import BINARY, BOMBS, ENCODINGS, HEADERS, OVERSIZE, ROUTES, VERSIONS
from catalogue.values import NUMBERS, SYNTAX

CATALOGUE: dict[str, list[Wrong]] = {
    "syntax": SYNTAX,
    "numbers": NUMBERS,
    "tensors": TENSORS,
    "shapes": SHAPES,
    "names": NAMES,
    "headers": HEADERS,
    "encodings": ENCODINGS,
    "binary sizes": BINARY,
    "oversize": OVERSIZE,
    "bombs": BOMBS,
    "versions": VERSIONS,
    "routes": ROUTES,
    "paths": PATHS,
    "text": TEXT,
    "fronts": FRONTS,
}
