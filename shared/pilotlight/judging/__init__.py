"""Whether one version is worse than another: tests that stay valid however often one looks."""
