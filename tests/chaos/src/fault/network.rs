//! Nodes do not hear each other, or only in part.

use anyhow::Result;

use super::Stage;
use crate::rig::switch::{Cut, Party};

/// How many times the connections of a node are reset in one episode.
const RESETS: u64 = 12;

/// Cuts nodes off each other in one of many ways.
pub(super) fn partition(stage: &mut Stage<'_>) -> Result<()> {
    let order = stage.order();
    let victim = stage.victim();
    let others: Vec<usize> = order.iter().copied().filter(|node| *node != victim).collect();
    let (what, nodes, cuts) = match stage.dice.within(0..6) {
        0 => ("isolate", vec![victim], both_ways(&[victim], &others)),
        1 => ("hears nobody", vec![victim], one_way(&others, &[victim])),
        2 => ("is heard by nobody", vec![victim], one_way(&[victim], &others)),
        3 => {
            // Each hears a majority, and no two the same.
            let ring: Vec<Cut> = pairs(&order, order.len() / 2).collect();
            ("majorities ring", order.clone(), ring)
        }
        4 => {
            // The first two see each other through others alone.
            let ends = order[..2].to_vec();
            let cuts = both_ways(&ends[..1], &ends[1..]);
            ("bridge", ends, cuts)
        }
        _ => {
            let (clients, node) = (Party::Clients, Party::Node(victim));
            ("clients cut off", vec![victim], vec![(clients, node), (node, clients)])
        }
    };
    stage.under(what, &nodes, |stage| {
        stage.rig.cut(&cuts)?;
        stage.wait_some(1_000..20_000);
        stage.rig.cut(&[])
    })
}

/// Cuts a node off all others; its clients still reach it.
pub(super) fn isolate(stage: &mut Stage<'_>, node: usize) -> Result<()> {
    let others: Vec<usize> = (0..stage.rig.len()).filter(|other| *other != node).collect();
    stage.rig.cut(&both_ways(&[node], &others))
}

/// Loses frames, makes links narrow, pulls a cable.
pub(super) fn degrade(stage: &mut Stage<'_>) -> Result<()> {
    let victim = stage.victim();
    let all = stage.order();
    match stage.dice.within(0..4) {
        0 => stage.under("loss everywhere", &all, |stage| {
            let percent = stage.dice.within(2..12);
            stage.rig.switch()?.lose(percent, None)?;
            stage.wait_some(3_000..12_000);
            stage.rig.switch()?.lose(0, None)
        }),
        1 => stage.under("loss", &[victim], |stage| {
            let percent = stage.dice.within(10..60);
            stage.rig.switch()?.lose(percent, Some(victim))?;
            stage.wait_some(3_000..12_000);
            stage.rig.switch()?.lose(0, None)
        }),
        2 => stage.under("narrow", &[victim], |stage| {
            let bytes = stage.dice.within(50_000..400_000);
            stage.rig.switch()?.narrow(victim, Some(bytes))?;
            stage.wait_some(3_000..12_000);
            stage.rig.switch()?.narrow(victim, None)
        }),
        _ => stage.under("cable pulled", &[victim], |stage| {
            stage.rig.switch()?.plug(victim, false)?;
            stage.wait_some(500..12_000);
            stage.rig.switch()?.plug(victim, true)
        }),
    }
}

/// Cuts links one by one, and heals them in another order.
pub(super) fn swizzle(stage: &mut Stage<'_>) -> Result<()> {
    let all = stage.order();
    let links: Vec<[usize; 2]> = all
        .iter()
        .flat_map(|one| all.iter().map(move |other| [*one, *other]))
        .filter(|[one, other]| one < other)
        .collect();
    stage.under("swizzle", &all, |stage| {
        let mut cut: Vec<[usize; 2]> = Vec::new();
        for link in stage.dice.shuffled(&links) {
            cut.push(link);
            stage.rig.cut(&both_ways_of(&cut))?;
            stage.wait_some(200..3_000);
        }
        for link in stage.dice.shuffled(&links) {
            cut.retain(|other| *other != link);
            stage.rig.cut(&both_ways_of(&cut))?;
            stage.wait_some(200..3_000);
        }
        Ok(())
    })
}

/// Resets every connection of a node, again and again.
pub(super) fn resets(stage: &mut Stage<'_>) -> Result<()> {
    let node = stage.victim();
    stage.under("reset connections", &[node], |stage| {
        for _ in 0..stage.dice.within(1..RESETS) {
            let peers: Vec<usize> = (0..stage.rig.len()).filter(|peer| *peer != node).collect();
            for peer in peers {
                stage.rig.reset(node, Party::Node(peer))?;
            }
            if stage.dice.chance(30) {
                stage.rig.reset(node, Party::Clients)?;
            }
            stage.wait_some(50..1_500);
        }
        Ok(())
    })
}

/// Each of `from` is not heard by any of `to`.
fn one_way(from: &[usize], to: &[usize]) -> Vec<Cut> {
    let from_one = |from: usize| {
        to.iter()
            .filter(move |to| **to != from)
            .map(move |to| (Party::Node(from), Party::Node(*to)))
    };
    from.iter().copied().flat_map(from_one).collect()
}

fn both_ways(some: &[usize], others: &[usize]) -> Vec<Cut> {
    let mut cuts = one_way(some, others);
    cuts.extend(one_way(others, some));
    cuts
}

fn both_ways_of(links: &[[usize; 2]]) -> Vec<Cut> {
    links.iter().flat_map(|[one, other]| both_ways(&[*one], &[*other])).collect()
}

/// In a ring, the links between nodes that are `apart` places from each other, one way.
fn pairs(ring: &[usize], apart: usize) -> impl Iterator<Item = Cut> + '_ {
    let at = move |place: usize| Party::Node(ring[place % ring.len()]);
    (0..ring.len()).map(move |place| (at(place), at(place + apart)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cut_between_two_groups_has_every_pair_and_both_directions() {
        let cuts = both_ways(&[0], &[1, 2]);

        assert_eq!(cuts.len(), 4);
        assert!(
            cuts.contains(&(Party::Node(0), Party::Node(2)))
                && cuts.contains(&(Party::Node(2), Party::Node(0)))
        );
    }

    #[test]
    fn in_the_ring_every_node_misses_one_other() {
        let cuts: Vec<Cut> = pairs(&[2, 0, 1], 1).collect();

        assert_eq!(cuts.len(), 3);
        for node in 0..3 {
            assert_eq!(cuts.iter().filter(|(_, to)| *to == Party::Node(node)).count(), 1);
        }
    }
}
