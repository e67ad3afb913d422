"""Bytes of a request to tensors, and tensors to bytes of a reply."""
