# Prints how many nodes the cluster has that run.
rabbitmqctl -q await_online_nodes 1
rabbitmqctl cluster_status --formatter json | tr -d ' \n' |
    sed 's/.*"running_nodes":\[\([^]]*\)\].*/\1/' | tr ',' '\n' | grep -c .
