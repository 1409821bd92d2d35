"""Models out of other tools: DVC, Git LFS, MLflow, the Hub's cache. Readers of their stores, and one way in."""
