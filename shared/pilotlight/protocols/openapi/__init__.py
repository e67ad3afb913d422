"""The contract of a function as OpenAPI 3.1."""
