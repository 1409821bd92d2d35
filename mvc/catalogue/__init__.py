"""Search: a query language, and the catalogue of commits that answers it (docs/format/catalogue.md)."""
