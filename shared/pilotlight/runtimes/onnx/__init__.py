"""ONNX models, on ONNX Runtime's C API or on its Python binding."""
