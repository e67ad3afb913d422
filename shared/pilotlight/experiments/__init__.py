"""An A/B test: which version answers which unit, and the versions beside the pinned one."""
