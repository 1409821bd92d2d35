"""What a commit says of itself: params, metrics, datasets, environment."""
