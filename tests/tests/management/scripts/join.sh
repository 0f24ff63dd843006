# Has a node that was taken out of its cluster join another one.
rabbitmqctl join_cluster "$1"
rabbitmqctl start_app
rabbitmqctl await_startup
rabbitmqctl await_online_nodes 3
