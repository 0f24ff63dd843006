//! Breaking a node on purpose, and looking at what clients feel of it.
//!
//! A user, a virtual host and queues are made for it and removed again. Clients on the other nodes
//! publish to queues that the victim leads and consume from them, before, while and after it is broken;
//! how long they waited at most is the recovery as clients felt it.

use std::fs::File;
use std::io::Read as _;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::checks::PAUSE;
use super::listeners::{Listener, in_overview};
use super::{Command, OURS, Outcome, Section};
use crate::api::{Api, path};
use crate::call::Call;
use crate::failure::Failure;
use crate::line::Switch;
use crate::probe::{Felt, Login, Probe};
use crate::show::Output;

pub(super) static COMMANDS: &[Command] =
    &[Command::new("chaos", Section::Nodes, OURS, "Breaks a node, and tells what clients feel of it", chaos)
        .takes(
            "<kill | pause | isolate | slow> [<node>] [--leader-of <shard>] [--leader-of-queue <queue>] [--for <10s>] [--delay <100ms>]",
            1,
            2,
        )
        .with(&[
            Switch::word("leader-of"),
            Switch::word("leader-of-queue"),
            Switch::word("for"),
            Switch::word("delay"),
        ])];

/// What can be done to a node, and what is said of it then.
const FAULTS: [(&str, &str); 4] =
    [("kill", "killed"), ("pause", "paused"), ("isolate", "isolated"), ("slow", "slowed")];

/// How long a node is broken when nobody says.
const TIME: Duration = Duration::from_secs(10);

/// How much longer a sync takes when nobody says.
const DELAY: Duration = Duration::from_millis(100);

/// The user and the virtual host that are made for the probes.
const NAME: &str = "warren-chaos";

/// How long clients are looked at before anything is done.
const CALM: Duration = Duration::from_secs(2);

/// How long clients may take until all is well, beyond the fault's own time.
const PATIENCE: Duration = Duration::from_secs(60);

/// How many queues are made in search of some that the victim leads.
const QUEUES_MOST: usize = 24;

/// What is to be done.
struct Plan {
    fault: &'static str,
    done: &'static str,
    victim: String,
    time: Duration,
    delay: Duration,
}

fn chaos(call: &Call) -> Outcome {
    let wanted = call.argument(0);
    let Some((fault, done)) = FAULTS.into_iter().find(|(fault, _)| *fault == wanted) else {
        return Err(call.bad_argument("a node can be told to kill, pause, isolate or slow"));
    };
    let (time, delay) = (duration(call, "for", TIME)?, duration(call, "delay", DELAY)?);
    let plan = Plan { fault, done, victim: victim(call)?, time, delay };
    let field = Field::new(call, &plan.victim)?;
    if fault == "kill" && field.others == [plan.victim.as_str()] {
        return Err(Failure::refused("no other node runs that could serve clients"));
    }
    call.say(&format!(
        "Breaking node {}: {fault}, for {} ms ...",
        plan.victim,
        plan.time.as_millis()
    ))?;
    let stage = Stage::set(call, &field)?;
    let outcome = rehearse(&plan, &field, &stage);
    stage.strike(&field)?;
    let (led, felt) = outcome?;
    told(&plan, led, &felt)
}

/// What a switch says in ms, s or m; seconds, if it does not say.
fn duration(call: &Call, name: &str, otherwise: Duration) -> Result<Duration, Failure> {
    let Some(text) = call.option(name) else { return Ok(otherwise) };
    let end = text.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(text.len());
    let (digits, unit) = text.split_at(end);
    let ms = match unit {
        "ms" => 1,
        "s" | "" => 1_000,
        "m" => 60_000,
        _ => 0,
    };
    match digits.parse::<u64>().ok().and_then(|count| count.checked_mul(ms)) {
        Some(ms) if ms > 0 => Ok(Duration::from_millis(ms)),
        Some(_) | None => {
            Err(call.bad_argument(&format!("--{name} is a time such as 500ms, 10s or 2m")))
        }
    }
}

