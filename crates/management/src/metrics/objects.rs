//! What single queues, connections and channels count: as much text as there are of them, so it is
//! there for who asks for it.
//!
//! A node shows what it leads and who is connected to it, so that a scrape of all nodes has
//! everything once.

use warren_broker::{Broker, ChannelRow, ConnectionRow, MessageCounts, QueueFigures, Which};
use warren_catalog::Name;

use super::identity;
use crate::exposition::{Kind, Labels, Page};
use crate::node::Identity;

/// Begins the names where each object has its own samples.
const PREFIX: &str = "rabbitmq_";

/// Begins them on the page that shows what is asked for.
const DETAILED: &str = "rabbitmq_detailed_";

/// What a detailed page is to show.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Wishes {
    /// Families of metrics, in RabbitMQ's words; none are none.
    pub(crate) families: Vec<String>,
    /// Virtual hosts; none are all.
    pub(crate) vhosts: Vec<String>,
    /// Queues; none are all.
    pub(crate) queues: Vec<String>,
}

impl Wishes {
    /// What stands behind the path's question mark.
    pub(crate) fn of(pairs: Vec<(String, String)>) -> Self {
        let mut wishes = Self::default();
        for (name, value) in pairs {
            match name.as_str() {
                "family" => wishes.families.push(value),
                "vhost" => wishes.vhosts.push(value),
                "queue" => wishes.queues.push(value),
                _ => {}
            }
        }
        wishes
    }

    fn shows_queue(&self, vhost: &str, queue: &str) -> bool {
        let is_meant = |wished: &Vec<String>, name: &str| {
            wished.is_empty() || wished.iter().any(|wish| wish == name)
        };
        is_meant(&self.vhosts, vhost) && is_meant(&self.queues, queue)
    }
}

/// What one of something counts: the name behind the prefix, its kind, its meaning, the number.
type Count<R> = (&'static str, Kind, &'static str, fn(&R) -> u64);

/// A family of metrics in RabbitMQ's words, and what is in it.
type Family<R> = (&'static str, &'static [Count<R>]);

const QUEUES: &[Family<QueueFigures>] = &[
    (
        "queue_coarse_metrics",
        &[
            ("queue_messages_ready", Kind::Gauge, "Messages that wait.", |queue| queue.ready),
            ("queue_messages_unacked", Kind::Gauge, "Messages that are not settled.", |queue| {
                queue.unacknowledged
            }),
            ("queue_messages", Kind::Gauge, "Messages, ready and unsettled.", |queue| {
                queue.ready.saturating_add(queue.unacknowledged)
            }),
        ],
    ),
    (
        "queue_consumer_count",
        &[("queue_consumers", Kind::Gauge, "Consumers.", |queue| u64::from(queue.consumers))],
    ),
    (
        "queue_metrics",
        &[
            ("queue_process_memory_bytes", Kind::Gauge, "Memory, roughly.", |queue| {
                queue.memory_bytes
            }),
            ("queue_messages_bytes", Kind::Gauge, "Bytes of all bodies.", |queue| {
                queue.ready_bytes.saturating_add(queue.unacknowledged_bytes)
            }),
            ("queue_messages_ready_bytes", Kind::Gauge, "Bytes that wait.", |queue| {
                queue.ready_bytes
            }),
            ("queue_messages_unacked_bytes", Kind::Gauge, "Bytes that are not settled.", |queue| {
                queue.unacknowledged_bytes
            }),
        ],
    ),
    (
        "queue_delivery_metrics",
        &[
            ("queue_messages_published_total", Kind::Counter, "Published.", |queue| {
                queue.counts.publish
            }),
            ("queue_get_ack_total", Kind::Counter, "Got, to be acknowledged.", |queue| {
                queue.counts.get
            }),
            ("queue_get_total", Kind::Counter, "Got without.", |queue| queue.counts.get_no_ack),
            (
                "queue_messages_delivered_ack_total",
                Kind::Counter,
                "Delivered, to be acknowledged.",
                |queue| queue.counts.deliver,
            ),
            ("queue_messages_delivered_total", Kind::Counter, "Delivered without.", |queue| {
                queue.counts.deliver_no_ack
            }),
            ("queue_messages_redelivered_total", Kind::Counter, "Delivered again.", |queue| {
                queue.counts.redeliver
            }),
            ("queue_messages_acked_total", Kind::Counter, "Acknowledged.", |queue| {
                queue.counts.ack
            }),
            ("queue_get_empty_total", Kind::Counter, "Got nothing.", |queue| {
                queue.counts.get_empty
            }),
            ("queue_messages_deduplicated_total", Kind::Counter, "Not taken again.", |queue| {
                queue.duplicates
            }),
        ],
    ),
];

const CONNECTIONS: &[Family<ConnectionRow>] = &[
    (
        "connection_coarse_metrics",
        &[
            ("connection_incoming_bytes_total", Kind::Counter, "Bytes read.", |row| row.recv_oct),
            ("connection_outgoing_bytes_total", Kind::Counter, "Bytes written.", |row| {
                row.send_oct
            }),
        ],
    ),
    (
        "connection_metrics",
        &[
            ("connection_incoming_packets_total", Kind::Counter, "Reads.", |row| row.recv_cnt),
            ("connection_outgoing_packets_total", Kind::Counter, "Writes.", |row| row.send_cnt),
            ("connection_pending_packets", Kind::Gauge, "Bytes that wait to be written.", |row| {
                row.send_pend
            }),
            ("connection_channels", Kind::Gauge, "Channels.", |row| u64::from(row.channels)),
        ],
    ),
];

