//! One run: a cluster comes together, clients work, things break, are mended, and all is judged.

use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;

use super::chance::{self, Chance};
use super::churn;
use super::client::{self, Client};
use super::clock;
use super::faults::{self, core, members};
use super::history::{History, Outcome};
use super::judge;
use super::kinds;
use super::node::Home;
use super::panics;
use super::plan::{Kind, Plan, Plant};
use super::quiet;
use super::stream;
use super::topology;
use super::watch;
use super::world::{PATIENCE, World};

/// For how long things break.
const TROUBLE: Duration = Duration::from_secs(20);

/// Clients that read the stream.
const READERS: usize = 2;

/// Runs on a thread of its own, where nothing random has been asked for yet.
pub(super) fn run(plan: Plan, history: &History) -> Outcome {
    let theirs = history.clone();
    let running =
        std::thread::Builder::new().name(format!("seed-{}", plan.seed)).spawn(move || {
            chance::bind_system(plan.seed);
            clock::bind_system();
            panics::watch();
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_time()
                .start_paused(true)
                .build()
                .expect("a runtime without sockets");
            let outcome = runtime.block_on(simulate(plan, theirs));
            runtime.shutdown_background();
            outcome
        });
    running.expect("a thread").join().unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().cloned().unwrap_or_default();
        history.fault(format!("the run panicked: {text}"));
        history.finish()
    })
}

/// The clients of a run.
struct Clients {
    calm: CancellationToken,
    stop: CancellationToken,
    publishers: Vec<JoinHandle<()>>,
    consumers: Vec<JoinHandle<()>>,
}

async fn simulate(plan: Plan, history: History) -> Outcome {
    clock::begin();
    let mut chance = Chance::new(plan.salted());
    let world = World::new(history, &mut chance);
    kinds::introduce(&world.history);
    world.come_together().await;
    tokio::spawn(watch::watch_states(world.clone()));

    let clients = Clients::start(&world, &mut chance, plan.plant);
    if plan.plant == Plant::Lie {
        world.homes().values().for_each(Home::lie);
    }
    if plan.plant == Plant::Blame {
        faults::blame(&world).await;
    }
    break_things(&world, chance.branch(), plan).await;
    if plan.plant == Plant::Lie {
        faults::black_out(&world);
    }

    world.mend().await;
    clients.calm.cancel();
    world.end("publishers", clients.publishers).await;
    world
        .eventually("I19: all that was confirmed is delivered", || {
            world.history.missing().is_empty()
        })
        .await;
    judge::empty(&world, "I20: nothing is left in a queue").await;
    clients.stop.cancel();
    world.end("consumers", clients.consumers).await;
    quiet::compare(&world, &mut chance).await;
    judge::judge(&world).await;
    panics::take(&world.history);
    world.history.finish()
}

async fn break_things(world: &World, mut chance: Chance, plan: Plan) {
    let end = Instant::now() + TROUBLE;
    let storm = faults::happen(world, chance.branch(), end);
    match plan.kind {
        Kind::Storm => storm.await,
        Kind::Members => {
            let changes = members::happen(world, chance.branch(), end);
            // Whoever has begun to do something to the members ends it, all being well again.
            let ending = timeout_at(end + PATIENCE, changes);
            let ((), ended) = tokio::join!(storm, ending);
            if ended.is_err() {
                world.history.fault("I17: a change of members does not end".to_owned());
            }
        }
        Kind::Core => {
            storm.await;
            core::leave_one(world, &mut chance, plan.plant).await;
        }
    }
}

impl Clients {
    fn start(world: &World, chance: &mut Chance, plant: Plant) -> Self {
        let (calm, stop) = (CancellationToken::new(), CancellationToken::new());
        let (mut publishers, mut consumers) = (Vec::new(), Vec::new());
        let mut client = || Client {
            homes: world.homes.clone(),
            history: world.history.clone(),
            chance: chance.branch(),
            plant,
            calm: calm.clone(),
            stop: stop.clone(),
        };
        publishers.push(tokio::spawn(churn::run(client())));
        publishers.push(tokio::spawn(topology::run(client())));
        publishers.push(tokio::spawn(client::publisher(client(), kinds::STREAM.to_owned())));
        for _ in 0..READERS {
            consumers.push(tokio::spawn(stream::reader(client())));
        }
        for (queue, publishing, consuming) in kinds::QUEUES {
            for _ in 0..publishing {
                publishers.push(tokio::spawn(client::publisher(client(), queue.to_owned())));
            }
            for _ in 0..consuming {
                consumers.push(tokio::spawn(client::consumer(client(), queue.to_owned())));
            }
        }
        Self { calm, stop, publishers, consumers }
    }
}
