"""The records of a queue, a stream or a file, scored together; each succeeds or fails alone. It knows no source."""