/// The node that is named, or leads what is named.
fn victim(call: &Call) -> Result<String, Failure> {
    let named = call.arguments().get(1);
    match (named, call.option("leader-of"), call.option("leader-of-queue")) {
        (Some(node), None, None) => call.node_named(node),
        (None, Some(shard), None) => {
            let shards = call.api()?.list(&path(&["warren", "shards"]))?;
            let group = |row: &&Value| row.get("group").map(Value::to_string);
            let row = shards.iter().find(|row| group(row).as_deref() == Some(shard));
            let row = row.ok_or_else(|| Failure::missing(format!("there is no shard {shard}")))?;
            leader(row)
        }
        (None, None, Some(queue)) => {
            let row = call.api()?.find(&path(&["queues", call.vhost(), queue]))?;
            leader(&row.ok_or_else(Failure::no_such_object)?)
        }
        _ => Err(call.misused("name a node, or say --leader-of or --leader-of-queue.")),
    }
}

fn leader(row: &Value) -> Result<String, Failure> {
    let leader = row.get("leader").and_then(Value::as_str);
    leader.map(str::to_owned).ok_or_else(|| Failure::refused("it has no leader"))
}

/// The nodes, and where they listen.
struct Field {
    listeners: Vec<Listener>,
    /// The nodes whose clients are looked at: those that run, but for the victim.
    others: Vec<String>,
    victim: String,
}

impl Field {
    fn new(call: &Call, victim: &str) -> Result<Self, Failure> {
        let api = call.api()?;
        let listeners = in_overview(&api.get(&(path(&["overview"]) + "?columns=listeners"))?);
        let nodes = api.list(&(path(&["nodes"]) + "?columns=name,running"))?;
        let runs = nodes.iter().filter(|node| node.get("running") == Some(&json!(true)));
        let names = runs.filter_map(|node| node.get("name")?.as_str());
        let mut others: Vec<String> =
            names.filter(|name| *name != victim).map(str::to_owned).collect();
        if others.is_empty() {
            others.push(victim.to_owned());
        }
        Ok(Self { listeners, others, victim: victim.to_owned() })
    }

    fn listener(&self, node: &str, protocol: &str) -> Result<&Listener, Failure> {
        let found = self.listeners.iter().find(|listener| listener.is(node, protocol));
        found.ok_or_else(|| {
            Failure::refused(format!("{node} does not say where it speaks {protocol}"))
        })
    }
}

/// What is made for the probes, and removed again.
struct Stage {
    api: Api,
    password: String,
}

impl Stage {
    /// Makes a user who may do everything, for as long as it lasts, and a virtual host.
    fn set(call: &Call, field: &Field) -> Result<Self, Failure> {
        let api = call.api()?;
        // What an earlier run could not remove.
        api.remove(&path(&["vhosts", NAME]))?;
        let password = password()?;
        let user = json!({"password": password, "tags": "administrator"});
        api.put(&path(&["users", NAME]), &user)?;
        let stage = Self { api: api.as_user(NAME, &password), password };
        stage.furnish(field).inspect_err(|_| drop(api.remove(&path(&["users", NAME]))))?;
        Ok(stage)
    }

    fn furnish(&self, field: &Field) -> Result<(), Failure> {
        let api = self.on(field, &field.victim)?;
        api.put(&path(&["vhosts", NAME]), &json!({}))?;
        let all = json!({"configure": ".*", "write": ".*", "read": ".*"});
        api.put(&path(&["permissions", NAME, NAME]), &all)?;
        Ok(())
    }

    /// The API of a node, asked by the user that was made.
    fn on(&self, field: &Field, node: &str) -> Result<Api, Failure> {
        let url = field.listener(node, "http")?.url();
        let url = url.ok_or_else(|| Failure::refused(format!("{node} has no address")))?;
        Ok(self.api.elsewhere(url))
    }

    /// Removes all of it, on a node that lives.
    fn strike(&self, field: &Field) -> Result<(), Failure> {
        let other = field.others.first().unwrap_or(&field.victim);
        let api = self.on(field, other)?;
        api.remove(&path(&["vhosts", NAME]))?;
        Ok(api.remove(&path(&["users", NAME]))?)
    }

