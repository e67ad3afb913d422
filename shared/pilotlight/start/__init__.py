"""The start of an instance: fetch, check and load the model, within what the machine has."""
