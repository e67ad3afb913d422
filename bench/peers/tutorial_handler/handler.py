"""The Lambda handler of the tutorials, in its shortest honest form: client, download and session at import."""

import json
import os
import tempfile

import boto3
import numpy as np
import onnxruntime

path = os.path.join(tempfile.gettempdir(), "model.onnx")
s3 = boto3.client("s3")
s3.download_file(os.environ["MODEL_BUCKET"], os.environ["MODEL_KEY"], path)
session = onnxruntime.InferenceSession(path)


def lambda_handler(event, context):
    """Answer `{"features": [...]}` with label and probabilities."""
    rows = np.array([json.loads(event["body"])["features"]], dtype=np.float32)
    labels, probabilities = session.run(None, {session.get_inputs()[0].name: rows})
    answer = {"prediction": labels[0], "probabilities": probabilities[0].tolist()}
    return {"statusCode": 200, "body": json.dumps(answer)}
