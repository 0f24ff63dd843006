//! How a node is, and how the cluster is.

use serde_json::{Map, Value, json};

use super::checks::{Alarm, raised_by};
use super::listeners::{Listener, in_overview};
use super::{Command, LOOK, Outcome, Section};
use crate::api::path;
use crate::call::Call;
use crate::failure::Failure;
use crate::line::Switch;
use crate::show::Output;

pub(super) static COMMANDS: &[Command] = &[
    Command::new("status", Section::Monitoring, LOOK, "Shows how a node is", status)
        .takes("[--unit <unit>] [--timeout <timeout>]", 0, 0)
        .with(&[Switch::word("unit")]),
    Command::new(
        "cluster_status",
        Section::Cluster,
        LOOK,
        "Shows how the cluster is",
        cluster_status,
    )
    .takes("[--timeout <timeout>]", 0, 0),
];

/// What amounts of memory and disk are shown in, with its bytes.
const UNITS: [(&str, f64); 7] = [
    ("bytes", 1.0),
    ("mb", 1e6),
    ("mib", 1_048_576.0),
    ("gb", 1e9),
    ("gib", 1_073_741_824.0),
    ("tb", 1e12),
    ("tib", 1_099_511_627_776.0),
];

/// Something said of a node, and of it if it says nothing.
fn text(row: &Value, field: &str) -> String {
    match row.get(field) {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    }
}

fn section(title: &str, lines: &[String]) -> String {
    let lines = if lines.is_empty() { "(none)".to_owned() } else { lines.join("\n") };
    format!("{title}\n\n{lines}\n")
}

/// The unit that was asked for.
fn unit(call: &Call) -> Result<(&str, f64), Failure> {
    let wanted = call.option("unit").unwrap_or("gb");
    let known = UNITS.iter().find(|(name, _)| name.eq_ignore_ascii_case(wanted));
    let (_, bytes) = known.ok_or_else(|| {
        let units: Vec<&str> = UNITS.iter().map(|(name, _)| *name).collect();
        let units = units.join(", ");
        call.misused(&format!("\"unit '{wanted}' is not supported. Please use one of: {units}\""))
    })?;
    Ok((wanted, *bytes))
}

fn amount(row: &Value, field: &str, (unit, bytes): (&str, f64)) -> String {
    match row.get(field).and_then(Value::as_f64) {
        Some(amount) if unit == "bytes" => format!("{amount:.0} bytes"),
        Some(amount) => format!("{:.4} {unit}", amount / bytes),
        None => "unknown".to_owned(),
    }
}

fn status(call: &Call) -> Outcome {
    let unit = unit(call)?;
    let node = call.node()?;
    call.say(&format!("Status of node {node} ..."))?;
    let api = call.api()?;
    let row = api.find(&path(&["nodes", node]))?.ok_or_else(|| Failure::no_such_node(node))?;
    let overview = api.get(&path(&["overview"]))?;
    let mut found = in_overview(&overview);
    found.retain(|listener| listener.node == node);
    let alarms = raised_by(std::slice::from_ref(&row));
    let value = status_value(node, &row, &overview, &found, &alarms);
    let lists = |field: &str| -> Vec<String> {
        let items = row.get(field).and_then(Value::as_array);
        let items = items.into_iter().flatten().filter_map(Value::as_str);
        items.map(|item| format!(" * {item}")).collect()
    };
    let plugins = lists("enabled_plugins");
    let memory = vec![
        format!("Total memory used: {}", amount(&row, "mem_used", unit)),
        format!("Memory high watermark computed to: {}", amount(&row, "mem_limit", unit)),
    ];
    let disk = vec![
        format!("Low free disk space watermark: {}", amount(&row, "disk_free_limit", unit)),
        format!("Free disk space: {}", amount(&row, "disk_free", unit)),
    ];
    let descriptors =
        vec![format!("Total: {}, limit: {}", text(&row, "fd_used"), text(&row, "fd_total"))];
    let lines: Vec<String> = found.iter().map(|it| it.line().replacen('i', "I", 1)).collect();
    let text = [
        section("Runtime", &runtime(node, &row, &overview)),
        section("Plugins", &[vec!["Enabled plugins:\n".to_owned()], plugins].concat()),
        section("Data directory", &[format!("Node data directory: {}", text(&row, "db_dir"))]),
        section("Config files", &lists("config_files")),
        section("Log file(s)", &lists("log_files")),
        section("Alarms", &lines_of(&alarms)),
        section("Memory", &memory),
        section("File Descriptors", &descriptors),
        section("Free Disk Space", &disk),
        section("Totals", &totals(&overview)),
        section("Listeners", &lines),
    ];
    Ok(Output::Document { text: text.join("\n").trim_end().to_owned(), value })
}

