"""Rows of files: a part of a file in, a file of results and a summary out. It needs pyarrow and numpy."""
