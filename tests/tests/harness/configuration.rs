//! Configurations: what the log says of a refused one, which a scenario does not see, and changes of policy, of which a
//! scenario has only one.

use seqroute_tests::support::chat::chat;
use seqroute_tests::support::{policies, settings};
use serde_json::{Value, json};

use crate::support::Fixture;

fn refusal(change: impl FnOnce(&mut Value)) -> String {
    let mut settings = settings::plugin(json!("best_affordable"));
    change(&mut settings);
    let error = Fixture::try_new(1, &settings).err().expect("refused");
    let line = error.logs.iter().find(|line| line.text.contains("seqroute: refused: "));
    line.unwrap_or_else(|| panic!("{error:?}")).text.clone()
}

#[test]
fn a_bad_configuration_is_refused_with_one_clear_line() {
    type Change = fn(&mut Value);
    let cases: [(Change, &str); 7] = [
        (
            |v| v["models"][0]["prices"]["input_pico_usd_per_token"] = json!(0),
            "`models[0].prices`: found a price of 0",
        ),
        (
            |v| v["models"][0]["prices"] = json!({"input_pico_usd_per_token": 1}),
            "missing field `output_pico_usd_per_token`",
        ),
        (|v| v["budget"]["default_usd"] = json!("-3"), "`budget.default_usd`: found `-3`"),
        (|v| v["strategy"] = json!({"always": "gpt-9"}), "`strategy.always`: found `gpt-9`"),
        (|v| v["strategy"] = json!("policy"), "`policy_b64`: found nothing"),
        (|v| v["bugdet"] = json!(1), "unknown field `bugdet`"),
        (|v| *v = json!("not an object"), "plugin configuration:"),
    ];
    for (change, expected) in cases {
        let line = refusal(change);
        assert!(line.contains(expected) && !line.contains('\n'), "expected `{expected}` in: {line}");
    }
}

#[test]
fn a_truncated_policy_is_refused_and_the_old_one_keeps_serving() {
    let tar = policies::arbitrary(1).unwrap();
    let world = Fixture::new(1, &settings::with_policy(&tar));
    let broken = settings::with_policy(&tar[..tar.len() / 2]);
    let error = world.vms[0].plugin("seqroute", broken.to_string()).err().expect("refused");
    assert!(error.logs.iter().any(|line| line.text.contains("policy archive: ")), "{:?}", error.logs);
    let record = world.turn(0, "s", &chat(400, 10), 100, 5).unwrap();
    assert!(record.policy.starts_with("arbitrary-1@"));
}

#[test]
fn a_new_policy_takes_over_with_the_sessions_of_the_old() {
    let world = Fixture::new(1, &settings::with_policy(&policies::arbitrary(1).unwrap()));
    let first = world.turn(0, "s", &chat(400, 10), 100, 5).unwrap();
    let in_flight = world.request(0, "s", &chat(400, 10));
    let new =
        world.vms[0].plugin("seqroute", settings::with_policy(&policies::arbitrary(2).unwrap()).to_string());
    let world = Fixture { plugins: vec![new.unwrap()], ..world };
    let second = world.turn(0, "s", &chat(400, 10), 100, 5).unwrap();
    assert!(second.policy.starts_with("arbitrary-2@"));
    assert_eq!(second.spent_nano_usd, first.charged_nano_usd);
    assert!(in_flight.end().unwrap().policy.starts_with("arbitrary-1@"), "a stream keeps its policy");
    assert_eq!(world.outstanding_nano_usd(""), 0);
}
