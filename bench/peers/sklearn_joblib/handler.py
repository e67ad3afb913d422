"""The same forest as scikit-learn saved it, in the tutorials' handler: client, download and joblib.load at import."""

import json
import os
import tempfile

import boto3
import joblib
import numpy as np

path = os.path.join(tempfile.gettempdir(), "model.pkl")
s3 = boto3.client("s3")
s3.download_file(os.environ["MODEL_BUCKET"], os.environ["MODEL_KEY"], path)
model = joblib.load(path)


def lambda_handler(event, context):
    """Answer `{"features": [...]}` with label and probabilities."""
    probabilities = model.predict_proba(np.array([json.loads(event["body"])["features"]]))[0]
    answer = {"prediction": model.classes_[probabilities.argmax()], "probabilities": probabilities.tolist()}
    return {"statusCode": 200, "body": json.dumps(answer)}
