"""What each route answers, a module or a package for each protocol."""
