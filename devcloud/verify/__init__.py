"""Run what was deployed and test it."""
