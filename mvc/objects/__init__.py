"""The Git side of a repository: objects, refs, trees, history, config, manifests."""
