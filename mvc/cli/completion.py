"""`mvc completion`: the script that a shell reads for completion behind the Tab key."""

from __future__ import annotations

import click
from click.shell_completion import (
    BashComplete,
    CompletionItem,
    FishComplete,
    ShellComplete,
    ZshComplete,
    shell_complete,
)

from mvc.cli.command import verb
from mvc.cli.registry import VERBS
from mvc.cli.session import Session

VARIABLE = "_MVC_COMPLETE"
SHELLS: dict[str, type[ShellComplete]] = {"bash": BashComplete, "zsh": ZshComplete, "fish": FishComplete}


@verb
@click.argument("shell", type=click.Choice(list(SHELLS)))
def command(session: Session, shell: str) -> None:
    """Completion of verbs, options, branches, tags and files.

    \b
    bash:  mvc completion bash > ~/.local/share/bash-completion/completions/mvc
    zsh:   mvc completion zsh > ~/.zfunc/_mvc      (with fpath+=~/.zfunc before compinit)
    fish:  mvc completion fish > ~/.config/fish/completions/mvc.fish
    """
    kind = SHELLS[shell]
    # Not kind.source(): for bash that runs bash to ask for its version, which need not be the one that reads this.
    values = {"complete_func": "_mvc_completion", "complete_var": VARIABLE, "prog_name": "mvc"}
    session.emit_text((kind.source_template % values).strip())


def complete_verbs(incomplete: str) -> list[CompletionItem[str]]:
    """The verbs that begin so, with their help."""
    return [CompletionItem(name, help=entry.help) for name, entry in VERBS.items() if name.startswith(incomplete)]


def answer(program: click.Command, session: Session, instruction: str) -> int:
    """What the shell's script asks for behind each Tab, on stdout."""
    return shell_complete(program, {"obj": session}, "mvc", VARIABLE, instruction)
