"""`pilotlight dev`: serves a model on one address while its file, its lock or the sources change."""
