"""The completion scripts of bash, zsh and fish, of either program. They know nothing: at each Tab they ask the program
itself, ``PROGRAM completion offers WORDS...``, where the last word is the one at the cursor.

The answer is a candidate a line, with a tab and what it means where that is known; the status is 3 where files go, too.
"""

from __future__ import annotations

SHELLS = ("bash", "zsh", "fish")
FILES = 3
"""The exit status that asks for file names besides what is offered."""

_BASH = r"""# bash completion of PROGRAM: in bash-completion's directory, or by source <(PROGRAM completion bash)
_PROGRAM() {
    local IFS=$' \t\n' line=${COMP_LINE:0:COMP_POINT} program=${COMP_WORDS[0]/#\~\//$HOME/} current answer status rest
    local -a words
    read -ra words <<< "$line"
    [[ $line == *[[:space:]] ]] && words+=("")
    current=${words[${#words[@]} - 1]}
    answer=$("$program" completion offers "${words[@]:1}" 2>/dev/null)
    status=$?
    IFS=$'\n'
    COMPREPLY=()
    rest=$current # bash takes a part of the word for the word: what stands behind a colon or an equals sign
    [[ $COMP_WORDBREAKS == *:* ]] && rest=${rest##*:}
    [[ $COMP_WORDBREAKS == *=* ]] && rest=${rest##*=}
    for line in $answer; do
        line=${line%%$'\t'*}
        COMPREPLY+=("${line#"${current%"$rest"}"}")
    done
    if ((status == 3)); then
        compopt -o filenames 2>/dev/null
        COMPREPLY+=($(compgen -f -- "$rest"))
    fi
}
complete -F _PROGRAM PROGRAM
"""

_ZSH = r"""#compdef PROGRAM
# zsh completion of PROGRAM: as _PROGRAM in a directory of $fpath, or by source <(PROGRAM completion zsh)
_PROGRAM() {
    local answer line files
    local -a values shown
    answer=$("${(Q)words[1]/#\~\//$HOME/}" completion offers "${(@Q)words[2,CURRENT-1]}" "${(Q)PREFIX}" 2>/dev/null)
    files=$?
    for line in "${(@f)answer}"; do
        [[ -n $line ]] || continue
        values+=("${line%%$'\t'*}")
        shown+=("${line/$'\t'/  -- }")
    done
    (( $#values )) && compadd -l -d shown -a -- values
    (( files == 3 )) && _files
    return 0
}
if [[ $funcstack[1] == _PROGRAM ]]; then
    _PROGRAM "$@"
else
    compdef _PROGRAM PROGRAM
fi
"""

_FISH = r"""# fish completion of PROGRAM: as completions/PROGRAM.fish, or by PROGRAM completion fish | source
function __PROGRAM_offers
    set -l words (commandline -opc)
    set -l current (commandline -ct | string collect --allow-empty)
    set -l answer ($words[1] completion offers $words[2..-1] "$current" 2>/dev/null)
    set -l files $status
    printf '%s\n' $answer
    test $files -eq 3; and __fish_complete_path "$current"
end
complete -c PROGRAM -f -a '(__PROGRAM_offers)'
"""


def script(shell: str, program: str) -> str:
    """The completion script of a program for a shell."""
    return {"bash": _BASH, "zsh": _ZSH, "fish": _FISH}[shell].replace("PROGRAM", program)
