//! Clean histories, and one fault in each, wherever the seed finds a place for it.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;

use super::scene::{MANY, deliver};
use super::*;
use crate::history::Message;

/// What the broker does wrong once.
#[derive(Clone, Copy, Debug)]
enum Sin {
    Drops,
    Doubles,
    Swaps,
    Resurrects,
    Unflags,
    Overfeeds,
    ConfirmsForeign,
    ConfirmsTwice,
    RefusesWhatItConfirmed,
    MakesUp,
    Garbles,
    Misroutes,
    CountsBack,
}

/// Each with the invariant that it breaks.
const SINS: [(Sin, &str); 13] = [
    (Sin::Drops, "I1"),
    (Sin::Doubles, "I3"),
    (Sin::Swaps, "I4"),
    (Sin::Resurrects, "I5"),
    (Sin::Unflags, "I3"),
    (Sin::Overfeeds, "I7"),
    (Sin::ConfirmsForeign, "I6"),
    (Sin::ConfirmsTwice, "I6"),
    (Sin::RefusesWhatItConfirmed, "I6"),
    (Sin::MakesUp, "I2"),
    (Sin::Garbles, "I2"),
    (Sin::Misroutes, "I2"),
    (Sin::CountsBack, "I3"),
];

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn a_history_without_faults_has_none(seed: u64) {
        let verdict = verdict(Scene::play(seed));

        prop_assert_eq!(&verdict.violations, &[]);
        let Summary { published, confirmed, delivered, duplicated, .. } = verdict.summary;
        prop_assert!(published > 20 && confirmed <= published && delivered == published);
        prop_assert_eq!(duplicated, 0);
    }

    #[test]
    fn a_planted_fault_is_found_and_named(seed: u64) {
        for (sin, invariant) in SINS {
            let mut lines = Scene::play(seed);
            let mut chance = StdRng::seed_from_u64(seed);
            if !plant(sin, &mut lines, &mut chance) {
                continue;
            }

            let found = found(lines);

            prop_assert!(found.contains(&invariant), "{:?} is found as {:?}", sin, found);
        }
    }
}

#[test]
fn every_fault_finds_a_place_in_many_histories() {
    for (sin, _) in SINS {
        let is_planted =
            |seed| plant(sin, &mut Scene::play(seed), &mut StdRng::seed_from_u64(seed));

        let planted = (0..20).filter(|seed| is_planted(*seed)).count();

        assert!(planted >= 8, "{sin:?}: {planted} of 20");
    }
}

/// Plants a fault, if there is a place for it.
fn plant(sin: Sin, lines: &mut Vec<Line>, chance: &mut StdRng) -> bool {
    match sin {
        Sin::Drops => drop_message(lines, chance),
        Sin::Doubles => double(lines, chance),
        Sin::Swaps => swap(lines, chance),
        Sin::Resurrects => resurrect(lines, chance),
        Sin::Unflags => change_delivery(lines, chance, |event| match event {
            Event::Deliver { redelivered, .. } => std::mem::take(redelivered),
            _ => false,
        }),
        Sin::CountsBack => change_delivery(lines, chance, |event| match event {
            Event::Deliver { acquired, .. } if *acquired > 0 => {
                *acquired = 0;
                true
            }
            _ => false,
        }),
        Sin::Garbles => change_delivery(lines, chance, |event| match event {
            Event::Deliver { sum, .. } => {
                *sum ^= 1;
                true
            }
            _ => false,
        }),
        Sin::MakesUp => change_delivery(lines, chance, |event| match event {
            Event::Deliver { message, .. } => {
                *message = Some(1_000_000);
                true
            }
            _ => false,
        }),
        Sin::Misroutes => change_delivery(lines, chance, |event| match event {
            Event::Publish { queues, .. } if *queues != [MANY] => {
                *queues = vec![MANY.into()];
                true
            }
            _ => false,
        }),
        Sin::Overfeeds => overfeed(lines, chance),
        Sin::ConfirmsForeign => confirm_again(lines, chance, 1000, true),
        Sin::ConfirmsTwice => confirm_again(lines, chance, 0, true),
        Sin::RefusesWhatItConfirmed => confirm_again(lines, chance, 0, false),
    }
}

/// Changes one line; what it is, `change` decides, and tells whether it did anything.
fn change_delivery(
    lines: &mut [Line],
    chance: &mut StdRng,
    change: impl Fn(&mut Event) -> bool,
) -> bool {
    let fits = |at: &usize| change(&mut lines[*at].event.clone());
    let places: Vec<usize> = (0..lines.len()).filter(fits).collect();
    places.choose(chance).is_some_and(|at| change(&mut lines[*at].event))
}

fn delivery(line: &Line) -> Option<(u64, u64, Message, bool)> {
    match line.event {
        Event::Deliver { consumer, tag, message, redelivered, .. } => {
            Some((consumer, tag, message?, redelivered))
        }
        _ => None,
    }
}

fn drop_message(lines: &mut Vec<Line>, chance: &mut StdRng) -> bool {
    // What a lost publisher sent may have come to nothing.
    let channels = lost(lines);
    let published = |line: &Line| match line.event {
        Event::Publish { message, channel, .. } if !channels.contains(&channel) => Some(message),
        _ => None,
    };
    let messages: Vec<Message> = lines.iter().filter_map(published).collect();
    let Some(victim) = messages.choose(chance) else { return false };
    lines.retain(|line| delivery(line).is_none_or(|(_, _, message, _)| message != *victim));
    true
}

