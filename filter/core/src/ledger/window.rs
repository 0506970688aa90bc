//! Windows of time, counted from the epoch, in which budgets of tenants and new sessions of callers are counted.

/// Number of the window at this time.
#[must_use]
pub fn number(window_ms: u64, now_ms: u64) -> u64 {
    now_ms.checked_div(window_ms).unwrap_or(0)
}

/// Whether what was counted in window `counted` is over in window `present`.
///
/// A request reads the clock before it reads the table, so one that began in the last window may come after one of the
/// next: it must not begin its own window anew. A number that is further ahead was counted before the clock was set
/// back.
#[must_use]
pub fn is_over(counted: u64, present: u64) -> bool {
    counted < present || counted.saturating_sub(present) > 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_is_over_in_the_next_and_not_for_a_straggler_of_the_last() {
        assert_eq!([4, 5, 6, 7].map(|counted| is_over(counted, 5)), [true, false, false, true]);
        assert_eq!((number(1000, 999), number(1000, 1000), number(0, 5)), (0, 1, 0));
    }
}
