//! The service that clients connect to: a connection goes to some pod that is ready, and stays there.
//!
//! Pods are asked whether they are ready as the machine's agent does, only more often. One that is
//! told to leave gets no more connections from that moment on.

use std::io;
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use warren_tests::http::Client;

/// How often pods are asked.
const PROBE: Duration = Duration::from_millis(200);

/// How long a pod may take to accept a connection.
const PATIENCE: Duration = Duration::from_secs(1);

/// A pod, as the service knows it.
#[derive(Clone, Copy, Debug)]
struct Endpoint {
    amqp: SocketAddr,
    metrics: SocketAddr,
    is_ready: bool,
}

/// Where clients connect.
#[derive(Clone, Debug)]
pub(crate) struct Service {
    address: SocketAddr,
    pods: Arc<Mutex<Vec<Endpoint>>>,
    next: Arc<AtomicUsize>,
}

impl Service {
    /// Serves at this address.
    pub(crate) fn serve(at: Ipv4Addr) -> Self {
        let listener = TcpListener::bind((at, 5672)).expect("nobody else listens in this world");
        let address = listener.local_addr().expect("a bound listener has an address");
        let service = Self { address, pods: Arc::default(), next: Arc::default() };
        let [accepts, probes] = [service.clone(), service.clone()];
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let service = accepts.clone();
                thread::spawn(move || service.connect(client));
            }
        });
        thread::spawn(move || probes.probe());
        service
    }

    /// Where that is.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// There is a pod; it is asked from here on.
    pub(crate) fn add(&self, amqp: SocketAddr, metrics: SocketAddr) {
        self.pods().push(Endpoint { amqp, metrics, is_ready: false });
    }

    /// A pod leaves, or is gone.
    pub(crate) fn remove(&self, amqp: SocketAddr) {
        self.pods().retain(|pod| pod.amqp != amqp);
    }

    /// Whether a pod is ready.
    pub(crate) fn is_ready(&self, amqp: SocketAddr) -> bool {
        self.pods().iter().any(|pod| pod.amqp == amqp && pod.is_ready)
    }

    fn pods(&self) -> std::sync::MutexGuard<'_, Vec<Endpoint>> {
        self.pods.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn probe(&self) {
        loop {
            let asked: Vec<Endpoint> = self.pods().clone();
            for pod in asked {
                let answer = Client::nobody(pod.metrics).try_ask("GET", "/health/ready", "");
                let is_ready = answer.is_ok_and(|answer| answer.status == 200);
                let mut pods = self.pods();
                let found = pods.iter_mut().find(|known| known.amqp == pod.amqp);
                if let Some(found) = found {
                    found.is_ready = is_ready;
                }
            }
            thread::sleep(PROBE);
        }
    }

    /// Brings a client to the next pod that takes it; without any, it is refused.
    fn connect(&self, client: TcpStream) {
        let ready: Vec<SocketAddr> =
            self.pods().iter().filter(|pod| pod.is_ready).map(|pod| pod.amqp).collect();
        let turn = self.next.fetch_add(1, Ordering::Relaxed);
        for at in 0..ready.len() {
            let pod = ready[(turn + at) % ready.len()];
            if let Ok(server) = TcpStream::connect_timeout(&pod, PATIENCE) {
                let ends = [(&client, &server), (&server, &client)];
                for (from, to) in ends {
                    let (Ok(from), Ok(to)) = (from.try_clone(), to.try_clone()) else { return };
                    thread::spawn(move || pass(from, to));
                }
                return;
            }
        }
    }
}

/// Passes on what comes from one side, until either ends.
fn pass(mut from: TcpStream, mut to: TcpStream) {
    // However it ended, the other side shall see the end, too.
    drop((from.set_nodelay(true), to.set_nodelay(true)));
    drop(io::copy(&mut from, &mut to));
    drop((to.shutdown(Shutdown::Both), from.shutdown(Shutdown::Both)));
}
