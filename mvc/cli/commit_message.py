"""The message of a commit, from an editor."""

from __future__ import annotations

from mvc.cli.session import Session
from mvc.cli.text import printable_path
from mvc.ops.commit import CommitOptions, message_template
from mvc.ops.diff import DiffOptions, Status, diff

_HELP = """
# Please enter the commit message for your changes. Lines starting
# with '#' will be ignored, and an empty message aborts the commit.
#
"""
_WORDS = {
    Status.ADDED: "new file:",
    Status.DELETED: "deleted:",
    Status.MODIFIED: "modified:",
    Status.RENAMED: "renamed:",
    Status.TYPE: "typechange:",
    Status.UNMERGED: "unmerged:",
}
_MOST = 100


def compose(session: Session, options: CommitOptions, text: str | None) -> str:
    """Let the user write the message; they see what will be committed."""
    repo = session.repo()
    before = text if text is not None else message_template(repo, options)
    head = repo.refs.head()
    where = f"On branch {head.short}" if head.short else "HEAD detached"
    lines = [f"# {where}", "#"]
    revisions = ("HEAD",) if options.only and head.id else ()
    wanted = DiffOptions(revisions, staged=not revisions, tensors=False)
    found = diff(repo, wanted, options.only, prefix=options.prefix)
    if found.files:
        lines.append("# Changes to be committed:")
        lines += [f"#\t{_WORDS[one.status]:<12}{printable_path(one.path)}" for one in found.files[:_MOST]]
        if len(found.files) > _MOST:
            lines.append(f"#\tand {len(found.files) - _MOST:,} more")
    body = before.rstrip("\n") + "\n" if before.strip() else "\n"
    return session.edit(body + _HELP + "\n".join(lines) + "\n", name="COMMIT_EDITMSG")
