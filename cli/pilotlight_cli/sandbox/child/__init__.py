"""The child side of the sandbox: an isolated process that has the model's own libraries and nothing else.

Imports the core, the standard library, and numpy with scikit-learn or onnxruntime; never the command's own libraries.
"""
