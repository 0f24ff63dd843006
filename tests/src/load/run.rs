//! The phases of a run: connect, warm up, measure, drain, clean up.

use std::collections::BTreeMap;
use std::net::{Shutdown, TcpStream};
use std::thread::{self, Scope, ScopedJoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};

use crate::load::consumer::{Consumed, Consumer, Seen};
use crate::load::process;
use crate::load::publisher::{Published, Publisher};
use crate::load::report::{Report, Watched};
use crate::load::tally::Tally;
use crate::load::{Histogram, Latency, Mode, Options};
use crate::wire::{Field, Flags, Pack, Wire, bind_queue, declare_exchange, delete_queue, id};

/// How often the run is looked at.
const GLANCE: Duration = Duration::from_millis(10);

/// How long what consumers held when they were ended may take to be back in its queue.
const RETURN: Duration = Duration::from_secs(5);

type Publishers<'scope> = Vec<ScopedJoinHandle<'scope, Result<Published>>>;
type Consumers<'scope> = Vec<(TcpStream, ScopedJoinHandle<'scope, Result<Consumed>>)>;

/// Counts at one moment.
#[derive(Clone, Debug)]
struct Moment {
    time: Instant,
    sent: u64,
    confirmed: u64,
    delivered: u64,
    cpu: Vec<Duration>,
    own_cpu: Duration,
}

impl Moment {
    fn take(options: &Options, tally: &Tally) -> Self {
        Self {
            time: Instant::now(),
            sent: Tally::read(&tally.sent),
            confirmed: Tally::read(&tally.confirmed),
            delivered: Tally::read(&tally.delivered),
            cpu: options.pids.iter().map(|pid| process::cpu(*pid)).collect(),
            own_cpu: process::cpu(std::process::id()),
        }
    }
}

/// Does what is asked for.
pub fn run(options: &Options) -> Result<Report> {
    let declare_at = options.declare_at.unwrap_or_else(|| options.broker(0));
    let mut admin = Wire::open_as(declare_at, &options.user, &options.password)?;
    admin.channel(1)?;
    declare(&mut admin, options)?;
    let bystanders = (0..options.idle).map(|index| idle(options, index));
    let bystanders: Vec<Wire> = bystanders.collect::<Result<_>>()?;
    let mut report = Report::on(options);
    report.watched = options.pids.iter().map(|pid| watch(*pid)).collect();

    let tally = Tally::default();
    let outcome = thread::scope(|scope| match options.mode {
        Mode::Durable | Mode::Transient => stream(scope, options, &tally, &mut report),
        Mode::Backlog => backlog(scope, options, &tally, &mut report),
    });
    for watched in &mut report.watched {
        watched.rss_after_bytes = process::resident(watched.pid);
    }
    drop(bystanders);
    if outcome.is_ok() && report.lost > 0 {
        report.left = left(&mut admin, options, report.lost)?;
        report.lost -= report.left;
    }
    if !options.keep {
        delete(&mut admin, options)?;
    }
    outcome?;
    Ok(report)
}

/// A connection with a channel that does nothing.
fn idle(options: &Options, index: usize) -> Result<Wire> {
    let mut wire = Wire::open_as(options.broker(index), &options.user, &options.password)
        .context("an idle connection cannot be opened")?;
    wire.channel(1)?;
    Ok(wire)
}

fn watch(pid: u32) -> Watched {
    Watched { pid, rss_before_bytes: process::resident(pid), ..Watched::default() }
}

/// Everybody at once.
fn stream<'scope, 'env: 'scope>(
    scope: &'scope Scope<'scope, 'env>,
    options: &'env Options,
    tally: &'env Tally,
    report: &mut Report,
) -> Result<()> {
    let consumers = consumers(scope, options, tally)?;
    let publishers = match publishers(scope, options, tally) {
        Ok(publishers) => publishers,
        Err(error) => {
            stop(tally, consumers)?;
            return Err(error);
        }
    };
    await_end(options.warmup, || publishers.iter().any(ScopedJoinHandle::is_finished));
    let begin = Moment::take(options, tally);
    Tally::set(&tally.measuring, true);
    await_end(options.seconds, || {
        publishers.iter().all(ScopedJoinHandle::is_finished)
            || consumers.iter().any(|(_, thread)| thread.is_finished())
    });
    Tally::set(&tally.measuring, false);
    let end = Moment::take(options, tally);
    Tally::set(&tally.publishing, false);
    loaded(report);
    rates(report, &begin, &end);
    report.consume_rate = per_second(end.delivered - begin.delivered, &begin, &end);
    cpu(report, &begin, &end, end.delivered - begin.delivered);

    let published = join(publishers);
    drain(options, tally, &consumers);
    let consumed = stop(tally, consumers);
    finish(report, options, tally, published?, consumed?);
    Ok(())
}

