//! Tests of a bucket's bytes and of leases.

use super::*;
use proptest::prelude::*;

fn any_entry() -> impl Strategy<Value = Entry> {
    let reservations = proptest::collection::vec(any::<[u64; 3]>(), 0..4);
    let counts = any::<(u32, u16)>();
    let conversations = proptest::collection::vec(any::<(u64, u32, u64, u8, u32, u32)>(), 0..4);
    (any::<[u8; 16]>(), any::<[u64; 5]>(), counts, conversations, reservations).prop_map(
        |(id, numbers, (turns, early_leaves), conversations, reservations)| Entry {
            id: SessionId(id),
            owner: Owner(numbers[4]),
            last_seen_ms: numbers[0],
            session: SessionView {
                spent: NanoUsd(numbers[2]),
                turns,
                early_leaves,
                output_tokens: numbers[3],
                ..SessionView::new(NanoUsd(numbers[1]))
            },
            conversations: Conversations(
                conversations
                    .into_iter()
                    .map(|(start, system, settled_ms, model, prompt_tokens, body_bytes)| Remembered {
                        conversation: Conversation { start, system },
                        settled_ms,
                        // 255 stands for none where a session was evicted.
                        model: model % 8,
                        prompt_tokens,
                        body_bytes,
                        warm_tokens: prompt_tokens / 2,
                    })
                    .collect(),
            ),
            reservations: reservations
                .into_iter()
                .map(|[id, amount, lease_end_ms]| Reservation { id, amount: NanoUsd(amount), lease_end_ms })
                .collect(),
        },
    )
}

fn any_bucket() -> impl Strategy<Value = SessionBucket> {
    let entries = || proptest::collection::vec(any_entry(), 0..5);
    (any::<u64>(), entries(), entries()).prop_map(|(next_reservation, entries, evicted)| SessionBucket {
        next_reservation,
        entries,
        evicted: evicted.iter().map(Evicted::of).collect(),
    })
}

proptest! {
    #[test]
    fn writing_and_reading_is_the_identity(bucket in any_bucket()) {
        prop_assert_eq!(SessionBucket::from_bytes(&bucket.to_bytes()), Ok(bucket));
    }

    #[test]
    fn a_bucket_has_the_size_that_the_table_of_its_parts_says(bucket in any_bucket()) {
        prop_assert_eq!(bucket.byte_size(), bucket.to_bytes().len());
        let reservations: usize = bucket.entries.iter().map(|entry| entry.reservations.len()).sum();
        let conversations: usize = bucket.entries.iter().map(|entry| entry.conversations.0.len()).sum();
        let expected = HEADER_BYTES
            + SESSION_BYTES * bucket.entries.len() as u64
            + CONVERSATION_BYTES * conversations as u64
            + RESERVATION_BYTES * reservations as u64
            + EVICTED_BYTES * bucket.evicted.len() as u64;
        prop_assert_eq!(bucket.to_bytes().len() as u64, expected);
    }

    #[test]
    fn a_cut_bucket_is_an_error(bucket in any_bucket(), entry in any_entry(), cut in 1usize..47) {
        let bucket = SessionBucket { entries: vec![entry.clone()], evicted: vec![Evicted::of(&entry)], ..bucket };
        let bytes = bucket.to_bytes();
        prop_assert!(SessionBucket::from_bytes(&bytes[..bytes.len() - cut]).is_err());
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        if let Ok(bucket) = SessionBucket::from_bytes(&bytes) && !bytes.is_empty() {
            prop_assert_eq!(bucket.to_bytes(), bytes);
        }
    }
}

fn entry(leases: &[(u64, u64)]) -> Entry {
    let reservation = |(id, (amount, lease_end_ms)): (usize, &(u64, u64))| Reservation {
        id: id as u64,
        amount: NanoUsd(*amount),
        lease_end_ms: *lease_end_ms,
    };
    let reservations = leases.iter().enumerate().map(reservation).collect();
    Entry { reservations, ..Entry::new(SessionId([1; 16]), Owner(1), NanoUsd(100), 0) }
}

#[test]
fn an_expired_lease_is_removed_once() {
    let mut entry = entry(&[(30, 10), (20, 20)]);
    assert_eq!(entry.last_view(0).available(), NanoUsd(50));
    assert_eq!(entry.expire(10, 100), Expired { leases: 1, amount: NanoUsd(30), changed: true });
    assert_eq!(entry.expire(10, 100), Expired::default());
    assert_eq!(entry.last_view(10).available(), NanoUsd(80));
}

#[test]
fn a_clock_set_back_delays_a_lease_by_at_most_one_lease() {
    let mut entry = entry(&[(30, 1_000_100)]);
    entry.last_seen_ms = 1_000_000;
    assert_eq!(entry.expire(5, 100), Expired { changed: true, ..Expired::default() });
    assert_eq!((entry.reservations[0].lease_end_ms, entry.last_seen_ms), (105, 5));
    assert_eq!(entry.expire(105, 100).amount, NanoUsd(30));
}

#[test]
fn an_evicted_session_comes_back_with_what_it_had_spent() {
    let mut entry = entry(&[]);
    entry.session.spent = NanoUsd(60);
    entry.session.turns = 4;
    entry.conversations = Conversations::of_model(2);
    entry.session.early_leaves = 2;
    let restored = Evicted::of(&entry).restore(Owner(7));
    assert_eq!((restored.last_view(0).available(), restored.session.turns), (NanoUsd(40), 4));
    assert_eq!((restored.owner, restored.session.early_leaves), (Owner(7), 2));
    assert_eq!(restored.last_view(0).last_model, Some(2));
}

#[test]
fn a_bucket_of_another_format_is_an_error() {
    let bytes = SessionBucket::default().to_bytes();
    let old = [&[4][..], &bytes[1..]].concat();
    assert!(SessionBucket::from_bytes(&bytes).is_ok());
    assert!(SessionBucket::from_bytes(&old).is_err());
}
