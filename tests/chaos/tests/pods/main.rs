//! What Kubernetes does to the pods of a StatefulSet, done to real nodes without Kubernetes.
//!
//! Each pod is a `warren server` in a network namespace with an address of its own that changes
//! whenever the pod is replaced, while its disk and its name stay ([`set`]). Names are answered by a
//! small server that behaves as the cluster's does ([`names`]): addresses appear late, vanish, or lead
//! nowhere. Clients connect through a service that knows which pods are ready ([`service`]). The
//! program is that of the build, or that of the image in what the image gives it ([`cage`]).
//!
//! It takes root and network namespaces; elsewhere the tests say that they could do nothing.

mod cage;
mod names;
mod service;
mod set;

use std::time::Duration;

use crate::set::{Set, Traffic, inside};

/// How long clients that reconnect may wait for a confirm or a delivery in an orderly update.
const LONGEST_GAP: Duration = Duration::from_secs(2);

/// Who signed the nodes' certificates, as pods see it.
const CA: &str = "/etc/warren-tls/ca.crt";

/// What a loaded machine adds to every wait is measured beside it and taken off.
fn expect_short(what: &str, traffic: &Traffic) {
    let (gap, noise) = traffic.longest();
    assert!(gap < LONGEST_GAP + 4 * noise, "{what}: {gap:?} with noise of {noise:?}");
}

#[test]
fn pods_whose_addresses_appear_late_make_one_cluster() {
    inside(|| {
        let mut set = Set::of(3);
        set.names().hide_all();
        (0..3).for_each(|pod| set.launch(pod));
        // Two of three are found, which is not what was said to be waited for.
        set.names().show(0, set.address(0));
        set.names().show(1, set.address(1));
        set.await_text(0, "waiting for 3");

        set.names().show(2, set.address(2));

        set.await_one_cluster();
    });
}

#[test]
fn addresses_that_lead_nowhere_keep_nobody_from_finding_the_others() {
    inside(|| {
        let mut set = Set::of(3);
        set.names().mislead(&["10.213.0.201".parse().unwrap(), "10.213.0.202".parse().unwrap()]);

        (0..3).for_each(|pod| set.launch(pod));

        set.await_one_cluster();
    });
}

#[test]
fn a_pod_that_is_replaced_is_the_same_node_at_another_address() {
    inside(|| {
        let mut set = Set::running(3);
        let traffic = Traffic::begin(&set);
        let before = set.identities();

        for pod in 0..3 {
            set.delete(pod);
            set.launch_elsewhere(pod);
            set.await_ready(pod);
            set.await_complete();
        }

        traffic.flow();
        traffic.end();
        assert_eq!(set.identities(), before);
    });
}

#[test]
fn all_pods_that_are_deleted_at_once_come_back_as_the_same_cluster() {
    inside(|| {
        let mut set = Set::running(3);
        let traffic = Traffic::begin(&set);
        let before = set.identities();

        (0..3).for_each(|pod| set.kill(pod));
        (0..3).for_each(|pod| set.launch_elsewhere(pod));
        (0..3).for_each(|pod| set.await_ready(pod));

        traffic.flow();
        traffic.end();
        assert_eq!(set.identities(), before);
    });
}

#[test]
fn a_pod_that_lost_its_disk_joins_as_another_node_whatever_its_ordinal() {
    inside(|| {
        let mut set = Set::running(3);
        let traffic = Traffic::begin(&set);
        for pod in 0..3 {
            let before = set.identities();
            set.kill(pod);
            set.lose_disk(pod);

            set.launch_elsewhere(pod);
            set.await_ready(pod);

            let after = set.identities();
            assert_eq!(
                after[pod].cluster, before[pod].cluster,
                "pod {pod} makes no second cluster"
            );
            assert_ne!(after[pod].node, before[pod].node, "pod {pod} is not taken for the old one");
            // The others have understood what it was, and given its copies to what it is.
            set.await_complete();
        }

        traffic.flow();
        traffic.end();
    });
}

#[test]
fn a_pod_that_is_asked_to_leave_under_load_leaves_in_time_and_loses_nothing() {
    inside(|| {
        let mut set = Set::running(3);
        let traffic = Traffic::begin(&set);

        let took = set.delete(1);

        traffic.flow();
        traffic.end();
        assert!(took < Duration::from_secs(60), "the grace period is over after {took:?}");
    });
}

#[test]
fn an_orderly_rolling_update_is_a_pause_to_clients_that_reconnect() {
    inside(|| {
        let mut set = Set::running(3);
        let mut traffic = Traffic::begin(&set);

        for pod in (0..3).rev() {
            traffic.mark();
            set.delete(pod);
            set.launch_elsewhere(pod);
            set.await_ready(pod);
            // minReadySeconds: leads return meanwhile.
            set.await_complete();
            traffic.flow();
            expect_short(&format!("pod {pod}"), &traffic);
        }

        traffic.end();
    });
}

#[test]
fn a_pod_that_is_scaled_away_keeps_its_place_until_it_is_forgotten() {
    inside(|| {
        let mut set = Set::running(4);
        let traffic = Traffic::begin(&set);

        set.delete(3);
        set.await_nodes(4, 3);
        traffic.flow();
        set.forget_last();
        set.await_nodes(3, 3);

        // The copies that it had are with the others.
        set.await_complete();
        traffic.flow();
        traffic.end();
    });
}

#[test]
fn pods_of_the_image_need_nothing_beside_their_program_and_no_rights() {
    let Some(programs) = cage::programs() else { return };
    inside(|| {
        let mut set = Set::caged(3, &programs);
        (0..3).for_each(|pod| set.launch(pod));
        set.await_one_cluster();
        let traffic = Traffic::begin(&set);
        set.expect_caged();

        // Names lead the others to where it is next.
        set.delete(0);
        set.launch_elsewhere(0);
        set.await_ready(0);
        set.await_complete();

        traffic.flow();
        traffic.end();
        set.expect_caged();
        let version = set.exec(0, &["/warren", "--version"]);
        assert!(version.starts_with("warren 0.") && version.contains("(commit "), "{version}");
        let words = ["--url", "https://warren-1.warren-peers:15671", "--cacertfile", CA];
        let user = ["--username", "guest", "--password", "guest"];
        let status = set.exec(0, &[&["/warrenctl", "cluster_status"], &words[..], &user].concat());
        assert!(status.contains("warren@n3"), "{status}");
    });
}
