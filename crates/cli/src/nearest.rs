//! Which known word was meant by an unknown one.

/// How much alike two words must be for one to be meant by the other, of 1.
const ALIKE: f64 = 0.77;

/// The word most like `typed`, if any is much like it.
pub(crate) fn nearest<'a>(typed: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    known
        .map(|word| (likeness(word, typed), word))
        .filter(|(likeness, _)| *likeness >= ALIKE)
        .max_by(|(one, _), (other, _)| one.total_cmp(other))
        .map(|(_, word)| word)
}

/// Jaro's likeness: 1 for the same word, 0 for nothing in common.
fn likeness(one: &str, other: &str) -> f64 {
    let (one, other): (Vec<char>, Vec<char>) = (one.chars().collect(), other.chars().collect());
    let reach = (one.len().max(other.len()) / 2).saturating_sub(1);
    let mut taken = vec![false; other.len()];
    let mut common = Vec::new();
    for (at, letter) in one.iter().enumerate() {
        let near = other.iter().zip(taken.iter_mut()).enumerate();
        let mut near = near.filter(|(there, _)| there.abs_diff(at) <= reach);
        if let Some((_, (_, taken))) = near.find(|(_, (it, taken))| *it == letter && !**taken) {
            *taken = true;
            common.push(*letter);
        }
    }
    let there = other.iter().zip(&taken).filter(|(_, taken)| **taken).map(|(letter, _)| letter);
    let swapped = common.iter().zip(there).filter(|(here, there)| here != there).count();
    let [ones, others, common, swapped] =
        [one.len(), other.len(), common.len(), swapped / 2].map(number);
    if common == 0.0 {
        return 0.0;
    }
    (common / ones + common / others + (common - swapped) / common) / 3.0
}

/// A small number as one that can be divided.
fn number(count: usize) -> f64 {
    f64::from(u32::try_from(count).unwrap_or(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mistyped_word_is_recognised_and_nonsense_is_not() {
        let known = ["list_queues", "add_user", "delete_user", "list_policies"];
        let nearest = |typed| nearest(typed, known.into_iter());

        assert_eq!(nearest("list_queue"), Some("list_queues"));
        assert_eq!(nearest("addusr"), Some("add_user"));
        assert_eq!(nearest("nonsense"), None);
        assert_eq!(nearest(""), None);
    }

    #[test]
    fn likeness_is_jaros() {
        assert!((likeness("martha", "marhta") - 0.944).abs() < 0.001);
        assert!((likeness("dwayne", "duane") - 0.822).abs() < 0.001);
    }
}
