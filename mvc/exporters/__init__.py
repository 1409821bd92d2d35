"""Versions into the forms of other tools: DVC, Git LFS, the Hub's cache, safetensors."""
