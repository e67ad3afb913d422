"""The same model behind FastAPI, as its documentation writes such a service; checked by pydantic both ways."""

import os

import numpy as np
import onnxruntime
from fastapi import FastAPI
from google.cloud import storage
from pydantic import BaseModel

blob = storage.Client().bucket(os.environ["MODEL_BUCKET"]).blob(os.environ["MODEL_BLOB"])
content = blob.download_as_bytes()
session = onnxruntime.InferenceSession(content)
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
