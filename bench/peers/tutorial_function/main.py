"""The Cloud Function of the tutorials, in its shortest honest form: client, download and session at import."""

import os

import flask
import numpy as np
import onnxruntime
from google.cloud import storage

blob = storage.Client().bucket(os.environ["MODEL_BUCKET"]).blob(os.environ["MODEL_BLOB"])
content = blob.download_as_bytes()
session = onnxruntime.InferenceSession(content)


def predict(request: flask.Request) -> flask.Response:
    """Answer `{"features": [...]}` with label and probabilities."""
    rows = np.array([request.get_json()["features"]], dtype=np.float32)
    labels, probabilities = session.run(None, {session.get_inputs()[0].name: rows})
    return flask.jsonify(prediction=labels[0], probabilities=probabilities[0].tolist())