fn runtime(node: &str, row: &Value, overview: &Value) -> Vec<String> {
    let seconds = row.get("uptime").and_then(Value::as_u64).unwrap_or_default() / 1000;
    vec![
        format!("OS PID: {}", text(row, "os_pid")),
        format!("OS: {}", std::env::consts::OS),
        format!("Uptime (seconds): {seconds}"),
        format!("Is under maintenance?: {}", text(row, "being_drained")),
        format!("RabbitMQ version: {}", text(overview, "rabbitmq_version")),
        format!(
            "Product: {} {}",
            text(overview, "product_name"),
            text(overview, "product_version")
        ),
        format!("Node name: {node}"),
        format!("CPU cores: {}", text(row, "processors")),
    ]
}

fn totals(overview: &Value) -> Vec<String> {
    let totals = overview.get("object_totals").unwrap_or(&Value::Null);
    let all = [("Connection", "connections"), ("Queue", "queues"), ("Channel", "channels")];
    all.map(|(name, field)| format!("{name} count: {}", text(totals, field))).to_vec()
}

fn lines_of(alarms: &[Alarm]) -> Vec<String> {
    alarms.iter().map(Alarm::line).collect()
}

fn values_of(alarms: &[Alarm]) -> Vec<Value> {
    alarms.iter().map(Alarm::value).collect()
}

fn status_value(
    node: &str,
    row: &Value,
    overview: &Value,
    found: &[Listener],
    alarms: &[Alarm],
) -> Value {
    let field = |name: &str| row.get(name).cloned().unwrap_or(Value::Null);
    let total = |name: &str| overview.pointer(&format!("/object_totals/{name}")).cloned();
    let pid = text(row, "os_pid").parse::<u64>().ok();
    let seconds = row.get("uptime").and_then(Value::as_u64).unwrap_or_default() / 1000;
    json!({
        "node": node,
        "pid": pid,
        "os": std::env::consts::OS,
        "uptime": seconds,
        "is_under_maintenance": field("being_drained"),
        "rabbitmq_version": overview.get("rabbitmq_version"),
        "product_name": overview.get("product_name"),
        "product_version": overview.get("product_version"),
        "active_plugins": field("enabled_plugins"),
        "data_directory": field("db_dir"),
        "config_files": field("config_files"),
        "log_files": field("log_files"),
        "alarms": values_of(alarms),
        "memory": {"total": {"rss": field("mem_used")}},
        "vm_memory_high_watermark_limit": field("mem_limit"),
        "disk_free": field("disk_free"),
        "disk_free_limit": field("disk_free_limit"),
        "file_descriptors": {"total_used": field("fd_used"), "total_limit": field("fd_total")},
        "run_queue": field("run_queue"),
        "totals": {
            "connection_count": total("connections"),
            "queue_count": total("queues"),
            "channel_count": total("channels"),
        },
        "listeners": found.iter().map(Listener::value).collect::<Vec<_>>(),
    })
}

/// What is asked for the cluster's status.
struct Cluster {
    name: String,
    nodes: Vec<Value>,
    listeners: Vec<Listener>,
    alarms: Vec<Alarm>,
    flags: Vec<Value>,
    version: String,
}

