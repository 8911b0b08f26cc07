#include "cli/common/completion.h"

namespace vps::cli {
namespace {

// "__complete" prints one candidate a line, a tab and its explanation behind it, and last a line ":file", ":dir" or ":none" that
// tells what else the shell may offer.
constexpr std::string_view kBash = R"(# bash completion of @PROGRAM@
_@PROGRAM@() {
    local IFS=$'\n' line kind=':none' word
    local words=("${COMP_WORDS[@]:1:COMP_CWORD}")
    COMPREPLY=()
    while IFS= read -r line; do
        case $line in
            :*) kind=$line ;;
            *) COMPREPLY+=("${line%%$'\t'*}") ;;
        esac
    done < <(@PROGRAM@ __complete "${words[@]}" 2>/dev/null)
    word=${COMP_WORDS[COMP_CWORD]}
    case $kind in
        :file) COMPREPLY+=($(compgen -f -- "$word")); compopt -o filenames ;;
        :dir) COMPREPLY+=($(compgen -d -- "$word")); compopt -o filenames ;;
    esac
}
complete -F _@PROGRAM@ @PROGRAM@
)";

constexpr std::string_view kZsh = R"(#compdef @PROGRAM@
# zsh completion of @PROGRAM@
_@PROGRAM@() {
    local line kind=':none'
    local -a candidates
    while IFS= read -r line; do
        if [[ $line == :* ]]; then
            kind=$line
        else
            candidates+=("${${line%%$'\t'*}//:/\\:}:${line#*$'\t'}")
        fi
    done < <(@PROGRAM@ __complete "${(@)words[2,CURRENT]}" 2>/dev/null)
    (( $#candidates )) && _describe '@PROGRAM@' candidates
    case $kind in
        :file) _files ;;
        :dir) _files -/ ;;
    esac
}
if [ "$funcstack[1]" = "_@PROGRAM@" ]; then
    _@PROGRAM@ "$@"
else
    compdef _@PROGRAM@ @PROGRAM@
fi
)";

constexpr std::string_view kFish = R"(# fish completion of @PROGRAM@
function __@PROGRAM@_complete
    set -l words (commandline -opc) (commandline -ct)
    for line in (command @PROGRAM@ __complete $words[2..-1] 2>/dev/null)
        switch $line
            case ':file'
                __fish_complete_path (commandline -ct)
            case ':dir'
                __fish_complete_directories (commandline -ct)
            case ':*'
            case '*'
                echo $line
        end
    end
end
complete -c @PROGRAM@ -f -a '(__@PROGRAM@_complete)'
)";

}  // namespace

std::string completion_script(std::string_view shell, std::string_view program) {
  std::string_view source = shell == "bash" ? kBash : shell == "zsh" ? kZsh : shell == "fish" ? kFish : std::string_view();
  constexpr std::string_view kMark = "@PROGRAM@";
  std::string out;
  while (true) {
    auto mark = source.find(kMark);
    out += source.substr(0, mark);
    if (mark == std::string_view::npos) return out;
    out += program;
    source.remove_prefix(mark + kMark.size());
  }
}

}  // namespace vps::cli
