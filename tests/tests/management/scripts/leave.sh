# Takes a node out of its cluster.
rabbitmqctl stop_app
rabbitmqctl reset
