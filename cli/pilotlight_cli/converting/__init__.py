"""Converting a model file to ONNX in an environment of its versions, and proving that the result decides alike."""
