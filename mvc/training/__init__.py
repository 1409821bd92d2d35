"""From training code: runs, their logs and checkpoints. docs/training.md shows it at work."""
