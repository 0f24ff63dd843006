//! Nodes that form a cluster, share it out, lose each other and find each other again.

mod kit;

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use warren_catalog::{Command, Outcome};
use warren_consensus::Node;
use warren_rpc::{Distress, Join};
use warren_types::{BootId, GroupId, NodeId, SessionId};

use self::kit::{Settings, World, eventually, groups};
use crate::directory::name;
use crate::feature::{Feature, SPEAKS};

/// The settings of tests in which a node is given up for long.
fn impatient() -> Settings {
    Settings { replace_after: Duration::from_millis(500), ..Settings::default() }
}

fn vhost(name_of_it: &str) -> Command {
    Command::PutVhost { vhost: name(name_of_it), meta: warren_catalog::VhostMeta::default() }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_nodes_hold_every_shard_and_share_the_lead() {
    let world = World::of(3, Settings::default()).await;

    world.led_as_preferred().await;

    for (member, _) in world.running() {
        let overview = member.cluster.overview();
        assert_eq!((overview.nodes_known, overview.nodes_running), (3, 3));
        for group in groups() {
            assert_eq!(member.replicas(group).len(), 3);
            assert_eq!(member.voters(group).len(), 3);
        }
        assert_eq!(member.voters(GroupId::CATALOG).len(), 3);
    }
    let led: Vec<usize> = (0..3).map(|at| world.led_by(at)).collect();
    assert!(led.iter().all(|led| (1..=2).contains(led)), "four shards on three nodes: {led:?}");
    world.end();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restarted_node_runs_its_shards_before_the_cluster_hears_of_it() {
    let mut world = World::of(3, Settings::default()).await;
    (0..3).for_each(|at| world.kill(at));

    // Alone: nobody takes down that it has started.
    let begun: Arc<OnceLock<Node>> = Arc::default();
    let (runtime, starting) = world.launch(0, Arc::clone(&begun));
    let all: Vec<GroupId> = [GroupId::CATALOG].into_iter().chain(groups()).collect();
    eventually("its shards run", || begun.get().is_some_and(|node| node.groups() == all)).await;

    assert!(!starting.is_finished(), "the cluster has heard of it");
    runtime.shutdown_background();
    world.end();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fourth_node_takes_its_share_and_the_others_let_go_of_it() {
    let mut world = World::of(3, Settings::default()).await;

    world.add().await;
    let shares = || {
        let rows = groups().map(|group| world.node(0).replicas(group));
        let held: Vec<NodeId> = rows.flatten().collect();
        let share = |at| held.iter().filter(|node| **node == world.id(at)).count();
        (0..4).map(share).collect::<Vec<_>>()
    };
    eventually("the fourth has its share", || shares() == [3, 3, 3, 3]).await;
    world.complete(4).await;

    eventually("each node runs what it should", || {
        world.running().all(|(member, home)| {
            groups().all(|group| {
                member.replicas(group).contains(&home.id) == member.shard(group).is_some()
            })
        })
    })
    .await;
    for (member, home) in world.running() {
        let stopped = member.heard().stopped.len();
        assert_eq!(stopped, usize::from(home.id != world.id(3)), "one of four went");
    }
    assert_eq!(world.node(0).voters(GroupId::CATALOG).len(), 3, "an odd number votes");
    world.end();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_node_is_given_up_and_its_sessions_are_reported_by_who_leads() {
    let mut world = World::of(3, Settings::default()).await;
    world.led_as_preferred().await;
    let victim = 2;
    let session = world.node(victim).session;
    for group in groups() {
        world.open_session(group, session).await;
        world.open_session(group, world.node(0).session).await;
    }

    world.kill(victim);

    eventually("the sessions are reported", || {
        groups().all(|group| {
            world.running().any(|(member, _)| member.heard().dead.contains(&(group, session)))
        })
    })
    .await;
    for (member, _) in world.running() {
        assert_eq!(member.believes(session.node), Some((false, session.boot)));
        let dead = &member.heard().dead;
        assert!(dead.iter().all(|(_, reported)| *reported == session), "{dead:?}");
    }
    world.end();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_comes_back_leads_again_what_it_should() {
    let mut world = World::of(3, Settings::default()).await;
    world.led_as_preferred().await;
    let before = world.led_by(1);

    world.kill(1);
    eventually("the others lead", || groups().all(|group| world.leader(group).is_some())).await;
    world.start(1).await;
    world.complete(3).await;
    world.led_as_preferred().await;

    assert_eq!(world.led_by(1), before);
    assert_eq!(world.node(0).believes(world.id(1)), Some((true, BootId(2))));
    world.end();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_frozen_node_is_given_up_and_starts_again_when_it_thaws() {
    let world = World::of(3, Settings::default()).await;
    let (frozen, boot) = (world.id(2), world.node(2).session.boot);

    world.node(2).freeze(Duration::from_secs(8));
    eventually("it is given up", || world.node(0).believes(frozen) == Some((false, boot))).await;
    eventually("it is back", || world.node(0).believes(frozen) == Some((true, boot))).await;
    world.complete(3).await;

    for at in [0, 1] {
        let other = world.id(at);
        assert_eq!(world.node(2).believes(other), Some((true, BootId(1))), "it blamed nobody");
    }
    world.end();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_stays_away_is_replaced_where_there_is_another() {
    let mut world = World::of(4, impatient()).await;
    let lost = world.id(3);

    world.kill(3);
    eventually("nothing is placed on it", || {
        groups().all(|group| {
            let replicas = world.node(0).replicas(group);
            replicas.len() == 3 && !replicas.contains(&lost)
        })
    })
    .await;
    world.complete(3).await;

    eventually("it has no vote and is no member", || {
        groups().all(|group| {
            let status = world.leader(group).map(|at| world.node(at).envoy.group_status(group));
            let status = status.and_then(Result::ok);
            status.is_some_and(|it| it.voters.len() == 3 && it.learners.is_empty())
        })
    })
    .await;
    // It comes back to find that it holds nothing, and is given a share again.
    world.start(3).await;
    world.complete(4).await;
    world.end();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_drains_leads_nothing_and_is_given_nothing_to_lead() {
    let world = World::of(3, Settings::default()).await;
    world.led_as_preferred().await;
    let leader = world.leader(GroupId(1)).expect("led");

    let cluster = world.node(leader).cluster.clone();
    world.node(leader).run(async move { cluster.drain(Duration::from_secs(30)).await }).await;

    assert_eq!(world.led_by(leader), 0);
    let seen = world.node((leader + 1) % 3).cluster.neighbours().clone();
    let drained = world.id(leader);
    eventually("the others know", || {
        let sight = seen.sights().borrow().get(&drained).copied();
        matches!(sight, Some(super::sight::Sight::Alive { draining: true, .. }))
    })
    .await;
    eventually("all are led", || groups().all(|group| world.leader(group).is_some())).await;
    assert_eq!(world.led_by(leader), 0);
    assert!(world.node(leader).voters(GroupId(1)).contains(&drained), "it keeps its vote");
    world.end();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_whose_disk_is_full_or_hangs_leads_nothing_until_it_has_recovered() {
    let world = World::of(3, Settings::default()).await;
    world.led_as_preferred().await;
    let leader = world.leader(GroupId(1)).expect("led");
    let (cluster, led) = (world.node(leader).cluster.clone(), world.led_by(leader));
    let fine = Distress::default();

    for distress in [Distress { disk: true, ..fine }, Distress { stalled: true, ..fine }] {
        cluster.set_distress(distress);
        eventually("others lead", || {
            world.led_by(leader) == 0 && groups().all(|group| world.leader(group).is_some())
        })
        .await;
        let other = &world.node((leader + 1) % 3).cluster;
        eventually("they know why", || other.distress_of(world.id(leader)) == distress).await;
        cluster.set_distress(fine);
        world.led_as_preferred().await;
        assert_eq!(world.led_by(leader), led);
    }
    world.end();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn leads_stay_where_every_disk_is_full() {
    let world = World::of(3, Settings::default()).await;
    world.led_as_preferred().await;
    let full = Distress { disk: true, ..Distress::default() };

    for at in 0..3 {
        world.node(at).cluster.set_distress(full);
    }
    eventually("all know of all", || {
        world
            .running()
            .all(|(member, _)| (0..3).all(|at| member.cluster.distress_of(world.id(at)) == full))
    })
    .await;

    eventually("all are led", || groups().all(|group| world.leader(group).is_some())).await;
    world.end();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_forgotten_node_is_taken_out_of_every_group() {
    let mut world = World::of(3, Settings::default()).await;
    let forgotten = world.id(2);
    world.kill(2);

    world.node(0).change(Command::ForgetNode { node: forgotten }).await;

    eventually("it is no member any more", || {
        let members = |at: usize, group| {
            let status = world.node(at).envoy.group_status(group).expect("it runs");
            [status.voters, status.learners].concat()
        };
        let all = groups().chain([GroupId::CATALOG]);
        all.into_iter().all(|group| !members(0, group).contains(&forgotten))
    })
    .await;
    world.complete(2).await;
    world.end();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_made_on_any_node_is_there_at_once_and_soon_everywhere() {
    let world = World::of(3, Settings::default()).await;

    for (at, vhost_name) in ["a", "b", "c"].into_iter().enumerate() {
        world.node(at).change(vhost(vhost_name)).await;
        let has = |member: &kit::Member| {
            member.directory.look(|catalog| catalog.vhost(vhost_name).is_some())
        };
        assert!(has(world.node(at)), "whoever made it sees it");
        for (member, _) in world.running() {
            let directory = member.directory.clone();
            member.run(async move { directory.catch_up().await }).await.expect("running");
            assert!(has(member), "and so does everybody who catches up");
        }
    }
    world.end();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn changes_go_on_when_the_catalogs_leader_dies_under_them() {
    let mut world = World::of(3, Settings::default()).await;
    let leads = |world: &World, at: usize| {
        let status = world.node(at).envoy.group_status(GroupId::CATALOG);
        status.is_ok_and(|status| status.here)
    };
    let leader = (0..3).find(|at| leads(&world, *at)).expect("led");
    let survivor = (leader + 1) % 3;
    let directory = world.node(survivor).directory.clone();
    let changing = world.node(survivor).spawn(async move {
        for count in 0..200_u32 {
            let outcome = directory.change(vhost(&format!("v{count:03}"))).await;
            let outcome = outcome.expect("it waits and goes on");
            // What was done when the leader died is found done.
            assert!(matches!(outcome, Outcome::Created | Outcome::Unchanged), "{outcome:?}");
        }
    });
    let made =
        |world: &World| world.node(survivor).directory.look(|catalog| catalog.vhosts().count());
    eventually("it is under way", || made(&world) > 20).await;

    world.kill(leader);
    changing.await.expect("no panic");

    assert_eq!(made(&world), 200);
    world.end();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_that_its_maker_gave_up_is_not_made_later() {
    let mut world = World::of(3, Settings::default()).await;
    let (first, second) = (1, 2);
    world.kill(first);
    world.kill(second);
    let directory = world.node(0).directory.clone();
    let patience = Duration::from_millis(300);

    let given_up = world
        .node(0)
        .run(async move { tokio::time::timeout(patience, directory.change(vhost("late"))).await });
    let given_up = given_up.await;
    world.start(first).await;
    world.start(second).await;
    world.complete(3).await;
    world.node(0).change(vhost("after")).await;

    // Whether it is there is decided: what was done of it, was done before it was given up.
    if given_up.is_err() {
        let late = |catalog: &warren_catalog::Catalog| catalog.vhost("late").is_some();
        let before = world.node(0).directory.look(late);
        world.node(0).change(Command::DeleteVhost { vhost: name("late") }).await;
        world.node(1).change(vhost("last")).await;
        assert!(!world.node(0).directory.look(late), "before: {before}");
    }
    world.end();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_asks_twice_to_join_is_given_the_same_id() {
    let world = World::found(Settings::default()).await;
    let join = |token| Join {
        token,
        name: "x".to_owned(),
        address: "127.0.0.1:1".to_owned(),
        zone: String::new(),
    };
    let ask = async |token| {
        let envoy = world.node(0).envoy.clone();
        world.node(0).run(async move { envoy.join(join(token)).await }).await
    };
    eventually("the shards are made", || world.node(0).heard().shards.len() == 4).await;

    let first = ask(99).await.expect("taken in");
    let again = ask(99).await.expect("taken in");
    let another = ask(98).await.expect("taken in");

    assert_eq!(first.node, again.node);
    assert_ne!(first.node, another.node);
    assert_eq!(first.shards, kit::SHARDS);
    assert!(first.members.iter().any(|(node, _)| *node == world.id(0)));
    world.end();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_of_an_earlier_start_is_reported_when_its_node_is_back() {
    let mut world = World::of(3, Settings::default()).await;
    let old = world.node(2).session;
    world.led_as_preferred().await;
    let group = groups().find(|group| world.leader(*group) != Some(2)).expect("two of three");
    world.open_session(group, old).await;

    world.kill(2);
    world.start(2).await;
    let new = world.node(2).session;
    assert_eq!(new, SessionId { node: old.node, boot: BootId(2) });

    eventually("the old session is reported", || {
        world.running().any(|(member, _)| member.heard().dead.contains(&(group, old)))
    })
    .await;
    let reported = world
        .running()
        .any(|(member, _)| member.heard().dead.iter().any(|(_, session)| *session == new));
    assert!(!reported, "the new one lives");
    world.end();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_new_waits_until_the_last_node_is_updated() {
    let world = World::of(2, Settings::default()).await;
    let starts: Vec<SessionId> = (0..2).map(|at| world.node(at).session).collect();
    let directory = world.node(0).directory.clone();
    let said = world.node(0).run(async move {
        let (mut said, oldest) = (Vec::new(), directory.agreed());
        for SessionId { node, boot } in starts.clone() {
            directory.change(Command::StartNode { node, boot, speaks: SPEAKS }).await?;
            directory.agree().await;
            said.push((directory.agreed() > oldest, directory.require(Feature::Streams).is_ok()));
        }
        let SessionId { node, boot } = starts[1];
        let older = Command::StartNode { node, boot: BootId(boot.0 + 1), speaks: oldest };
        said.push((directory.change(older).await.is_ok(), directory.knows(Feature::Streams)));
        Ok::<_, crate::directory::ChangeError>(said)
    });

    assert_eq!(said.await.unwrap(), [(false, false), (true, true), (false, true)]);
    world.end();
}
