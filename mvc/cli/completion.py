"""`mvc completion`: the script that a shell reads for completion behind the Tab key."""

from __future__ import annotations

import os

import click
from click.shell_completion import (
    BashComplete,
    CompletionItem,
    FishComplete,
    ShellComplete,
    ZshComplete,
    add_completion_class,
    shell_complete,
    split_arg_string,
)

from mvc.cli.command import verb
from mvc.cli.registry import VERBS
from mvc.cli.session import Session

VARIABLE = "_MVC_COMPLETE"
_BASH = """
%(complete_func)s() {
    local IFS=$'\\n' line="${COMP_LINE:0:COMP_POINT}" response completion type value cut=""
    response=$(env COMP_WORDS="$line" COMP_CWORD=last %(complete_var)s=bash_complete $1)
    # Bash takes what stands before a colon for a word of its own, and replaces only what comes behind.
    local word="${line##*[[:space:]]}"
    if [[ $COMP_WORDBREAKS == *:* && $word == *:* ]]; then
        cut="${word%%"${word##*:}"}"
    fi
    for completion in $response; do
        IFS=',' read -r type value <<< "$completion"
        if [[ $type == dir ]]; then
            COMPREPLY=()
            compopt -o dirnames
        elif [[ $type == file ]]; then
            COMPREPLY=()
            compopt -o default
        elif [[ $type == plain ]]; then
            [[ $value == */ ]] && compopt -o nospace
            printf -v value '%%q' "${value#"$cut"}"
            COMPREPLY+=("$value")
        fi
    done
    return 0
}

complete -o nosort -F %(complete_func)s %(prog_name)s
"""


class Bash(BashComplete):
    """As click's, but for words that bash breaks at a colon: the line is taken apart here."""

    source_template = _BASH

    def get_completion_args(self) -> tuple[list[str], str]:
        if os.environ.get("COMP_CWORD") != "last":
            return super().get_completion_args()
        line = os.environ["COMP_WORDS"]
        words = split_arg_string(line)
        incomplete = words.pop() if words and not line[-1:].isspace() else ""
        return words[1:], incomplete


SHELLS: dict[str, type[ShellComplete]] = {"bash": Bash, "zsh": ZshComplete, "fish": FishComplete}


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
    add_completion_class(Bash)
    return shell_complete(program, {"obj": session}, "mvc", VARIABLE, instruction)
