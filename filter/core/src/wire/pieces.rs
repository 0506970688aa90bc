//! Cuts of a message for tests: what is read must not depend on them.

/// `bytes` cut at `cuts`, in any order. A cut beyond the end is one at the end, and equal cuts leave an empty piece.
pub(crate) fn pieces(bytes: &[u8], cuts: impl IntoIterator<Item = usize>) -> Vec<&[u8]> {
    let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(bytes.len())).collect();
    cuts.extend([0, bytes.len()]);
    cuts.sort_unstable();
    cuts.windows(2).map(|pair| &bytes[pair[0]..pair[1]]).collect()
}
