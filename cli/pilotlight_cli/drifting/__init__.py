"""Whether rows have moved away from those that a model was made for."""
