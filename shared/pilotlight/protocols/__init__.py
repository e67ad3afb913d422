"""The actions of the routes, a module or a package for each protocol."""