const fn counts(row: &ChannelRow) -> &MessageCounts {
    &row.counts
}

const CHANNELS: &[Family<ChannelRow>] = &[(
    "channel_metrics",
    &[
        ("channel_consumers", Kind::Gauge, "Consumers.", |row| u64::from(row.consumer_count)),
        ("channel_messages_unacked", Kind::Gauge, "Deliveries that are not settled.", |row| {
            row.messages_unacknowledged
        }),
        ("channel_messages_unconfirmed", Kind::Gauge, "Publishes not confirmed.", |row| {
            row.messages_unconfirmed
        }),
        ("channel_messages_uncommitted", Kind::Gauge, "Publishes not committed.", |row| {
            row.messages_uncommitted
        }),
        ("channel_acks_uncommitted", Kind::Gauge, "Settles not committed.", |row| {
            row.acks_uncommitted
        }),
        ("consumer_prefetch", Kind::Gauge, "Prefetch of consumers to come.", |row| {
            u64::from(row.prefetch_count)
        }),
        ("channel_prefetch", Kind::Gauge, "Prefetch of the whole channel.", |row| {
            u64::from(row.global_prefetch_count)
        }),
        ("channel_messages_published_total", Kind::Counter, "Published.", |row| {
            counts(row).publish
        }),
        ("channel_messages_confirmed_total", Kind::Counter, "Confirmed.", |row| {
            counts(row).confirm
        }),
        (
            "channel_messages_delivered_ack_total",
            Kind::Counter,
            "Delivered, to be acknowledged.",
            |row| counts(row).deliver,
        ),
        ("channel_messages_delivered_total", Kind::Counter, "Delivered without.", |row| {
            counts(row).deliver_no_ack
        }),
        ("channel_messages_redelivered_total", Kind::Counter, "Delivered again.", |row| {
            counts(row).redeliver
        }),
        ("channel_messages_acked_total", Kind::Counter, "Acknowledged.", |row| counts(row).ack),
    ],
)];

/// Everything that single objects count.
pub(crate) async fn per_object(broker: &Broker, page: &mut Page) {
    show(broker, page, PREFIX, &Wishes::default(), |_| true).await;
}

/// The families that are wished for.
pub(crate) async fn detailed(broker: &Broker, node: &Identity, wishes: &Wishes) -> String {
    let mut page = Page::default();
    identity(&mut page, node, "detailed");
    let is_wished = |family: &str| wishes.families.iter().any(|wish| wish == family);
    show(broker, &mut page, DETAILED, wishes, is_wished).await;
    page.finish()
}

async fn show(
    broker: &Broker,
    page: &mut Page,
    prefix: &str,
    wishes: &Wishes,
    is_wished: impl Fn(&str) -> bool,
) {
    let own = broker.session().node;
    let wished = |families: &[&str]| families.iter().any(|family| is_wished(family));
    if wished(&QUEUES.iter().map(|(family, _)| *family).collect::<Vec<_>>()) {
        let mut figures = Box::pin(broker.queue_figures(Which::All)).await.rows;
        figures.retain(|queue| queue.leader == own);
        let mut queues: Vec<(Name, Name, QueueFigures)> = broker.look(|catalog| {
            let named = figures.into_iter().filter_map(|figures| {
                let queue = catalog.queue_by_id(figures.queue)?;
                Some((queue.vhost.clone(), queue.name.clone(), figures))
            });
            named.filter(|(vhost, queue, _)| wishes.shows_queue(vhost, queue)).collect()
        });
        queues.sort_by(|one, other| (&one.0, &one.1).cmp(&(&other.0, &other.1)));
        families(
            page,
            prefix,
            QUEUES,
            &is_wished,
            &queues,
            |(_, _, figures)| figures,
            |row, add| {
                add(&[("vhost", &row.0), ("queue", &row.1)]);
            },
        );
    }
    if wished(&CONNECTIONS.iter().map(|(family, _)| *family).collect::<Vec<_>>()) {
        let mut rows = Box::pin(broker.connections()).await.rows;
        rows.retain(|row| row.node == own);
        families(
            page,
            prefix,
            CONNECTIONS,
            &is_wished,
            &rows,
            |row| row,
            |row, add| {
                add(&[("connection", &row.name)]);
            },
        );
    }
    if wished(&CHANNELS.iter().map(|(family, _)| *family).collect::<Vec<_>>()) {
        let mut rows = Box::pin(broker.channels()).await.rows;
        rows.retain(|row| row.node == own);
        families(
            page,
            prefix,
            CHANNELS,
            &is_wished,
            &rows,
            |row| row,
            |row, add| {
                let name = format!("{} ({})", row.connection_name, row.number);
                add(&[("connection", &row.connection_name), ("channel", &name)]);
            },
        );
    }
}

/// Adds the families that are wished for, a heading and a sample of every row for each metric.
fn families<T, R: 'static>(
    page: &mut Page,
    prefix: &str,
    families: &[Family<R>],
    is_wished: &impl Fn(&str) -> bool,
    rows: &[T],
    counted: impl Fn(&T) -> &R,
    labels: impl Fn(&T, &mut dyn FnMut(Labels<'_>)),
) {
    let wished = families.iter().filter(|(family, _)| is_wished(family));
    for (name, kind, help, count) in wished.flat_map(|(_, counts)| *counts) {
        let name = format!("{prefix}{name}");
        page.begin(&name, *kind, help);
        for row in rows {
            let value = count(counted(row));
            labels(row, &mut |labels| page.sample(&name, labels, value));
        }
    }
}
