//! The most tokens that a byte of text can make, by class of byte, on real tokenizers (`README.md`).

mod classes;
mod honest;
mod search;
mod tables;
mod vocabularies;
mod weights;

use std::path::PathBuf;
use std::process::ExitCode;
use vocabularies::Vocabulary;

const USAGE: &str = "usage: seqroute-tokens COMMAND [FOLDER OF VOCABULARIES [NAME OF ONE]]

  search   the densest text of each class
  usual    tokens of honest text, and what the weights say
  attack   search a text that makes more tokens than the upper weights allow; fails if there is one
  tables   write the tables of filter/core/src/body/input/tables anew";

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let command = arguments.next().unwrap_or_default();
    let folder = arguments.next().map(PathBuf::from);
    let only = arguments.next();
    let run = match command.as_str() {
        "search" => search,
        "usual" => usual,
        "attack" => attack,
        "tables" => tables::write,
        _ => {
            eprintln!("{USAGE}");
            return ExitCode::FAILURE;
        }
    };
    let outcome = vocabularies::load(folder.as_deref()).and_then(|mut vocabularies| {
        vocabularies.retain(|vocabulary| only.as_ref().is_none_or(|only| vocabulary.name == *only));
        run(&vocabularies)
    });
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// Prints the densest text that was found for each class and vocabulary.
fn search(vocabularies: &[Vocabulary]) -> Result<(), String> {
    println!("| vocabulary | class | tokens per 1000 bytes | unit, repeated |");
    println!("|---|---|---|---|");
    for vocabulary in vocabularies {
        for class in classes::all() {
            let found = search::densest(vocabulary, &class.pieces);
            let unit: String = found.unit.chars().map(visible).collect();
            println!("| {} | {} | {} | `{unit}` |", vocabulary.name, class.name, found.milli_tokens_per_byte);
        }
    }
    Ok(())
}

/// Prints tokens per 1000 bytes of honest text, and both weights.
fn usual(vocabularies: &[Vocabulary]) -> Result<(), String> {
    let names: Vec<_> = vocabularies.iter().map(|vocabulary| vocabulary.name.as_str()).collect();
    println!("| text | {} | usual | upper |", names.join(" | "));
    println!("|---|{}---|---|", "---|".repeat(names.len()));
    for (name, text) in honest::texts() {
        let milli = |tokens: usize| (tokens * 1000).div_ceil(text.len()).to_string();
        let measured: Vec<_> = vocabularies.iter().map(|vocabulary| milli(vocabulary.tokens(text))).collect();
        let usual = weights::usual_milli_tokens(text).div_ceil(text.len());
        let upper = weights::upper_milli_tokens(text).div_ceil(text.len());
        println!("| {name} | {} | {usual} | {upper} |", measured.join(" | "));
    }
    Ok(())
}

/// Searches a text that makes more tokens than the upper weights allow.
fn attack(vocabularies: &[Vocabulary]) -> Result<(), String> {
    let mut broken = Vec::new();
    for vocabulary in vocabularies {
        let found = search::worst_for_weights(vocabulary);
        let allowed = found.allowed_milli_tokens.div_ceil(1000);
        let text: String = found.text.chars().map(visible).collect();
        println!("{}: {} tokens, {allowed} allowed: {text}", vocabulary.name, found.tokens);
        if found.tokens > allowed {
            broken.push(vocabulary.name.as_str());
        }
    }
    if broken.is_empty() { Ok(()) } else { Err(format!("the weights are too low for {}", broken.join(", "))) }
}

/// A character as a table may show it.
fn visible(c: char) -> String {
    match c {
        '|' | '`' => format!("\\u{{{:x}}}", u32::from(c)),
        ' '..='~' => c.to_string(),
        _ => c.escape_unicode().to_string(),
    }
}
