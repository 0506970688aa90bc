"""Splits shell text into simple commands: lists of words without keywords, assignments and redirections."""

KEYWORDS = {"do", "then", "else", "if", "elif", "until", "while", "!", "time", "exec", "sudo", "{", "}"}
# Nothing behind these words is a command.
CLOSING = {"done", "fi", "for", "in", "esac", "case"}


def commands(text: str) -> list[list[str]]:
    """The simple commands of a script, those inside `$(…)` included."""
    found = []
    for words in _split(text.replace("\\\n", " ")):
        for word in words:
            for inner in _substitutions(word):
                found += commands(inner)
        words = _strip(words)
        if words:
            found.append(words)
    return found


def _split(text: str) -> list[list[str]]:
    """Words of each command, still with keywords and assignments; quotes are removed, redirections dropped."""
    result, words, word, quote, at = [], [], None, None, 0

    def end_word():
        nonlocal word
        if word is not None:
            words.append(word)
        word = None

    def end_command():
        nonlocal words
        end_word()
        result.append(words)
        words = []

    while at < len(text):
        char = text[at]
        if quote:
            if char == quote:
                quote = None
            else:
                word += char
        elif char in "'\"":
            quote, word = char, word or ""
        elif text.startswith("$(", at):
            end = _closing(text, at + 1)
            word, at = (word or "") + text[at : end + 1], end
        elif char == "#" and word is None:
            at = text.find("\n", at)
            if at < 0:
                break
            end_command()
        elif char in "\n;&|()":
            end_command()
        elif char in "<>":
            if word and word.isdigit():
                word = None
            end_word()
            at += 1
            while at < len(text) and text[at] in ">& ":
                at += 1
            while at < len(text) and text[at] not in " \n;&|()":
                at += 1
            continue
        elif char.isspace():
            end_word()
        else:
            word = (word or "") + char
        at += 1
    end_command()
    return [words for words in result if words]


def _closing(text: str, opening: int) -> int:
    """Index of the parenthesis that closes the one at `opening`."""
    depth = 0
    for at in range(opening, len(text)):
        depth += {"(": 1, ")": -1}.get(text[at], 0)
        if depth == 0:
            return at
    return len(text) - 1


def _substitutions(word: str) -> list[str]:
    """The scripts inside the `$(…)` of a word."""
    found, at = [], word.find("$(")
    while at >= 0:
        end = _closing(word, at + 1)
        found.append(word[at + 2 : end])
        at = word.find("$(", end)
    return found


def _strip(words: list[str]) -> list[str]:
    """Removes what stands before the program's name."""
    words = [word.strip("[]…") for word in words]
    words = [word for word in words if word]
    while words:
        first = words[0]
        if first in CLOSING:
            return []
        name, equals, _ = first.partition("=")
        if first in KEYWORDS or (equals and name.replace("_", "a").isalnum()):
            words = words[1:]
        elif first == "/usr/bin/time":
            words = words[2:] if words[1:2] == ["-v"] else words[1:]
        else:
            return words
    return []
