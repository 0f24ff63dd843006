//! Answers questions for names as a cluster's name server does, for the pods of one headless service.
//!
//! `warren-peers.default.svc.cluster.local` has the addresses of all pods, a pod's own name below it has
//! one; every other name does not exist. There are no addresses of IPv6.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, UdpSocket};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use warren_chaos::tools;

/// The headless service.
pub(crate) const SERVICE: &str = "warren-peers";

/// Where the namespace's names are.
const ZONE: &str = "default.svc.cluster.local";

/// The types of question that have answers, and the class of all of them (RFC 1035, 3.2).
const TYPE_A: u16 = 1;
const CLASS_IN: u16 = 1;

/// Bytes before the first question (RFC 1035, 4.1.1).
const HEADER: usize = 12;

/// Response code: no such name.
const NXDOMAIN: u8 = 3;

/// What is known.
#[derive(Clone, Debug, Default)]
pub(crate) struct Names(Arc<Mutex<Known>>);

#[derive(Debug, Default)]
struct Known {
    pods: BTreeMap<usize, Ipv4Addr>,
    hidden: bool,
    nowhere: Vec<Ipv4Addr>,
}

impl Names {
    /// Answers at this address from here on, and has this world's programs ask there.
    pub(crate) fn serve(at: Ipv4Addr, dir: &Path) -> Self {
        let names = Self::default();
        let socket = UdpSocket::bind((at, 53)).expect("nobody else answers in this world");
        let copy = names.clone();
        thread::spawn(move || copy.answer_all(&socket));
        let resolver = dir.join("resolv.conf");
        let text = format!(
            "nameserver {at}\nsearch {ZONE} svc.cluster.local cluster.local\noptions ndots:5 timeout:1\n"
        );
        std::fs::write(&resolver, text).expect("there is room");
        let resolver = resolver.to_str().expect("paths are text");
        tools::run("mount", &["--bind", resolver, "/etc/resolv.conf"]).expect("root may");
        names
    }

    /// From here on a pod is at this address.
    pub(crate) fn show(&self, pod: usize, address: Ipv4Addr) {
        let mut known = self.known();
        known.hidden = false;
        known.pods.insert(pod, address);
    }

    /// From here on a pod has no address.
    pub(crate) fn hide(&self, pod: usize) {
        self.known().pods.remove(&pod);
    }

    /// From here on, until one is shown, there is nobody.
    pub(crate) fn hide_all(&self) {
        let mut known = self.known();
        known.hidden = true;
        known.pods.clear();
    }

    /// Whether pods that start are to be shown.
    pub(crate) fn is_hidden(&self) -> bool {
        self.known().hidden
    }

    /// From here on, these are said to be pods as well.
    pub(crate) fn mislead(&self, nowhere: &[Ipv4Addr]) {
        self.known().nowhere = nowhere.to_vec();
    }

    fn known(&self) -> std::sync::MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn answer_all(&self, socket: &UdpSocket) {
        let mut buffer = [0; 512];
        while let Ok((length, from)) = socket.recv_from(&mut buffer) {
            if let Some(answer) = self.answer(&buffer[..length]) {
                // Who does not hear it asks again.
                drop(socket.send_to(&answer, from));
            }
        }
    }

    /// The answer to a message with one question.
    fn answer(&self, asked: &[u8]) -> Option<Vec<u8>> {
        let (name, end) = read_name(asked)?;
        let [kind, class] = [0, 2].map(|at| {
            let bytes = asked.get(end + at..end + at + 2);
            bytes.map_or(0, |bytes| u16::from_be_bytes([bytes[0], bytes[1]]))
        });
        let found = self.addresses(&name);
        let code = if found.is_some() { 0 } else { NXDOMAIN };
        let addresses = match found {
            Some(addresses) if (kind, class) == (TYPE_A, CLASS_IN) => addresses,
            _ => Vec::new(),
        };
        let count = u16::try_from(addresses.len()).expect("there are few pods");
        let mut answer = asked.get(..end + 4)?.to_vec();
        // An authoritative answer to one question, that recursion may be asked of.
        answer[2] = 0x85;
        answer[3] = 0x80 | code;
        answer[4..HEADER].copy_from_slice(&[0, 1, 0, 0, 0, 0, 0, 0]);
        answer[6..8].copy_from_slice(&count.to_be_bytes());
        for address in addresses {
            // The name is that of the question; it may be kept for a second.
            answer.extend([0xc0, HEADER as u8, 0, 1, 0, 1, 0, 0, 0, 1, 0, 4]);
            answer.extend(address.octets());
        }
        Some(answer)
    }

    /// A name's addresses; none if it does not exist.
    fn addresses(&self, name: &str) -> Option<Vec<Ipv4Addr>> {
        let name = name.strip_suffix(ZONE)?.strip_suffix('.')?;
        let known = self.known();
        if name == SERVICE {
            let all: Vec<Ipv4Addr> =
                known.nowhere.iter().chain(known.pods.values()).copied().collect();
            return (!all.is_empty()).then_some(all);
        }
        let pod = name.strip_suffix(SERVICE)?.strip_suffix('.')?.strip_prefix("warren-")?;
        known.pods.get(&pod.parse().ok()?).map(|address| vec![*address])
    }
}

/// The name in the question, in lower case, and where it ends.
fn read_name(message: &[u8]) -> Option<(String, usize)> {
    let mut labels = Vec::new();
    let mut at = HEADER;
    loop {
        let length = usize::from(*message.get(at)?);
        at += 1;
        if length == 0 {
            return Some((labels.join("."), at));
        }
        let label = message.get(at..at + length)?;
        labels.push(String::from_utf8_lossy(label).to_lowercase());
        at += length;
    }
}
