//! Tests of the text head on messages whose words show their subject.

use super::*;
use seqroute_sessions::session::{Outcome, Turn};
use seqroute_sessions::simulator::tiers;

const SUBJECTS: [(&str, f64, u64, &[&str]); 3] = [
    ("law", 0.9, 4, &["contract", "court", "tort", "clause", "appeal", "statute"]),
    ("maths", 0.1, 400, &["integral", "prime", "matrix", "proof", "angle", "vector"]),
    ("cooking", 0.5, 60, &["butter", "oven", "salt", "dough", "pepper", "broth"]),
];

fn models() -> Vec<ModelConfig> {
    vec![tiers().remove(0), tiers().remove(2)]
}

/// Message `number` of a subject: three of its words. The small model is right in the subject's share of the messages,
/// the large one always.
fn turn(subject: usize, number: usize, with_category: bool) -> Turn {
    let (category, quality, output_tokens, words) = SUBJECTS[subject];
    let word = |k: usize| words[(number / 6usize.pow(k as u32) + k * number) % words.len()];
    let right = ((number * 37) % 100) as f64 / 100.0 < quality;
    let option = |model: &str, quality: f64| Outcome { model: model.to_owned(), quality, output_tokens };
    Turn {
        prompt_id: None,
        category: with_category.then(|| category.to_owned()),
        input_tokens: 10,
        text: TextFeatures::of(&format!(
            "{} {} {} q{}",
            word(0),
            word(1),
            word(2),
            "abcdefghij".get(number % 10..).unwrap()
        )),
        propensity: None,
        options: vec![option("small", f64::from(u8::from(right))), option("large", 1.0)],
    }
}

fn sessions(with_category: bool) -> Vec<Session> {
    let session = |k: usize| Session {
        session: k.to_string(),
        turns: (0..3).map(|subject| turn(subject, k, with_category)).collect(),
    };
    (0..300).map(session).collect()
}

#[test]
fn text_predicts_quality_and_length_through_the_category() {
    let sessions = sessions(true);
    let (head, predictions, summary) = fit(&sessions, &models(), &TextConfig::default()).unwrap();
    assert!(summary.topics && summary.explained_gap_share[0] > 0.2, "{summary:?}");
    assert!(summary.explained_length_share.iter().all(|share| *share > 0.9), "{summary:?}");
    for (subject, (name, quality, tokens, words)) in SUBJECTS.into_iter().enumerate() {
        let predicted = head.predict(&TextFeatures::of(&format!("{} {}", words[0], words[3])));
        assert!((f64::from(predicted[0]) - quality).abs() < 0.25, "{name}: {predicted:?}");
        assert!((f64::from(predicted[2]) - (tokens as f64).ln_1p()).abs() < 0.6, "{name}: {predicted:?}");
        // The learner sees predictions of heads that were not fitted on the message.
        let out_of_fold = predictions.of(7, subject);
        assert_eq!(out_of_fold.len(), 4);
        assert!((f64::from(out_of_fold[0]) - quality).abs() < 0.35, "{name}: {out_of_fold:?}");
    }
}

#[test]
fn without_categories_only_the_regression_is_used() {
    let (head, _, summary) = fit(&sessions(false), &models(), &TextConfig::default()).unwrap();
    assert!(!summary.topics && head.topics.is_none());
    assert!(summary.explained_gap_share[0] > 0.1, "{summary:?}");
}

#[test]
fn without_text_the_means_are_predicted() {
    let sessions = sessions(true);
    for config in [TextConfig::default(), TextConfig { folds: 0, ..TextConfig::default() }] {
        let (head, ..) = fit(&sessions, &models(), &config).unwrap();
        let turns = || sessions.iter().flat_map(|session| &session.turns);
        let mean = turns().map(|turn| turn.options[0].quality).sum::<f64>() / turns().count() as f64;
        let predicted = head.predict(&TextFeatures::default());
        assert!((f64::from(predicted[0]) - mean).abs() < 0.05, "{predicted:?} {mean}");
        assert!((predicted[1] - 1.0).abs() < 1e-4, "{predicted:?}");
    }
}

#[test]
fn the_same_messages_give_the_same_head() {
    let sessions = sessions(true);
    let config = TextConfig::default();
    assert_eq!(fit(&sessions, &models(), &config).unwrap().0, fit(&sessions, &models(), &config).unwrap().0);
}
