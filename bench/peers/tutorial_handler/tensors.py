"""The Lambda handler of the tutorials for a model of words: tensors in, one tensor out, all of it in JSON."""

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
    """Answer `{"inputs": [{"name", "shape", "data"}, ...]}` with the model's first output."""
    asked = json.loads(event["body"])["inputs"]
    inputs = {each["name"]: np.array(each["data"], dtype=np.int64).reshape(each["shape"]) for each in asked}
    hidden = session.run(None, inputs)[0]
    return {"statusCode": 200, "body": json.dumps({"outputs": [{"data": hidden.ravel().tolist()}]})}
