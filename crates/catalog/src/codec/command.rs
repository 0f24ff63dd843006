//! The bytes of commands.

use warren_types::{DecodeError, Reader, Writer};

use super::stored::{Stored, stored_enum, stored_struct};
use crate::{
    BindingCommand, Command, DeclareExchange, DeclareQueue, PutPolicy, PutUser, RegisterNode,
};

stored_struct! { RegisterNode { token, wanted, name, address, zone } }
stored_struct! { PutUser { user, password, tags, loopback_only } }
stored_struct! {
    DeclareExchange { vhost, exchange, kind, durable, auto_delete, internal, arguments, user }
}
stored_struct! {
    DeclareQueue {
        vhost,
        queue,
        server_named,
        durable,
        auto_delete,
        exclusive,
        arguments,
        placement,
        user,
    }
}
stored_struct! {
    BindingCommand { vhost, source, destination, routing_key, arguments, connection }
}
stored_struct! { PutPolicy { vhost, layer, name, pattern, apply_to, priority, definition } }

stored_enum! {
    Command {
        1 => FoundCluster(cluster),
        2 => RegisterNode(node),
        3 => StartNode { node, boot, speaks },
        4 => LoseNode { node, boot },
        5 => ForgetNode { node },
        6 => DrainNode { node, draining },
        7 => PutShard { group, replicas },
        8 => RaiseVersion { version },
        16 => PutVhost { vhost, meta },
        17 => DeleteVhost { vhost },
        18 => SetVhostLimit { vhost, limit, value },
        24 => PutUser(user),
        25 => DeleteUser { user },
        26 => SetUserLimit { user, limit, value },
        27 => SetPermission { user, vhost, configure, write, read },
        28 => ClearPermission { user, vhost },
        29 => SetTopicPermission { user, vhost, exchange, write, read },
        30 => ClearTopicPermission { user, vhost, exchange },
        40 => DeclareExchange(exchange),
        41 => DeleteExchange { vhost, exchange, if_unused },
        42 => PredeclareExchange { vhost, exchange },
        48 => DeclareQueue(queue),
        49 => DeleteQueue { queue, reason },
        50 => CloseConnection { owner },
        56 => Bind(binding),
        57 => Unbind(binding),
        64 => PutPolicy(policy),
        65 => DeletePolicy { vhost, layer, name },
        72 => PutParameter { vhost, component, name, value },
        73 => DeleteParameter { vhost, component, name },
        74 => PutGlobalParameter { name, value },
        75 => DeleteGlobalParameter { name },
    }
}
