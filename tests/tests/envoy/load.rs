//! A small `make load`, compared with a post-hoc checker: many turns at once, upstreams and clients that fail.

use indicatif::ProgressBar;
use seqroute_core::config::ModelConfig;
use seqroute_core::money::NanoUsd;
use seqroute_envoy::load::{Call, Keeper, Plan, Trouble, play, session_id};
use seqroute_tests::support::settings;

use crate::support::with_gateway;

#[test]
fn no_session_is_charged_beyond_its_budget_where_a_post_hoc_checker_overspends() {
    with_gateway(|gateway| async move {
        let budget = NanoUsd(20_000_000);
        let plan = Plan { sessions: 6, turns: 40, in_flight: 64, at_once: 16, budget };
        let models: Vec<ModelConfig> = serde_json::from_value(settings::models()).unwrap();
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let progress = ProgressBar::hidden();
        let url = |listener| format!("http://{}", gateway.address(listener));
        let ours =
            play(&client, &url("best"), "load", &plan, &models, Keeper::Gateway, &progress).await.unwrap();
        assert!(ours.refused > 0 && ours.whole > 100, "{ours:?}");
        for session in 0..plan.sessions {
            // The request of a client that leaves at once may never have arrived.
            let sure = (0..plan.turns).filter(|t| Call::of(session, *t).trouble != Some(Trouble::LeaveEarly));
            let records = gateway.records("best", &session_id("load", session), sure.count()).await.unwrap();
            let charged: u64 = records.iter().map(|record| record.charged_nano_usd.0).sum();
            assert!(charged <= budget.0, "session {session}: {charged}");
        }
        let post_hoc = Keeper::PostHoc(&models[2]);
        let theirs =
            play(&client, &url("plain"), "post-hoc", &plan, &models, post_hoc, &progress).await.unwrap();
        assert!(theirs.overcharged(budget).1 > 0, "{theirs:?}");
    });
}
