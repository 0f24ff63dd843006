# What health checks and people look for in a node's status.
rabbitmqctl status | grep "^RabbitMQ version: "
rabbitmqctl status | grep "^OS PID: [0-9]"
rabbitmqctl status --formatter json | grep '"rabbitmq_version"' > /dev/null
rabbitmq-diagnostics -q ping
rabbitmq-diagnostics -q check_running
rabbitmq-diagnostics -q check_local_alarms
rabbitmq-diagnostics -q check_port_connectivity
rabbitmqctl cluster_status | grep "^Running Nodes\$"
rabbitmq-plugins list -e -m | grep "^rabbitmq_management\$"
