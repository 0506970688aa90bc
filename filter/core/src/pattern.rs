//! Names in lists: one that ends in `*` stands for all that begin like it.

/// Whether a name in a list stands for `name`. Case matters.
#[must_use]
pub fn covers(listed: &str, name: &[u8]) -> bool {
    match listed.strip_suffix('*') {
        Some(beginning) => name.starts_with(beginning.as_bytes()),
        None => listed.as_bytes() == name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_at_the_end_stands_for_any_ending() {
        assert!(covers("x-b3-*", b"x-b3-traceid") && covers("x-b3-*", b"x-b3-") && covers("b3", b"b3"));
        assert!(!covers("x-b3-*", b"x-b3") && !covers("b3", b"b3-x") && !covers("b3", b"B3"));
    }
}