impl Cluster {
    fn ask(call: &Call) -> Result<Self, Failure> {
        let api = call.api()?;
        let overview = api.get(&path(&["overview"]))?;
        let nodes = api.list(&path(&["nodes"]))?;
        Ok(Self {
            name: text(&overview, "cluster_name"),
            listeners: in_overview(&overview),
            alarms: raised_by(&nodes),
            nodes,
            flags: api.list(&path(&["feature-flags"]))?,
            version: text(&overview, "rabbitmq_version"),
        })
    }

    fn names(&self) -> Vec<String> {
        self.nodes.iter().map(|node| text(node, "name")).collect()
    }

    fn running(&self) -> Vec<String> {
        let running = self.nodes.iter().filter(|node| node.get("running") == Some(&json!(true)));
        running.map(|node| text(node, "name")).collect()
    }

    /// Something for each node.
    fn each(&self, what: impl Fn(&Value) -> Value) -> Value {
        let each = self.nodes.iter().map(|node| (text(node, "name"), what(node)));
        Value::Object(each.collect::<Map<_, _>>())
    }

    fn shown(&self) -> String {
        let cores: u64 =
            self.nodes.iter().filter_map(|node| node.get("processors")?.as_u64()).sum();
        let basics = [
            format!("Cluster name: {}", self.name),
            format!("Total CPU cores available cluster-wide: {cores}"),
        ];
        let line = |what: &dyn Fn(&Value) -> String| -> Vec<String> {
            self.nodes.iter().map(what).collect()
        };
        let versions: Vec<String> = self
            .running()
            .iter()
            .map(|name| format!("{name}: RabbitMQ {}", self.version))
            .collect();
        let listeners = self.listeners.iter().map(|it| format!("Node: {}, {}", it.node, it.line()));
        let flags = self.flags.iter();
        let flags = flags
            .map(|flag| format!("Flag: {}, state: {}", text(flag, "name"), text(flag, "state")));
        let parts = [
            section("Basics", &basics),
            section("Cluster Tags", &[]),
            section("Disk Nodes", &self.names()),
            section("Running Nodes", &self.running()),
            section("Versions", &versions),
            section(
                "CPU Cores",
                &line(&|node| {
                    let (name, cores) = (text(node, "name"), text(node, "processors"));
                    format!("Node: {name}, available CPU cores: {cores}")
                }),
            ),
            section(
                "Maintenance status",
                &line(&|node| {
                    format!("Node: {}, status: {}", text(node, "name"), maintenance(node))
                }),
            ),
            section("Alarms", &lines_of(&self.alarms)),
            section("Network Partitions", &[]),
            section("Listeners", &listeners.collect::<Vec<_>>()),
            section("Feature flags", &flags.collect::<Vec<_>>()),
        ];
        parts.join("\n").trim_end().to_owned()
    }

    fn value(&self) -> Value {
        let listeners = self.each(|node| {
            let name = text(node, "name");
            let of_node = self.listeners.iter().filter(|listener| listener.node == name);
            of_node.map(Listener::value).collect()
        });
        let version = json!({"rabbitmq_name": "RabbitMQ", "rabbitmq_version": self.version});
        json!({
            "cluster_name": self.name,
            "cluster_tags": [],
            "disk_nodes": self.names(),
            "ram_nodes": [],
            "running_nodes": self.running(),
            "partitions": {},
            "alarms": values_of(&self.alarms),
            "versions": self.each(|_| version.clone()),
            "cpu_cores": self.each(|node| node.get("processors").cloned().unwrap_or_default()),
            "maintenance_status": self.each(|node| json!(maintenance(node))),
            "listeners": listeners,
            "feature_flags": self.flags,
        })
    }
}

fn maintenance(node: &Value) -> &'static str {
    if node.get("being_drained") == Some(&json!(true)) {
        "under maintenance"
    } else {
        "not under maintenance"
    }
}

fn cluster_status(call: &Call) -> Outcome {
    call.say(&format!("Cluster status of node {} ...", call.node()?))?;
    let cluster = Cluster::ask(call)?;
    Ok(Output::Document { text: cluster.shown(), value: cluster.value() })
}
