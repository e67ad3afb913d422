"""The same model behind FastAPI and Mangum, as their pages write such a function; pydantic checks both ways."""

import os
import tempfile

import boto3
import numpy as np
import onnxruntime
from fastapi import FastAPI
from mangum import Mangum
from pydantic import BaseModel

path = os.path.join(tempfile.gettempdir(), "model.onnx")
s3 = boto3.client("s3")
s3.download_file(os.environ["MODEL_BUCKET"], os.environ["MODEL_KEY"], path)
session = onnxruntime.InferenceSession(path)
app = FastAPI()


class Row(BaseModel):
    """What is asked."""

    features: list[float]


class Prediction(BaseModel):
    """What is answered."""

    prediction: str
    probabilities: list[float]


@app.post("/predict")
async def predict(row: Row) -> Prediction:
    """Answer a row with label and probabilities."""
    rows = np.array([row.features], dtype=np.float32)
    labels, probabilities = session.run(None, {session.get_inputs()[0].name: rows})
    return Prediction(prediction=labels[0], probabilities=probabilities[0].tolist())


lambda_handler = Mangum(app, lifespan="off")