    /// A queue for each probe, and whether the victim leads them all.
    fn queues(&self, field: &Field) -> Result<(Vec<String>, bool), Failure> {
        let api = self.on(field, &field.victim)?;
        let (mut led, mut others) = (Vec::new(), Vec::new());
        for number in 0..QUEUES_MOST {
            if led.len() == field.others.len() {
                break;
            }
            let name = format!("probe-{number}");
            let at = path(&["queues", NAME, &name]);
            api.put(&at, &json!({"durable": true, "arguments": {"x-queue-type": "quorum"}}))?;
            let queue = api.get(&at)?;
            let is_led = leader(&queue).is_ok_and(|leader| leader == field.victim);
            if is_led { led.push(name) } else { others.push(name) }
        }
        let is_led = led.len() == field.others.len();
        led.extend(others);
        led.truncate(field.others.len());
        Ok((led, is_led))
    }

    /// Clients on the other nodes.
    fn probes<'f>(
        &self,
        field: &'f Field,
        queues: &[String],
    ) -> Result<Vec<(&'f str, Probe)>, Failure> {
        let login = Login { user: NAME, password: &self.password, vhost: NAME };
        let deadline = Instant::now() + PATIENCE;
        let mut probes = Vec::new();
        for (node, queue) in field.others.iter().zip(queues) {
            let listener = field.listener(node, "amqp")?;
            let probe = Probe::start((listener.host(), listener.port), &login, queue, deadline);
            let refused = |error| Failure::refused(format!("no AMQP with {node}: {error}"));
            probes.push((node.as_str(), probe.map_err(refused)?));
        }
        Ok(probes)
    }
}

/// Something that nobody can guess.
fn password() -> Result<String, Failure> {
    let mut bytes = [0; 16];
    let read = File::open("/dev/urandom").and_then(|mut file| file.read_exact(&mut bytes));
    read.map_err(|error| Failure::refused(format!("no password can be made: {error}")))?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// What clients of each node felt, and whether the victim led their queues.
type Rehearsed = (bool, Vec<(String, Felt)>);

fn rehearse(plan: &Plan, field: &Field, stage: &Stage) -> Result<Rehearsed, Failure> {
    let (queues, is_led) = stage.queues(field)?;
    let probes = stage.probes(field, &queues)?;
    let well = |since: Instant| probes.iter().all(|(_, probe)| probe.is_well_since(since));
    let began = Instant::now();
    if !wait(began + PATIENCE, || well(began)) {
        return Err(Failure::refused("clients are not well before anything is done"));
    }
    thread::sleep(CALM);
    let begin = Instant::now();
    stage.on(field, &plan.victim)?.post(
        &path(&["warren", "chaos", &plan.victim]),
        &json!({
            "fault": plan.fault,
            "for_ms": ms(plan.time),
            "delay_ms": ms(plan.delay),
        }),
    )?;
    thread::sleep(plan.time);
    let over = Instant::now();
    let _recovered = wait(over + PATIENCE, || well(over));
    let end = Instant::now();
    for (_, probe) in &probes {
        probe.stop_publishing();
    }
    let _drained = wait(end + PATIENCE, || probes.iter().all(|(_, probe)| probe.is_done()));
    let felt = probes.into_iter().map(|(node, probe)| (node.to_owned(), probe.finish(begin, end)));
    Ok((is_led, felt.collect()))
}

/// Waits until it is so; whether it became so in time.
fn wait(deadline: Instant, is_so: impl Fn() -> bool) -> bool {
    while !is_so() {
        if Instant::now() >= deadline {
            return false;
        }
        thread::sleep(PAUSE);
    }
    true
}

fn ms(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

fn told(plan: &Plan, is_led: bool, felt: &[(String, Felt)]) -> Outcome {
    let Plan { fault, done, victim, .. } = plan;
    let longest = felt.iter().map(|(_, felt)| felt.longest()).max().unwrap_or_default();
    let leads =
        if is_led { "It led their queues." } else { "It did not lead all of their queues." };
    let mut lines = vec![format!("Node {victim} was {done}. {leads}")];
    lines.extend(felt.iter().map(|(node, felt)| felt.line(node)));
    lines.push(format!("Longest wait of a client: {} ms", longest.as_millis()));
    if felt.iter().any(|(_, felt)| !felt.is_whole()) {
        return Err(Failure::refused(lines.join("\n")));
    }
    let value = json!({
        "node": victim,
        "fault": fault,
        "for_ms": ms(plan.time),
        "led_the_queues": is_led,
        "longest_gap_ms": ms(longest),
        "clients": felt.iter().map(|(node, felt)| felt.value(node)).collect::<Vec<_>>(),
    });
    Ok(Output::Document { text: lines.join("\n"), value })
}
