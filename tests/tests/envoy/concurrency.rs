//! More turns of one session at once than a scenario holds, over two workers.

use seqroute_tests::support::chat::chat;

use crate::support::with_gateway;

#[test]
fn sixty_four_parallel_turns_of_one_session_cannot_overspend_its_budget() {
    with_gateway(|gateway| async move {
        // Every answer costs all that was reserved: 134 tokens (400 bytes / 3) of input and the full 100 of output.
        let send = |_| async move {
            let request = gateway
                .chat("best", chat(400, 100))
                .header("x-session-id", "crowd")
                .header("x-seqroute-budget-usd", "0.01")
                .header("x-mock-prompt-tokens", "134")
                .header("x-mock-output-tokens", "100")
                .header("x-mock-delay-ms", "400");
            gateway.send(request).await.unwrap().0
        };
        let statuses = futures_util::future::join_all((0..64).map(send)).await;
        let served = statuses.iter().filter(|status| **status == 200).count();
        assert!(statuses.iter().all(|status| matches!(status, 200 | 429)), "{statuses:?}");
        let records = gateway.records("best", "crowd", 64).await.unwrap();
        let charged: u64 = records.iter().map(|record| record.charged_nano_usd.0).sum();
        assert!(charged <= 10_000_000, "{charged} nano-USD for a budget of 0.01 USD");
        // Five large turns leave 0.000490 USD, a medium one 0.0000628: not enough for a small one.
        assert_eq!((served, charged), (6, 5 * 1_902_000 + 427_200));
        let most =
            records.iter().map(|record| record.outstanding_nano_usd.0 + record.reserved_nano_usd.0).max();
        assert!(
            most > Some(9_000_000) && most <= Some(10_000_000),
            "{most:?}: the turns were in flight together"
        );
    });
}
