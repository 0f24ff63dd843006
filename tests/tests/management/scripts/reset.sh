# Takes a node out of service, has it forget everything, and puts it back.
rabbitmqctl stop_app
rabbitmqctl reset
rabbitmqctl start_app
rabbitmqctl await_startup
rabbitmqctl -q list_users
