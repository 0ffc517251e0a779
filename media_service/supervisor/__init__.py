"""Keeps the processes of the one-command service running (`media up`). Knows nothing of what they do."""
