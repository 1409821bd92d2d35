"""Metadata from two places as one."""

from __future__ import annotations

from mvc.metadata.model import Base, CommitMetadata


def layered(below: CommitMetadata, above: CommitMetadata) -> CommitMetadata:
    """Two metadata as one: by name, and for series as a whole, what is `above` counts."""
    named = {dataset.name: dataset for dataset in (*below.datasets, *above.datasets)}
    return CommitMetadata(
        params={**below.params, **above.params},
        metrics={**below.metrics, **above.metrics},
        datasets=tuple(named[name] for name in sorted(named)),
        environment=above.environment or below.environment,
        tags={**below.tags, **above.tags},
        links={**below.links, **above.links},
        bases=tuple(dict.fromkeys((*below.bases, *above.bases))),
        tables={**below.tables, **above.tables},
        series=above.series or below.series,
    )


def with_bases(metadata: CommitMetadata, found: tuple[Base, ...]) -> CommitMetadata:
    """With bases that were seen in the tensors: not those that somebody named."""
    here = [base for base in metadata.bases if base.location is None]
    named = {(base.commit, base.path) for base in here} | {(base.commit, None) for base in here if base.commit}
    more = tuple(base for base in found if (base.commit, base.path) not in named and (base.commit, None) not in named)
    return metadata._replace(bases=(*metadata.bases, *more)) if more else metadata
