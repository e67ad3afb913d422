"""The pinned model in forms that need no server."""