fn lost(lines: &[Line]) -> BTreeSet<u64> {
    let channel = |line: &Line| match line.event {
        Event::Lost { channel, .. } => Some(channel),
        _ => None,
    };
    lines.iter().filter_map(channel).collect()
}

fn double(lines: &mut Vec<Line>, chance: &mut StdRng) -> bool {
    let places: Vec<usize> = (0..lines.len())
        .filter(|at| delivery(&lines[*at]).is_some_and(|(.., redelivered)| !redelivered))
        .collect();
    let Some(at) = places.choose(chance) else { return false };
    let (consumer, tag, message, _) = delivery(&lines[*at]).unwrap();
    let event = deliver(consumer, tag + 100_000, message, 0);
    lines.insert(at + 1, Line { at: lines[*at].at, event });
    true
}

/// Two first deliveries to one consumer, of messages that one channel published, change places.
fn swap(lines: &mut [Line], chance: &mut StdRng) -> bool {
    let mut publishers = BTreeMap::new();
    let mut rows: BTreeMap<(u64, u64), Vec<usize>> = BTreeMap::new();
    let mut seen = BTreeSet::new();
    for (at, line) in lines.iter().enumerate() {
        if let Event::Publish { channel, message, .. } = line.event {
            publishers.insert(message, (channel, at));
        }
        let Some((consumer, _, message, redelivered)) = delivery(line) else { continue };
        if seen.insert(message) && !redelivered {
            rows.entry((consumer, publishers[&message].0)).or_default().push(at);
        }
    }
    // Both must be first deliveries still: those that never come again.
    let often = |message: Message| {
        lines.iter().filter_map(delivery).filter(|(_, _, of, _)| *of == message).count() > 1
    };
    let once = |at: usize| !often(delivery(&lines[at]).unwrap().2);
    let pairs = rows.values().flat_map(|row| row.windows(2)).map(|pair| (pair[0], pair[1]));
    // Nor may the later one come before it was published, nor a consumer leave meanwhile or a
    // little before, with whom the earlier one may have been.
    let published = |at: usize| publishers[&delivery(&lines[at]).unwrap().2].1;
    let leaves = |line: &Line| matches!(line.event, Event::Lost { .. } | Event::Closed { .. });
    let fits = |a: usize, b: usize| {
        let is_calm = !lines[published(a).saturating_sub(5)..b].iter().any(leaves);
        once(a) && once(b) && published(b) < a && is_calm
    };
    let pairs: Vec<_> = pairs.filter(|(a, b)| fits(*a, *b)).collect();
    let Some((a, b)) = pairs.choose(chance).copied() else { return false };
    let (first, second) = (delivery(&lines[a]).unwrap(), delivery(&lines[b]).unwrap());
    lines[a].event = deliver(first.0, first.1, second.2, 0);
    lines[b].event = deliver(second.0, second.1, first.2, 0);
    true
}

/// What is settled for certain at the end comes once more, flagged and counted.
fn resurrect(lines: &mut Vec<Line>, chance: &mut StdRng) -> bool {
    let gone = lost(lines);
    let mut channels = BTreeMap::new();
    let mut latest = BTreeMap::new();
    for line in lines.iter() {
        if let Event::Consume { consumer, channel, .. } = line.event {
            channels.insert(consumer, channel);
        }
        if let Some((consumer, _, message, _)) = delivery(line) {
            latest.insert(message, consumer);
        }
    }
    let certain = latest.iter().filter(|(_, consumer)| !gone.contains(&channels[consumer]));
    let certain: Vec<(Message, u64)> = certain.map(|(m, c)| (*m, *c)).collect();
    let Some((message, consumer)) = certain.choose(chance).copied() else { return false };
    let is_over = |line: &Line| matches!(line.event, Event::Closed { channel } if channel == channels[&consumer]);
    if lines.iter().any(is_over) {
        return false;
    }
    let at = lines.last().unwrap().at;
    for event in [
        Event::Ask { channel: channels[&consumer] },
        Event::Certain { channel: channels[&consumer] },
        deliver(consumer, 100_000, message, 50),
    ] {
        lines.push(Line { at, event });
    }
    true
}

/// A consumer that held several had asked for one.
fn overfeed(lines: &mut [Line], chance: &mut StdRng) -> bool {
    let mut held: BTreeMap<u64, usize> = BTreeMap::new();
    let mut greedy = BTreeSet::new();
    for line in lines.iter() {
        match line.event {
            Event::Settle { .. } => held.clear(),
            _ => {
                let Some((consumer, ..)) = delivery(line) else { continue };
                let held = held.entry(consumer).or_default();
                *held += 1;
                if *held > 1 {
                    greedy.insert(consumer);
                }
            }
        }
    }
    let greedy: Vec<u64> = greedy.into_iter().collect();
    let Some(victim) = greedy.choose(chance) else { return false };
    for line in lines {
        match &mut line.event {
            Event::Consume { consumer, prefetch, .. } if consumer == victim => *prefetch = 1,
            _ => {}
        }
    }
    true
}

/// A confirm comes again, or one that is ahead of all publishes.
fn confirm_again(lines: &mut Vec<Line>, chance: &mut StdRng, ahead: u64, taken: bool) -> bool {
    let is_confirm = |at: &usize| matches!(lines[*at].event, Event::Confirm { .. });
    let places: Vec<usize> = (0..lines.len()).filter(is_confirm).collect();
    let Some(at) = places.choose(chance).copied() else { return false };
    let Event::Confirm { channel, tag, .. } = lines[at].event else { return false };
    let event = Event::Confirm { channel, tag: tag + ahead, multiple: false, taken };
    lines.insert(at + 1, Line { at: lines[at].at, event });
    true
}