/// First in, then out.
fn backlog<'scope, 'env: 'scope>(
    scope: &'scope Scope<'scope, 'env>,
    options: &'env Options,
    tally: &'env Tally,
    report: &mut Report,
) -> Result<()> {
    let begin = Moment::take(options, tally);
    Tally::set(&tally.measuring, true);
    let published = join(publishers(scope, options, tally)?)?;
    let full = Moment::take(options, tally);
    loaded(report);
    rates(report, &begin, &full);

    let consumers = consumers(scope, options, tally)?;
    drain(options, tally, &consumers);
    let end = Moment::take(options, tally);
    report.consume_rate = per_second(end.delivered, &full, &end);
    cpu(report, &begin, &end, end.delivered);
    finish(report, options, tally, published, stop(tally, consumers)?);
    Ok(())
}

fn publishers<'scope, 'env: 'scope>(
    scope: &'scope Scope<'scope, 'env>,
    options: &'env Options,
    tally: &'env Tally,
) -> Result<Publishers<'scope>> {
    let connect =
        |index| Publisher::connect(options, tally, index).context("a publisher cannot connect");
    let all: Vec<Publisher<'env>> = (0..options.publishers).map(connect).collect::<Result<_>>()?;
    Ok(all.into_iter().map(|publisher| scope.spawn(move || publisher.run())).collect())
}

fn consumers<'scope, 'env: 'scope>(
    scope: &'scope Scope<'scope, 'env>,
    options: &'env Options,
    tally: &'env Tally,
) -> Result<Consumers<'scope>> {
    let connect = |index| {
        let consumer =
            Consumer::connect(options, tally, index).context("a consumer cannot connect")?;
        Ok((consumer.socket()?, consumer))
    };
    // None runs before all are there: a thread that reads can only be ended through its socket.
    let all: Vec<(TcpStream, Consumer<'env>)> =
        (0..options.consumers).map(connect).collect::<Result<_>>()?;
    Ok(all
        .into_iter()
        .map(|(socket, consumer)| (socket, scope.spawn(move || consumer.run())))
        .collect())
}

fn join(publishers: Publishers<'_>) -> Result<Vec<Published>> {
    let joined = |thread: ScopedJoinHandle<'_, Result<Published>>| {
        thread.join().map_err(|_| anyhow!("a publisher panicked"))?.context("a publisher failed")
    };
    publishers.into_iter().map(joined).collect()
}

/// Waits until all that was confirmed was delivered, as long as is allowed.
fn drain(options: &Options, tally: &Tally, consumers: &Consumers<'_>) {
    if consumers.is_empty() {
        return;
    }
    let taken = |tally: &Tally| Tally::read(&tally.confirmed) - Tally::read(&tally.refused);
    await_end(options.drain, || {
        Tally::read(&tally.delivered) >= taken(tally) * options.copies()
            || consumers.iter().any(|(_, thread)| thread.is_finished())
    });
}

fn stop(tally: &Tally, consumers: Consumers<'_>) -> Result<Vec<Consumed>> {
    Tally::set(&tally.consuming, false);
    for (socket, _) in &consumers {
        // It may have ended by itself; then its thread has the reason.
        drop(socket.shutdown(Shutdown::Both));
    }
    let joined = |(_, thread): (TcpStream, ScopedJoinHandle<'_, Result<Consumed>>)| {
        thread.join().map_err(|_| anyhow!("a consumer panicked"))?.context("a consumer failed")
    };
    consumers.into_iter().map(joined).collect()
}

fn await_end(longest: Duration, ended: impl Fn() -> bool) {
    let until = Instant::now() + longest;
    while Instant::now() < until && !ended() {
        thread::sleep(GLANCE);
    }
}

fn loaded(report: &mut Report) {
    for watched in &mut report.watched {
        watched.rss_loaded_bytes = process::resident(watched.pid);
    }
}

fn rates(report: &mut Report, begin: &Moment, end: &Moment) {
    report.seconds = (end.time - begin.time).as_secs_f64();
    report.publish_rate = per_second(end.sent - begin.sent, begin, end);
    report.confirm_rate = per_second(end.confirmed - begin.confirmed, begin, end);
}

