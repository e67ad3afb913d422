"""The side of a conversion that runs with the model's own libraries, on their Python: nothing of the command but this.

Python 3.8 is the oldest: releases of scikit-learn from 1.0 run on it.
"""
