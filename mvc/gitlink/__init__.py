"""mvc inside a Git project: who tracks what, which branch, and which mvc commit goes with a Git commit."""