fn per_second(count: u64, begin: &Moment, end: &Moment) -> f64 {
    count as f64 / (end.time - begin.time).as_secs_f64().max(1e-9)
}

fn cpu(report: &mut Report, begin: &Moment, end: &Moment, messages: u64) {
    let mut all = 0.0;
    for ((watched, before), after) in report.watched.iter_mut().zip(&begin.cpu).zip(&end.cpu) {
        watched.cpu_seconds = after.saturating_sub(*before).as_secs_f64();
        all += watched.cpu_seconds;
    }
    report.cpu_us_per_message = all * 1e6 / messages.max(1) as f64;
    report.own_cpu_seconds = end.own_cpu.saturating_sub(begin.own_cpu).as_secs_f64();
}

fn finish(
    report: &mut Report,
    options: &Options,
    tally: &Tally,
    published: Vec<Published>,
    consumed: Vec<Consumed>,
) {
    let (mut confirm, mut end_to_end) = (Histogram::default(), Histogram::default());
    published.iter().for_each(|publisher| confirm.merge(&publisher.latency));
    let mut copies: BTreeMap<usize, Vec<Seen>> = BTreeMap::new();
    for consumer in &consumed {
        end_to_end.merge(&consumer.latency);
        report.flagged += consumer.flagged;
        report.doubled += consumer.doubled;
        report.overtaken += consumer.overtaken;
        let seen = copies.entry(consumer.copy).or_default();
        seen.resize_with(consumer.seen.len(), Seen::default);
        // What two consumers saw came twice; with a flag it may.
        let both: u64 = seen.iter_mut().zip(&consumer.seen).map(|(all, one)| all.merge(one)).sum();
        report.doubled += both.saturating_sub(consumer.flagged);
    }
    report.confirm_ms = Latency::from(&confirm);
    report.e2e_ms = Latency::from(&end_to_end);
    report.sent = Tally::read(&tally.sent);
    report.confirmed = Tally::read(&tally.confirmed);
    report.refused = Tally::read(&tally.refused);
    report.delivered = copies.values().flatten().map(Seen::count).sum();
    if !consumed.is_empty() {
        let owed = (report.confirmed - report.refused) * options.copies();
        report.lost = owed.saturating_sub(report.delivered);
    }
}

/// How many of `missing` messages wait in the queues, once what the consumers held is back there.
fn left(admin: &mut Wire, options: &Options, missing: u64) -> Result<u64> {
    let until = Instant::now() + RETURN;
    loop {
        let mut waiting = 0;
        for index in 0..options.queues {
            let (_, messages, _) = declare_queue(admin, options, &options.queue(index))?;
            waiting += u64::from(messages);
        }
        if waiting >= missing || Instant::now() >= until {
            return Ok(waiting.min(missing));
        }
        thread::sleep(GLANCE);
    }
}

fn declare_queue(admin: &mut Wire, options: &Options, name: &str) -> Result<(String, u32, u32)> {
    let kind: Vec<(&str, Field)> =
        options.queue_type.iter().map(|kind| ("x-queue-type", Field::text(kind))).collect();
    admin.declare(1, name, durability(options), &kind)
}

fn durability(options: &Options) -> Flags {
    if options.durable { Flags::DURABLE } else { Flags::NONE }
}

fn declare(admin: &mut Wire, options: &Options) -> Result<()> {
    for index in 0..options.queues {
        let name = options.queue(index);
        let (_, messages, consumers) = declare_queue(admin, options, &name)?;
        if messages > 0 || consumers > 0 {
            bail!("queue {name} is in use: {messages} messages, {consumers} consumers");
        }
    }
    if options.fanout {
        let exchange = &options.prefix;
        let declare = declare_exchange(1, exchange, "fanout", durability(options), &[]);
        admin.call(1, declare, id::EXCHANGE_DECLARE_OK)?;
        for index in 0..options.queues {
            let bind = bind_queue(1, &options.queue(index), exchange, "");
            admin.call(1, bind, id::QUEUE_BIND_OK)?;
        }
    }
    Ok(())
}

fn delete(admin: &mut Wire, options: &Options) -> Result<()> {
    for index in 0..options.queues {
        admin.call(1, delete_queue(1, &options.queue(index)), id::QUEUE_DELETE_OK)?;
    }
    if options.fanout {
        let delete = Pack::method(id::EXCHANGE_DELETE).u16(0).short(&options.prefix).u8(0);
        admin.call(1, delete.frame(1), id::EXCHANGE_DELETE_OK)?;
    }
    Ok(())
}
