"""SimpleImputer in double precision, in which ONNX Runtime has no Imputer and skl2onnx rounds what is filled in."""

from __future__ import annotations

from typing import Any

import numpy as np

_DOUBLE = 11  # onnx.TensorProto


def converter() -> dict[type, Any]:
    """Return skl2onnx's `custom_conversion_functions`: its own does what has no doubles, or nothing to fill in."""
    from skl2onnx.common._registration import get_converter
    from skl2onnx.common.data_types import DoubleTensorType
    from skl2onnx.operator_converters.common import concatenate_variables
    from sklearn.impute import SimpleImputer

    def convert(scope: Any, operator: Any, container: Any) -> None:  # noqa: ANN401 - skl2onnx has no types
        model = operator.raw_operator
        wide = all(isinstance(each.type, DoubleTensorType) for each in operator.inputs)
        filled = np.asarray(model.statistics_)
        plain = isinstance(model.missing_values, float) and np.isnan(model.missing_values)
        if not wide or not plain or model.add_indicator or filled.dtype.kind != "f" or np.isnan(filled).any():
            get_converter("SklearnSimpleImputer")(scope, operator, container)
            return
        value = concatenate_variables(scope, operator.inputs, container)
        missing = scope.get_unique_variable_name("missing")
        statistics = scope.get_unique_variable_name("statistics")
        container.add_initializer(statistics, _DOUBLE, [1, len(filled)], filled.tolist())
        container.add_node("IsNaN", [value], [missing], op_version=13)
        container.add_node("Where", [missing, statistics, value], [operator.outputs[0].full_name], op_version=9)

    return {SimpleImputer: convert}
