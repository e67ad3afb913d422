"""One way to score the rows of a Parquet file, in a process of its own: `batch_sides.py WHAT ROWS RESULT`.

WHAT is `bare`, pyarrow's batches through a bare session and Parquet out; `pandas`, whole frames through the same forest
as joblib loads it; or `rows`, the first rows one at a time through the session.
"""

from __future__ import annotations

import sys
from typing import Any

from sample import SAMPLE

# Rows that are scored one at a time; more would take minutes and tell the same.
ONE_BY_ONE = 50_000

_BATCH = 10_000


def bare(rows: str, result: str) -> None:
    """Score batches of a row group, with what is in memory bounded by one."""
    import numpy as np
    import pyarrow as pa
    from pyarrow import parquet

    session = _session()
    file = parquet.ParquetFile(rows, pre_buffer=False)
    writer = None
    for group in range(file.num_row_groups):
        for batch in file.iter_batches(_BATCH, row_groups=[group], use_threads=False):
            values = np.empty((batch.num_rows, batch.num_columns), np.float32)
            for index, column in enumerate(batch.columns):
                values[:, index] = column.to_numpy()
            labels, found = session.run(None, {"features": values})
            table = pa.table(
                {
                    "prediction": pa.array(labels.tolist()),
                    "probability_benign": np.ascontiguousarray(found[:, 0]),
                    "probability_malignant": np.ascontiguousarray(found[:, 1]),
                }
            )
            writer = writer or parquet.ParquetWriter(result, table.schema)
            writer.write_table(table)
    if writer is not None:
        writer.close()


def pandas(rows: str, result: str) -> None:
    """Score whole frames."""
    import joblib
    import numpy as np
    import pandas as pd

    frame = pd.read_parquet(rows)
    model = joblib.load(SAMPLE / "model.pkl")
    found = model.predict_proba(frame.to_numpy())
    pd.DataFrame(
        {
            "prediction": model.classes_[np.argmax(found, axis=1)],
            "probability_benign": found[:, 0],
            "probability_malignant": found[:, 1],
        }
    ).to_parquet(result)


def one_by_one(rows: str, result: str) -> None:
    """Score the first rows alone, each read from a list as a request's would be."""
    import numpy as np
    import pyarrow as pa
    from pyarrow import parquet

    session = _session()
    file = parquet.ParquetFile(rows, pre_buffer=False)
    records: list[dict[str, object]] = []
    for batch in file.iter_batches(_BATCH, use_threads=False):
        for record in batch.to_pylist():
            label, found = session.run(None, {"features": np.array([list(record.values())], np.float32)})
            records.append(
                {
                    "prediction": str(label[0]),
                    "probability_benign": found[0, 0],
                    "probability_malignant": found[0, 1],
                }
            )
            if len(records) == ONE_BY_ONE:
                break
        if len(records) == ONE_BY_ONE:
            break
    parquet.write_table(pa.Table.from_pylist(records), result)


def _session() -> Any:  # noqa: ANN401 - onnxruntime has no types
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(str(SAMPLE / "model.onnx"), options, providers=["CPUExecutionProvider"])


if __name__ == "__main__":
    {"bare": bare, "pandas": pandas, "rows": one_by_one}[sys.argv[1]](*sys.argv[2:])
