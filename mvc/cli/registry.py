"""Every verb of mvc: its group in `mvc --help`, its one-line help, and where its command is.

The help stands here, not only in the commands, so that `mvc --help` imports none of them.
A test holds that every target loads and has a page in docs/commands/.
"""

from __future__ import annotations

from typing import NamedTuple


class Entry(NamedTuple):
    """A verb: `target` is "module:attribute" of its click command."""

    target: str
    help: str


GROUPS: dict[str, dict[str, Entry]] = {
    "start": {
        "init": Entry("mvc.cli.init:command", "Make a repository, or complete one"),
        "demo": Entry("mvc.cli.demo:command", "See mvc at work on a real model"),
    },
    "work on the current change": {
        "add": Entry("mvc.cli.add:command", "Stage files for the next commit"),
        "rm": Entry("mvc.cli.rm:command", "Remove files from the worktree and the stage"),
        "mv": Entry("mvc.cli.mv:command", "Move or rename a file or folder"),
        "restore": Entry("mvc.cli.restore:command", "Bring files back from the stage or a revision"),
        "clean": Entry("mvc.cli.clean:command", "Remove files that are not versioned"),
        "stash": Entry("mvc.cli.stash:command", "Put changes aside, and take them back"),
    },
    "see what is there and what changed": {
        "status": Entry("mvc.cli.status:command", "What is staged, changed, not versioned"),
        "log": Entry("mvc.cli.log:command", "The history, with params and metrics"),
        "show": Entry("mvc.cli.show:command", "A commit, a model's tensors, or a file"),
        "diff": Entry("mvc.cli.diff:command", "What changed, tensor by tensor"),
        "bisect": Entry("mvc.cli.bisect:command", "Find the commit that made it worse"),
        "ls-files": Entry("mvc.cli.ls_files:command", "The files of the stage"),
        "cat-file": Entry("mvc.cli.cat_file:command", "An object's content, or one tensor as .npy"),
        "rev-parse": Entry("mvc.cli.rev_parse:command", "What a revision's name stands for"),
    },
    "grow and combine history": {
        "commit": Entry("mvc.cli.commit:command", "Record what is staged, with params and metrics"),
        "branch": Entry("mvc.cli.branch:command", "List, make, rename or delete branches"),
        "tag": Entry("mvc.cli.tag:command", "List, make or delete tags"),
        "switch": Entry("mvc.cli.switch:command", "Go to another branch"),
        "checkout": Entry("mvc.cli.checkout:command", "Go to a branch or revision, or take files from it"),
        "merge": Entry("mvc.cli.merge:command", "Join another branch into this one"),
        "rebase": Entry("mvc.cli.rebase:command", "Put commits on top of another base"),
        "cherry-pick": Entry("mvc.cli.cherry_pick:command", "Apply what a commit changed"),
        "revert": Entry("mvc.cli.revert:command", "Undo what a commit changed"),
        "reset": Entry("mvc.cli.reset:command", "Move the branch, and the stage and files with it"),
        "reflog": Entry("mvc.cli.reflog:command", "Where branches have been"),
        "worktree": Entry("mvc.cli.worktree:command", "Several worktrees on one repository"),
    },
    "follow a training": {
        "runs": Entry("mvc.cli.runs:command", "Trainings: how they stand, what they stored"),
        "forget": Entry("mvc.cli.forget:command", "Drop checkpoints that are not worth their room"),
    },
    "know your models": {
        "search": Entry("mvc.cli.search:command", "Find commits by params, metrics, tags and words"),
        "lineage": Entry("mvc.cli.lineage:command", "What a model was made from, and what was made from it"),
        "annotate": Entry("mvc.cli.annotate:command", "Metrics that come later, without a new commit"),
        "compare": Entry("mvc.cli.compare:command", "Params and metrics of commits side by side"),
        "plot": Entry("mvc.cli.plot:command", "Metrics over commits or steps, as a picture"),
        "alias": Entry("mvc.cli.alias:command", "Names that move, such as production, with their history"),
        "gate": Entry("mvc.cli.gate:command", "Whether a version may pass: metrics, weights, size"),
        "report": Entry("mvc.cli.report:command", "What a change does to a model, for a pull request"),
        "approve": Entry("mvc.cli.approve:command", "Say that a version may be promoted"),
        "reject": Entry("mvc.cli.reject:command", "Say that a version must not be promoted"),
    },
    "share": {
        "clone": Entry("mvc.cli.clone:command", "Copy a remote into a new folder"),
        "remote": Entry("mvc.cli.remote:command", "Name the remotes, and see what they hold"),
        "get": Entry("mvc.cli.get:command", "One version into a folder, without a clone"),
        "fetch": Entry("mvc.cli.fetch:command", "Bring history from a remote"),
        "pull": Entry("mvc.cli.pull:command", "Fetch, then merge or rebase"),
        "push": Entry("mvc.cli.push:command", "Bring commits and models to a remote"),
        "whereis": Entry("mvc.cli.whereis:command", "Which remotes hold the bytes of a version"),
        "drop": Entry("mvc.cli.drop:command", "Free here what a remote holds"),
        "bundle": Entry("mvc.cli.bundle:command", "Branches with their models in a file, for an air gap"),
        "ls-remote": Entry("mvc.cli.ls_remote:command", "The refs of a remote"),
        "import": Entry("mvc.cli.import_:command", "Bring models from DVC, Git LFS, MLflow, the Hub's cache"),
        "export": Entry("mvc.cli.export:command", "Write versions for DVC, Git LFS, the Hub's cache, safetensors"),
        "serve": Entry("mvc.cli.serve:command", "Serve repositories over HTTP"),
    },
    "work beside code": {
        "hooks": Entry("mvc.cli.hooks:command", "Let Git's own commands take the models along"),
        "ci": Entry("mvc.cli.ci:command", "Pipelines that check models, and report"),
    },
    "keep the repository": {
        "config": Entry("mvc.cli.config:command", "Read and write settings"),
        "gc": Entry("mvc.cli.gc:command", "Free what nothing needs any more"),
        "fsck": Entry("mvc.cli.fsck:command", "Check every stored byte"),
        "store": Entry("mvc.cli.store:command", "The chunks that the machine's repositories share"),
        "purge": Entry("mvc.cli.purge:command", "Take leaked files out of all history, remotes too"),
        "count-objects": Entry("mvc.cli.count_objects:command", "How much is stored, and what was saved"),
        "unlock": Entry("mvc.cli.unlock:command", "Break a lock that a dead process left"),
        "upgrade": Entry("mvc.cli.upgrade:command", "Bring the repository to the newest format"),
        "completion": Entry("mvc.cli.completion:command", "Completion for bash, zsh or fish"),
    },
}

VERBS: dict[str, Entry] = {verb: entry for group in GROUPS.values() for verb, entry in group.items()}
